"""Two stages side by side in one account: a version is promoted from one to the other, and released there.

The second one keeps environments started for what serves and for the way back, and is busy at the end.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import boto3
import pytest

from local_cloud.deploy import deploy
from tests.conftest import ROOT, Deployed

pytestmark = pytest.mark.cloud

DIGITS = ROOT / "examples" / "digits"

FUNCTION = "switchyard-staging-digits"

CATALOG = """
[stages.staging]
auth = "none"
keep_data = false
runtime_layer = "build/layers/local"

[models.digits]
target = "lambda"
memory_mb = 512
snapstart = false
provisioned_concurrency = 2
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


def kept(two: Deployed) -> dict[str, dict[str, object]]:
    """What is kept started of the model on stage ``staging``, by Lambda version."""
    (model,) = two.yard_json("status", "digits", "--stage", "staging")["models"]
    found: dict[str, dict[str, object]] = model["kept_started"]
    return found


def test_what_serves_and_what_was_before_are_kept_started(two: Deployed) -> None:
    """Law 6: a rollback meets warm environments."""
    two.yard_json("release", "digits:2", "--stage", "staging")
    first = two.yard_json("release", "digits:1", "--stage", "staging")
    again = two.yard_json("release", "digits:2", "--stage", "staging")
    versions = {first["lambda_version"], again["lambda_version"]}
    assert kept(two) == {version: {"environments": 2, "state": "READY"} for version in versions}
    back = two.yard_json("rollback", "digits", "--stage", "staging")
    assert (back["version"], back["lambda_version"]) == (1, first["lambda_version"])
    assert back["lambda_version"] in kept(two)


def test_a_flip_that_would_throttle_is_refused_with_the_numbers(two: Deployed) -> None:
    """Law 8. What is busy is told to CloudWatch here; reserved concurrency is the limit that is met."""
    session = boto3.Session("test", "test", region_name=two.cloud.region)
    functions = session.client("lambda", endpoint_url=two.cloud.endpoint_url)
    metrics = session.client("cloudwatch", endpoint_url=two.cloud.endpoint_url)
    functions.put_function_concurrency(FunctionName=FUNCTION, ReservedConcurrentExecutions=50)
    busy = {"MetricName": "ConcurrentExecutions", "Value": 40.0, "Unit": "Count"}
    named = {**busy, "Dimensions": [{"Name": "FunctionName", "Value": FUNCTION}]}
    metrics.put_metric_data(Namespace="AWS/Lambda", MetricData=[named])
    refused = two.yard("release", "digits:2", "--stage", "staging")
    assert refused.returncode == 1
    said = refused.stderr.decode()
    assert re.search(
        r"both versions together may need \d+ \(2 are provisioned\); 50 are reserved for it", said
    ), said
    assert re.search(r"`yard release digits:2 --shift \d+(,\d+)*`", said), said
    assert two.yard_json("invoke", "digits", "--stage", "staging")["model_version"] == "1"
    forced = two.yard_json("flip", "digits:2", "--now", "--reason", "a drill", "--stage", "staging")
    assert forced["line"]["forced"] is True
    assert two.yard_json("invoke", "digits", "--stage", "staging")["model_version"] == "2"
