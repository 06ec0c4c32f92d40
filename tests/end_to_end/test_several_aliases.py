"""A second alias beside ``live``, and versions asked for by number, on a real deploy."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from local_cloud.errors import LocalCloudError
from tests.conftest import ROOT, Deployed

pytestmark = pytest.mark.cloud

DIGITS = ROOT / "examples" / "digits"
REQUEST = json.loads((DIGITS / "request.json").read_text())


@pytest.fixture(scope="module")
def staged(deployed: Deployed) -> Iterator[Deployed]:
    """``live`` serves version 1 with nothing before it, ``candidate`` is declared and serves nothing."""
    for version in ("v1", "v2"):
        deployed.yard_json("publish", "digits", str(DIGITS / version / "model.onnx"))
    deployed.deploy(aliases=("live", "candidate"))
    if deployed.yard_json("history", "digits"):
        deployed.yard_json("retire", "digits")
    deployed.yard_json("release", "digits:1")
    yield deployed
    deployed.yard_json("retire", "digits", "--alias", "candidate")
    deployed.deploy()


@pytest.fixture(scope="module")
def api(staged: Deployed) -> str:
    return staged.api_url


def serves(api: str, path: str) -> tuple[int, str]:
    """The status, and the version that says it answered."""
    answer = httpx.post(f"{api}{path}/infer", json=REQUEST, timeout=35)
    return answer.status_code, answer.headers.get("x-switchyard-model", "")


def test_an_alias_that_was_declared_later_answers_503_at_its_own_address(api: str) -> None:
    assert serves(api, "/candidate/v2/models/digits")[0] == 503
    assert serves(api, "/v2/models/digits") == (200, "digits:1")


def test_a_release_to_a_candidate_leaves_live_where_it_is(staged: Deployed, api: str) -> None:
    moved = staged.yard_json("release", "digits:2", "--alias", "candidate", "--reason", "team a tries it")
    assert (moved["alias"], moved["line"]["line"]) == ("candidate", 1)
    assert serves(api, "/candidate/v2/models/digits") == (200, "digits:2")
    assert serves(api, "/v2/models/digits") == (200, "digits:1")


def test_each_alias_has_its_own_history_and_status(staged: Deployed) -> None:
    (line,) = staged.yard_json("history", "digits", "--alias", "candidate")
    assert (line["version"], line["reason"]) == (2, "team a tries it")
    assert staged.yard_json("history", "digits")[-1]["version"] == 1
    found = staged.yard_json("status", "digits")
    assert [(item["alias"], item["version"]) for item in found["aliases"]] == [("live", 1), ("candidate", 2)]
    (model,) = found["models"]
    assert (model["by_number"], model["disagreements"]) == ([1, 2], [])


def test_invoke_speaks_to_the_alias_that_is_named(staged: Deployed) -> None:
    for alias, version in (("candidate", "2"), ("live", "1")):
        answer = staged.yard_json("invoke", "digits", "--alias", alias)
        assert answer["model_version"] == version


def test_a_version_released_under_any_alias_answers_to_its_number_everywhere(
    staged: Deployed, api: str
) -> None:
    for prefix in ("", "/candidate"):
        for version in (1, 2):
            path = f"{prefix}/v2/models/digits/versions/{version}"
            assert serves(api, path) == (200, f"digits:{version}")
            assert httpx.get(f"{api}{path}", timeout=35).json()["versions"] == [str(version)]
    assert staged.yard_json("invoke", "digits", "--version", "2")["model_version"] == "2"


def test_the_errors_of_a_pinned_version_are_its_own(api: str) -> None:
    answer = httpx.post(f"{api}/v2/models/digits/versions/2/infer", json={"inputs": []}, timeout=35)
    assert (answer.status_code, answer.headers["x-switchyard-model"]) == (400, "digits:2")


def test_a_version_released_nowhere_is_a_404_that_names_what_there_is(api: str) -> None:
    answer = httpx.get(f"{api}/v2/models/digits/versions/9", timeout=35)
    assert answer.status_code == 404
    assert answer.json()["error"] == (
        "version `9` of digits is not released, version 1 is; by number there are also: 2"
    )


def test_a_rollback_of_one_alias_keeps_the_other(staged: Deployed, api: str) -> None:
    staged.yard_json("release", "digits:1", "--alias", "candidate")
    assert serves(api, "/candidate/v2/models/digits") == (200, "digits:1")
    back = staged.yard_json("rollback", "digits", "--alias", "candidate", "--to", "2")
    assert back["version"] == 2
    assert serves(api, "/candidate/v2/models/digits") == (200, "digits:2")
    refused = staged.yard("rollback", "digits", "--alias", "candidate")
    assert (refused.returncode, b"no earlier release" in refused.stderr) == (1, True)
    assert serves(api, "/v2/models/digits") == (200, "digits:1")


def test_a_changed_base_takes_every_alias_and_every_number_along(staged: Deployed, api: str) -> None:
    """Law 4, for each alias."""
    staged.deploy(memory_mb=640, aliases=("live", "candidate"))
    found = staged.yard_json("status", "digits")
    assert [(item["version"], item["memory_mb"]) for item in found["aliases"]] == [(1, 640), (2, 640)]
    assert found["models"][0]["disagreements"] == []
    assert serves(api, "/v2/models/digits/versions/2") == (200, "digits:2")


def test_an_alias_that_serves_cannot_leave_the_catalog(staged: Deployed, api: str) -> None:
    """Law 10: the guard refuses before anything is deleted, for a second alias as for ``live``."""
    with pytest.raises(LocalCloudError, match="digits@candidate"):
        staged.deploy(memory_mb=640)
    assert serves(api, "/candidate/v2/models/digits") == (200, "digits:2")


def test_an_alias_out_of_service_takes_its_number_with_it_and_may_leave(staged: Deployed, api: str) -> None:
    staged.yard_json("retire", "digits", "--alias", "candidate")
    assert serves(api, "/candidate/v2/models/digits")[0] == 503
    assert httpx.get(f"{api}/v2/models/digits/versions/2", timeout=35).status_code == 404
    staged.deploy(memory_mb=640)
    assert serves(api, "/candidate/v2/models/digits")[0] == 404
    assert serves(api, "/v2/models/digits") == (200, "digits:1")
    staged.deploy(memory_mb=640, aliases=("live", "candidate"))


THEIRS = """
import json

