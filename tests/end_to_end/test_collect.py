"""Garbage collection on a real deploy: the role that CloudFormation made takes what nobody needs."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model_store.collect import DAY_SECONDS, Rules, collect, plan
from model_store.contract.digest import Digest
from model_store.contract.keys import blob_key
from model_store.tombstones import removed
from model_store.versions import versions
from releases import garbage
from releases.bases import current_base
from releases.needs import needed
from releases.ports import SystemClock
from yard import deployment

if TYPE_CHECKING:
    from tests.conftest import Deployed

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.cloud

RULES = Rules(versions_older_s=30 * DAY_SECONDS)


def in_40_days() -> float:
    """Ages cannot be made up on a real bucket, so the collector lives later."""
    return time.time() + 40 * DAY_SECONDS


class LaterClock(SystemClock):
    """The clock of a stage in which 40 days have passed."""

    def now(self) -> float:
        return in_40_days()


@pytest.fixture
def place(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> deployment.Deployment:
    for name, value in deployed.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return deployment.find("local")


def test_a_collection_takes_garbage_and_leaves_what_serves(
    deployed: Deployed, place: deployment.Deployment
) -> None:
    """Law 10: nothing live is deleted; a tombstone stays of what goes."""
    # The stage is shared with other tests: everything here is about these three versions and one orphan.
    models = [str(ROOT / "examples" / "digits" / f"v{number}" / "model.onnx") for number in (1, 2, 1)]
    unneeded, served, newest = (
        deployed.yard_json("publish", "spare", model, "--new")["version"] for model in models
    )
    assert deployed.yard("release", f"spare:{served}").returncode == 0
    store = place.store()
    orphan = blob_key(Digest.of(b"orphan"))
    store.put_once(orphan, b"orphan")

    assert deployed.yard_json("collect")["planned"] == []
    stage = place.releases(lambda _: None)
    actor = place.collector(assume=True)
    planned = plan(store, actor.deletes, lambda: needed(stage), rules=RULES, now=in_40_days)
    names = {item.name for item in planned.items}
    assert {f"spare:{unneeded}", orphan} <= names
    assert not {f"spare:{served}", f"spare:{newest}"} & names
    own = tuple(item for item in planned.items if item.name in (f"spare:{unneeded}", orphan))
    collect(
        actor.store,
        actor.deletes,
        lambda: needed(stage),
        rules=RULES,
        now=in_40_days,
        by="test",
        agreed=replace(planned, items=own),
    )
    assert unneeded in removed(store, "spare")
    assert {served, newest} <= set(versions(store, "spare"))
    assert not store.exists(orphan)
    assert deployed.yard("verify", f"spare:{served}").returncode == 0
    answer = deployed.yard("release", f"spare:{unneeded}")
    assert answer.returncode == 1
    assert f"`spare:{unneeded}` was taken away by test".encode() in answer.stderr
    assert deployed.yard("retire", "spare").returncode == 0


def test_lambda_versions_that_nothing_needs_go_with_their_layers_and_can_come_back(
    deployed: Deployed, place: deployment.Deployment
) -> None:
    """Law 10: what the last releases need stays; law 3: what is gone is prepared anew."""
    models = [str(ROOT / "examples" / "digits" / f"v{number}" / "model.onnx") for number in (1, 2)]
    first, second = (deployed.yard_json("publish", "spare", model, "--new")["version"] for model in models)
    for version in (first, second):
        assert deployed.yard("release", f"spare:{version}").returncode == 0
    assert deployed.yard("retire", "spare").returncode == 0

    stage = place.releases(lambda _: None)
    function = stage.function("spare")
    base = current_base(stage.store, "spare")
    gone = stage.preparer.find("spare", first, base)
    stays = stage.preparer.find("spare", second, base)
    assert gone
    assert stays
    stage.clock = LaterClock()
    actor = place.collector(assume=True)
    planned = garbage.plan(stage, actor.functions, keep=1)
    named = {item.name for item in planned.items}
    assert {f"{function}:{gone.lambda_version}", gone.model_layer} <= named
    assert not {f"{function}:{stays.lambda_version}", stays.model_layer} & named
    taken = garbage.collect(stage, actor.functions, announce=actor.store, by="test", agreed=planned, keep=1)
    assert taken.spared == ()
    assert taken.size > 0
    assert stage.functions.config(function, gone.lambda_version) is None
    assert not stage.functions.layer_exists(gone.model_layer)
    assert stage.preparer.holds(function, stays)

    assert deployed.yard("release", f"spare:{first}").returncode == 0
    again = stage.preparer.find("spare", first, base)
    assert again
    assert int(again.lambda_version) > int(gone.lambda_version)
    assert deployed.yard("retire", "spare").returncode == 0


def test_what_is_pinned_is_shown_and_compared_on_a_real_stage(deployed: Deployed) -> None:
    model = str(ROOT / "examples" / "digits" / "v2" / "model.onnx")
    first = deployed.yard_json("publish", "spare", model, "--new")["version"]
    words = ("--new", "--parent", f"spare:{first}", "--step", "again")
    number = deployed.yard_json("publish", "spare", model, *words)["version"]
    deployed.yard_json("pin", f"spare:{number}", "--reason", "audit")
    shown = deployed.yard_json("show", f"spare:{number}")
    assert (shown["lineage"]["parent"], shown["kind"]) == (f"spare:{first}", "onnx")
    assert b"audit" in deployed.yard("show", f"spare:{number}").stdout
    changes = deployed.yard_json("diff", f"spare:{first}", f"spare:{number}")["changes"]
    assert {"lineage"} == {change["part"] for change in changes}
    deployed.yard_json("unpin", f"spare:{number}")
