"""``releases.records``: what is written down can be read back, and says all that matters."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from typing import Any

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.keys import plan_key
from model_store.contract.names import ByVersion
from releases.bases import current_base
from releases.prepare import served_by
from releases.records import Base, Line, Note, Prepared, canonical, moment, timestamp
from tests.unit.releases.world import STAGE, World

FUNCTION = function_name(STAGE, "digits")
OTHER: dict[str, Any] = {
    "function": "switchyard-test-words",
    "code_sha256": "other",
    "layers": ("arn:layer:runtime:2",),
    "environment": {"A": "B"},
    "memory_mb": 1024,
    "timeout_s": 29,
    "runtime": "python3.14",
    "handler": "other.handler",
    "role": "arn:other",
    "architecture": "arm64",
    "snap_start": "PublishedVersions",
    "ephemeral_mb": 1024,
}

NO_SETTINGS: dict[str, Any] = {"fingerprint": "other", "provisioned": 5, "rollback_depth": 9, "waits": True}
"""What a base says besides its settings: where it came from, and what is to be done with it."""


@pytest.fixture
def base(world: World) -> Base:
    return current_base(world.store, "digits")


def test_records_survive_being_written(world: World, base: Base) -> None:
    world.controller().release(ByVersion("digits", 1))
    (line,) = world.controller().history("digits")
    assert Line.from_json(line.to_json()) == line
    assert Base.from_json(base.to_json()) == base
    prepared = Prepared("digits", 1, "sha256:1", base.hash, "3", "arn", "now")
    assert Prepared.from_json(prepared.to_json()) == prepared


def test_every_setting_of_a_base_counts_and_its_origin_does_not(base: Base) -> None:
    """A setting left out of the hash would let a version of another configuration pass for prepared."""
    assert {field.name for field in fields(Base)} == {*OTHER, *NO_SETTINGS}
    for name, value in OTHER.items():
        assert replace(base, **{name: value}).hash != base.hash, name
    assert replace(base, **NO_SETTINGS).hash == base.hash


def test_a_base_from_before_there_was_a_choice_of_tmp_keeps_its_name(base: Base) -> None:
    """Law 6: what was prepared on it before an update of Switchyard stays prepared."""
    body = json.loads(base.to_json())
    del body["ephemeral_mb"]
    before = Base.from_json(json.dumps(body).encode())
    assert before == base
    del body["fingerprint"], body["provisioned"]
    assert before.hash == hashlib.sha256(canonical(body)).hexdigest()[:16]


def test_every_setting_of_a_base_is_compared(world: World, base: Base) -> None:
    """Law 9: trust, then look: at all of it."""
    config = world.functions.config(FUNCTION)
    assert config is not None
    assert base.differences(config, layers=base.layers, environment=base.environment) == []
    for name, value in OTHER.items():
        if name == "function":
            continue
        changed = replace(config, **{name: value})
        (said,) = base.differences(changed, layers=base.layers, environment=base.environment)
        assert name in said


def test_a_note_fits_into_a_description() -> None:
    note = Note(999_999_999, "0123456789abcdef", 999_999_999)
    assert len(note.to_text()) <= 256
    assert Note.from_text(note.to_text()) == note


@pytest.mark.parametrize("text", ["", "hotfix by bob", "[1]", '{"line": "x"}', '{"line": 1}', "null"])
def test_a_description_of_somebody_else_is_no_note(text: str) -> None:
    assert Note.from_text(text) is None


def test_a_function_without_a_model_serves_version_0(world: World) -> None:
    assert served_by(world.functions.config(FUNCTION)) == 0
    assert served_by(None) == 0


def test_a_line_carries_the_digest_of_its_plan_as_it_was_stored_before_the_move(world: World) -> None:
    """Law 3: the ledger says why; whoever doubts a line compares it with its plan."""
    world.controller().release(ByVersion("digits", 1))
    (line,) = world.controller().history("digits")
    stored = world.store.get(plan_key("digits", "live", line.plan.id))
    assert line.as_json()["plan_digest"] == hashlib.sha256(stored).hexdigest()


def test_a_line_says_what_came_of_its_plan(world: World) -> None:
    world.controller().release(ByVersion("digits", 1))
    shift = world.begin(2, 0.5)
    step = world.shifting().step
    step("weigh", step("prepare", {"shift": shift.where, "step": 0}))
    world.shifting().stop("digits")
    outcomes = [line.as_json()["outcome"] for line in world.controller().history("digits")]
    assert outcomes == ["moved", "share given", "share taken back"]


def test_a_line_from_before_shifts_existed_is_read(world: World) -> None:
    world.controller().release(ByVersion("digits", 1))
    (line,) = world.controller().history("digits")
    body = line.as_json()
    for later in ("shift", "toward", "weights", "forced", "outcome", "plan_digest"):
        del body[later]
    assert Line.from_json(json.dumps(body).encode()) == line


def test_a_moment_is_what_a_timestamp_says() -> None:
    assert moment(timestamp(1_790_000_000.25)) == 1_790_000_000.25
