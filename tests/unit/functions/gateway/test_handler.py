"""``functions.gateway.handler`` in a fresh interpreter, with the layer where Lambda would put it."""

from __future__ import annotations

import json

from model_store.contract import environment
from model_store.contract.events import http_event, read_answer
from tests.unit.functions.conftest import Layer
from tests.unit.functions.inference.test_handler import INVOKE, start

RUN = INVOKE.replace("functions.inference.handler", "functions.gateway.handler")
AWS = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}


def test_a_gateway_starts_from_its_layer_and_says_so_when_nobody_is_there(linear_layer: Layer) -> None:
    pinned = {environment.TARGET: "sagemaker", environment.ENDPOINT: "switchyard-test-digits-2"}
    events = [
        http_event("GET", "/v2/models/digits"),
        http_event("POST", "/v2/models/digits/infer", b'{"inputs": []}'),
        {"inputs": [], "model_version": "9"},
    ]
    ran = start(linear_layer.environ | pinned | AWS, linear_layer.package.parent, events=events, run=RUN)
    assert ran.stderr == ""
    answers = [json.loads(line[7:]) for line in ran.stdout.splitlines() if line.startswith("ANSWER ")]
    status, headers, content = read_answer(answers[0])
    assert (status, headers["x-switchyard-model"], json.loads(content)["versions"]) == (
        200,
        "digits:2",
        ["2"],
    )
    status, _, content = read_answer(answers[1])
    assert (status, list(json.loads(content))) == (503, ["error"])
    assert answers[2]["status"] == 404, "the direct door is the inference function's"


def test_before_the_first_release_it_answers_503_and_needs_no_credentials() -> None:
    environ = {environment.MODEL: "digits", environment.TARGET: "sagemaker"}
    ran = start(environ, events=[http_event("POST", "/v2/models/digits/infer", b"{}")], run=RUN)
    (answer,) = [json.loads(line[7:]) for line in ran.stdout.splitlines() if line.startswith("ANSWER ")]
    status, _, content = read_answer(answer)
    assert (status, json.loads(content)) == (503, {"error": "no version of digits is released yet"})
