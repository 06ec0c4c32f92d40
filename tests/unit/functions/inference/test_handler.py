"""``functions.inference.handler`` in a fresh interpreter, with the layer where Lambda would put it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import functions
from model_store.contract import environment
from model_store.contract.events import http_event, read_answer

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Layer

ROOT = Path(functions.__file__).parents[1]

INVOKE = """
import json, sys
from functions.inference.handler import handler
for line in sys.stdin:
    print("ANSWER", json.dumps(handler(json.loads(line), None)))
"""


def start(
    environ: dict[str, str], *paths: Path, events: list[dict[str, Any]], run: str = INVOKE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", run],
        input="".join(json.dumps(event) + "\n" for event in events),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *paths)))} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_released_function_answers_with_its_model(linear_layer: Layer) -> None:
    body = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 1]}]}'
    events = [http_event("POST", "/v2/models/digits/infer", body), http_event("GET", "/v2/models/digits")]
    ran = start(linear_layer.environ, linear_layer.package.parent, events=events)
    assert ran.stderr == ""
    lines = ran.stdout.splitlines()
    answers = [json.loads(line[7:]) for line in lines if line.startswith("ANSWER ")]
    logged = [json.loads(line) for line in lines if not line.startswith("ANSWER ")]
    status, headers, content = read_answer(answers[0])
    assert (status, headers["x-switchyard-model"]) == (200, "digits:2")
    assert json.loads(content)["outputs"][1]["data"] == [2]
    assert read_answer(answers[1])[0] == 200
    assert [line["cold"] for line in logged] == [True, False]


def test_a_mirror_answers_as_any_version_also_where_its_shadow_cannot_be_reached(linear_layer: Layer) -> None:
    """Law 3: who meets the mirror's share of an alias is answered by what is live."""
    body = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 1]}]}'
    event = http_event("POST", "/v2/models/digits/infer", body)
    event["requestContext"]["apiId"] = "a1b2c3"
    answers = []
    for mirrors in (
        {},
        {
            "SWITCHYARD_SHADOW": '{"alias": "shadow_live", "version": 4}',
            "AWS_LAMBDA_FUNCTION_NAME": "switchyard-test-digits",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        },
    ):
        ran = start(linear_layer.environ | mirrors, linear_layer.package.parent, events=[event, event])
        assert ran.stderr == ""
        answers.append([line for line in ran.stdout.splitlines() if line.startswith("ANSWER ")])
    assert answers[0] == answers[1]
    assert len(answers[1]) == 2


def test_a_snapshot_is_taken_of_a_model_that_has_run(linear_layer: Layer) -> None:
    """SnapStart: primed before the snapshot, cold again after the restore."""
    run = """
import json, sys
from functions.inference import handler as module
import snapshot_restore_py as hooks
assert len(hooks.get_before_snapshot()) == len(hooks.get_after_restore()) == 1
for hook, args, kwargs in hooks.get_before_snapshot() + hooks.get_after_restore():
    hook(*args, **kwargs)
for line in sys.stdin:
    print("ANSWER", json.dumps(module.handler(json.loads(line), None)))
"""
    stand_in = ROOT / "local_cloud" / "extension" / "runtime"
    ran = start(
        linear_layer.environ | {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"},
        linear_layer.package.parent,
        stand_in,
        events=[http_event("GET", "/v2/models/digits/ready")],
        run=run,
    )
    assert ran.stderr == ""
    assert '"cold":true' in ran.stdout
    assert '"statusCode": 200' in ran.stdout


def test_an_unreleased_function_starts_without_a_layer() -> None:
    environ = {environment.MODEL: "digits", environment.STAGE: "test"}
    ran = start(environ, events=[http_event("GET", "/v2/models/digits/ready")])
    answer = next(json.loads(line[7:]) for line in ran.stdout.splitlines() if line.startswith("ANSWER "))
    assert read_answer(answer)[0] == 503


def test_a_model_that_is_not_the_published_one_fails_at_init(linear_layer: Layer) -> None:
    """Law 2: a mismatch refuses to serve, so Lambda's init fails and nothing is ever answered."""
    path = linear_layer.package / environment.FILES_FOLDER / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    ran = start(linear_layer.environ, linear_layer.package.parent, events=[http_event("GET", "/v2")])
    assert ran.returncode != 0
    assert "ANSWER" not in ran.stdout
    assert "IntegrityError" in ran.stderr