def handler(event, context):
    tensor = json.loads(event["body"])["inputs"][0]
    data = [2 * value + 1 for value in tensor["data"]]
    output = {"name": "y", "datatype": "FP32", "shape": tensor["shape"], "data": data}
    answer = {"model_name": "spare", "outputs": [output]}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
"""
"""A function that somebody wrote before there was a stage. It computes what the model below does."""


def their_model(path: Path) -> Path:
    """``y = 2 x + 1``, as the graph that their function was made from."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    two, one = (
        numpy_helper.from_array(np.array(value, np.float32), name) for name, value in (("a", 2), ("b", 1))
    )
    nodes = [helper.make_node("Mul", ["x", "a"], ["ax"]), helper.make_node("Add", ["ax", "b"], ["y"])]
    graph = helper.make_graph(nodes, "line", [x], [y], [two, one])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(made.SerializeToString())
    return path


@dataclass
class Theirs:
    """What answered before: a function with an alias, and an HTTP API that leads to it."""

    api: str
    url: str
    function: str
    functions: Any

    def state(self) -> tuple[str, str]:
        config = self.functions.get_function_configuration(FunctionName="their-scores", Qualifier="prod")
        alias = self.functions.get_alias(FunctionName="their-scores", Name="prod")
        return config["CodeSha256"], alias["RevisionId"]


