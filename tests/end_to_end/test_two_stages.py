"""Two stages side by side in one account: a version is promoted from one to the other, and released there.

The second one keeps environments started for what serves and for the way back, and is busy at the end.

The first one is copied to another region as it is written. When all that is told, the region of both is lost,
and a stage in the other one takes over what the copy knows.
"""

from __future__ import annotations

import json
import logging
import re
import time
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from local_cloud.deploy import deploy
from tests.conftest import ROOT, Deployed
from tests.end_to_end.digits import DIGITS, REQUEST

pytestmark = pytest.mark.cloud

FUNCTION = "switchyard-staging-digits"

ELSEWHERE = "eu-west-1"
COPY = f"switchyard-local-copy-000000000000-{ELSEWHERE}"

CATALOG_BESIDES = f"""
[stages.local.replica]
region = "{ELSEWHERE}"
"""

AFTERWARDS = """
[stages.dr]
auth = "none"
keep_data = false
runtime_layer = "build/layers/local"

[models.digits]
target = "lambda"
memory_mb = 512
"""

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


@dataclass(frozen=True)
class Recovered:
    """The other region after the first one is gone, and what the first one had said before."""

    there: Deployed
    answer: dict[str, Any]
    history: list[dict[str, Any]]
    digests: list[str]
    said: dict[str, Any]


def ask(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v2/models/digits/infer", json=REQUEST, timeout=35)


def tell(two: Deployed, door: str, **settings: Any) -> None:
    """Change the embedded cloud."""
    request = urllib.request.Request(
        f"{two.cloud.endpoint_url}/_switchyard/{door}", data=json.dumps(settings).encode(), method="POST"
    )
    urllib.request.urlopen(request).close()


def keys_of(two: Deployed, bucket: str, region: str) -> set[str]:
    session = boto3.Session("test", "test", region_name=region)
    pages = session.client("s3", endpoint_url=two.cloud.endpoint_url).get_paginator("list_objects_v2")
    return {
        item["Key"]
        for page in pages.paginate(Bucket=bucket)
        for item in page.get("Contents", [])
        if item["Key"].startswith(("models/", "blobs/"))
    }


def wait_for_the_copy(two: Deployed, bucket: str) -> None:
    end = time.monotonic() + 60
    while missing := keys_of(two, bucket, two.cloud.region) - keys_of(two, COPY, ELSEWHERE):
        assert time.monotonic() < end, f"never copied: {sorted(missing)}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def recovered(two: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Recovered:
    """Stage ``local`` was released, rolled back and copied; its region is lost; stage ``dr`` is restored."""
    tell(two, "bad-day", replication_s=2.0)
    two.yard_json("publish", "digits", str(DIGITS / "v2" / "model.onnx"))
    two.yard_json("release", "digits:2")
    two.yard_json("rollback", "digits", "--reason", "a drill")
    two.yard_json("release", "digits:2", "--reason", "again")
    url = two.api_url
    answer = ask(url).json()
    history = two.yard_json("history", "digits")
    digests = [item["digest"] for item in two.yard_json("versions", "digits")]
    ssm = boto3.Session("test", "test", region_name=two.cloud.region).client(
        "ssm", endpoint_url=two.cloud.endpoint_url
    )
    wait_for_the_copy(two, ssm.get_parameter(Name="/switchyard/local/bucket")["Parameter"]["Value"])
    # From here on nothing arrives any more: acknowledged, and not replicated.
    tell(two, "bad-day", replication_s=1e6)
    two.yard_json("publish", "digits", str(DIGITS / "v2" / "model.onnx"), "--new")
    two.yard_json("rollback", "digits", "--reason", "too late to be copied")
    tell(two, "lost-region", region=two.cloud.region)
    assert ask(url).status_code == 503
    assert two.yard("status", "digits").returncode != 0
    began = time.monotonic()
    catalog = tmp_path_factory.mktemp("dr") / "models.toml"
    catalog.write_text(AFTERWARDS)
    there = Deployed(replace(two.cloud, region=ELSEWHERE), catalog)
    deploy(there.cloud, root=ROOT, stage="dr", catalog=catalog, on_progress=there.said.append)
    deployed_s = time.monotonic() - began
    said = there.yard_json("restore", "--from-bucket", COPY, "--stage", "dr")
    logging.getLogger(__name__).info(
        "recovered in %.1f s: %.1f s of deploy, %.1f s of copying, %.1f s of preparing and releasing",
        time.monotonic() - began,
        deployed_s,
        said["copied_s"],
        said["released_s"],
    )
    return Recovered(there, answer, history, digests, said)


def test_after_the_region_is_lost_another_one_answers_the_same(recovered: Recovered) -> None:
    """Law 2: the same version, the same digest, the same numbers."""
    (listed,) = recovered.there.yard_json("status", "digits", "--stage", "dr")["models"]
    assert listed is not None
    answer = ask(recovered.there.yard_json("status", "--stage", "dr")["api_url"])
    assert answer.status_code == 200
    assert (answer.json()["model_version"], recovered.answer["model_version"]) == ("2", "2")
    assert answer.json()["outputs"] == recovered.answer["outputs"]


def test_nothing_that_was_copied_is_lost(recovered: Recovered) -> None:
    """Law 3: every version and every line that the copy had is there, and a line says that it was restored."""
    assert recovered.said["lost"] == []
    assert [item["digest"] for item in recovered.there.yard_json("versions", "digits", "--stage", "dr")] == (
        recovered.digests
    )
    history = recovered.there.yard_json("history", "digits", "--stage", "dr")
    lines = {line["line"]: line for line in history}
    before = {line["line"]: line for line in recovered.history}
    assert {number: lines[number] for number in before} == before
    (added,) = set(lines) - set(before)
    assert (lines[added]["reason"], lines[added]["version"]) == ("restored from a replica", 2)


def test_what_came_too_late_is_lost_and_the_command_says_from_when_on(recovered: Recovered) -> None:
    """Acknowledged and not replicated: nobody here can know of it, only until when something is known."""
    last = max(line["line"] for line in recovered.history)
    (ledger,) = recovered.said["ledgers"]
    (at,) = (line["at"] for line in recovered.history if line["line"] == last)
    assert (ledger["ref"], ledger["line"], ledger["at"], ledger["missing"]) == ("digits@live", last, at, [])
    assert recovered.said["known_until"] == at


def test_a_rollback_goes_where_it_would_have_gone(recovered: Recovered) -> None:
    """Law 6: the way back was prepared before what is live was moved."""
    back = recovered.there.yard_json("rollback", "digits", "--stage", "dr")
    assert back["version"] == 1
    (alias,) = recovered.there.yard_json("status", "digits", "--stage", "dr")["aliases"]
    assert (alias["version"], alias["disagreements"]) == (1, [])
