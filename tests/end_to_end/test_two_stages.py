"""Two stages side by side in one account: a version is promoted from one to the other, and released there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local_cloud.deploy import deploy
from tests.conftest import ROOT, Deployed

pytestmark = pytest.mark.cloud

DIGITS = ROOT / "examples" / "digits"

CATALOG = """
[stages.staging]
auth = "none"
keep_data = false
runtime_layer = "build/layers/local"

[models.digits]
target = "lambda"
memory_mb = 512
"""


@pytest.fixture(scope="module")
def two(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Stage ``staging`` beside ``local``, with a model that was published there by somebody else."""
    deployed.yard_json("publish", "digits", str(DIGITS / "v1" / "model.onnx"), "--metric", "accuracy=0.94")
    deployed.yard_json("release", "digits:1")
    catalog = tmp_path_factory.mktemp("staging") / "models.toml"
    catalog.write_text(CATALOG)
    deploy(deployed.cloud, root=ROOT, stage="staging", catalog=catalog, on_progress=deployed.said.append)
    deployed.yard_json("publish", "digits", str(DIGITS / "v2" / "model.onnx"), "--stage", "staging")
    return deployed


def test_what_is_live_is_promoted_under_the_next_number_there(two: Deployed) -> None:
    """Law 1 and 2: a number of the other store, the digest of this one."""
    (digest,) = [item["digest"] for item in two.yard_json("versions", "digits") if item["version"] == 1]
    promoted = two.yard_json("promote", "digits", "--from", "local", "--to", "staging")
    assert (promoted["version"], promoted["created"], promoted["digest"]) == (2, True, digest)
    assert promoted["lineage"]["origin"] == "local/digits:1"
    again = two.yard_json("promote", "digits:1", "--from", "local", "--to", "staging")
    assert (again["version"], again["created"]) == (2, False)


def test_the_promoted_version_is_released_and_answers_there(two: Deployed) -> None:
    two.yard_json("release", "digits:2", "--stage", "staging")
    said = two.yard_json("invoke", "digits", "--stage", "staging")
    assert said["model_version"] == "2"
    here = json.loads(two.yard("invoke", "digits", "--json").stdout)
    assert here["model_version"] == "1"
    assert here["outputs"] == said["outputs"]


def test_a_stage_is_not_promoted_to_itself(two: Deployed, tmp_path: Path) -> None:
    refused = two.yard("promote", "digits", "--from", "local", "--to", "local")
    assert refused.returncode == 2
    assert b"hint: Name two stages" in refused.stderr


def test_an_alias_that_serves_nothing_has_nothing_to_promote(two: Deployed) -> None:
    refused = two.yard("promote", "digits", "--from", "staging", "--to", "local", "--alias", "candidate")
    assert refused.returncode == 1
    assert b"serves nothing on stage `staging`" in refused.stderr


def test_a_profile_that_does_not_exist_is_named(two: Deployed) -> None:
    refused = two.yard(
        "promote", "digits", "--from", "local", "--to", "staging", "--to-profile", "no-such-profile"
    )
    assert refused.returncode == 2
    assert b"there is no AWS profile `no-such-profile`" in refused.stderr