@pytest.fixture
def theirs(staged: Deployed) -> Theirs:
    make: Any = boto3.client  # its stubs want a literal name
    here = {
        "endpoint_url": staged.cloud.endpoint_url,
        "region_name": staged.cloud.region,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }
    functions, apis, iam = (make(name, **here) for name in ("lambda", "apigatewayv2", "iam"))
    role = iam.create_role(RoleName="their-role", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("scores.py", THEIRS)
    functions.create_function(
        FunctionName="their-scores",
        Runtime="python3.13",
        Role=role,
        Handler="scores.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(
        FunctionName="their-scores", WaiterConfig={"Delay": 1, "MaxAttempts": 90}
    )
    functions.publish_version(FunctionName="their-scores")
    alias = functions.create_alias(FunctionName="their-scores", Name="prod", FunctionVersion="1")
    api = apis.create_api(Name="theirs", ProtocolType="HTTP")["ApiId"]
    integration = apis.create_integration(
        ApiId=api,
        IntegrationType="AWS_PROXY",
        IntegrationUri=alias["AliasArn"],
        PayloadFormatVersion="2.0",
    )
    route = "POST /v2/models/spare/infer"
    apis.create_route(ApiId=api, RouteKey=route, Target=f"integrations/{integration['IntegrationId']}")
    apis.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    functions.add_permission(
        FunctionName="their-scores",
        Qualifier="prod",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )
    url = f"{staged.cloud.endpoint_url}/_aws/execute-api/{api}"
    return Theirs(str(api), url, str(alias["AliasArn"]), functions)


def test_a_function_that_answers_already_is_adopted_under_load_without_a_failed_request(
    staged: Deployed, theirs: Theirs, tmp_path: Path
) -> None:
    """Laws 2 and 5: its own answers are what the release is checked against, and it is never touched."""
    before, model = theirs.state(), their_model(tmp_path / "model.onnx")
    tensor = {"name": "x", "datatype": "FP32", "shape": [3], "data": [1.0, 2.0, 3.0]}
    seen: list[tuple[int, Any, str]] = []
    over = threading.Event()

    def call() -> None:
        with httpx.Client(timeout=35) as client:
            while not over.is_set():
                answer = client.post(f"{theirs.url}/v2/models/spare/infer", json={"inputs": [tensor]})
                data = answer.json()["outputs"][0]["data"] if answer.status_code == 200 else answer.text
                seen.append((answer.status_code, data, answer.headers.get("x-switchyard-model", "theirs")))

    def wait_for(who: str) -> None:
        end, after = time.monotonic() + 90, len(seen)
        while len(seen) < after + 5 or seen[-1][2] != who:
            assert time.monotonic() < end, seen[-3:]
            time.sleep(0.05)

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    words = ("adopt", f"lambda:{theirs.function}", "spare", str(model), "--api", theirs.api)
    try:
        wait_for("theirs")
        adopted = staged.yard_json(*words)
        wait_for("spare:1")
        again = staged.yard_json(*words)
        staged.yard_json(*words, "--undo")
        wait_for("theirs")
        staged.yard_json(*words)
        wait_for("spare:1")
    finally:
        over.set()
        for caller in callers:
            caller.join()
    assert {(status, tuple(data)) for status, data, _ in seen} == {(200, (3.0, 5.0, 7.0))}
    assert (adopted["version"], adopted["created"], len(adopted["led"])) == (1, True, 1)
    assert (again["version"], again["created"], again["led"]) == (1, False, [])
    assert adopted["lineage"]["adopted"] == f"lambda:{theirs.function}"
    assert adopted["lineage"]["adopted_code"] == before[0]
    assert theirs.state() == before
    (line,) = staged.yard_json("history", "spare")
    assert line["reason"] == f"adopted from lambda:{theirs.function}"

    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(DIGITS / "v1" / "model.onnx", other / "model.onnx")
    refused = staged.yard("adopt", f"lambda:{theirs.function}", "spare", str(other / "model.onnx"))
    assert refused.returncode == 1
    assert b"not the model that" in refused.stderr
    assert staged.yard("show", "spare:2").returncode == 1
