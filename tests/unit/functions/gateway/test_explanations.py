"""``functions.gateway.explanations``: the path of a function's explanations, and what the endpoint is asked."""

from __future__ import annotations

import json

import pytest

from functions.gateway.adapters.memory import MemoryEndpoint
from functions.gateway.explanations import explain_routes
from functions.gateway.ports import Said
from functions.inference.door import HttpDoor
from functions.inference.released import Unreleased
from functions.inference.request_log import RequestLog
from model_store.contract.environment import EXPLAIN
from tests.unit.functions.conftest import Layer
from tests.unit.functions.gateway.conftest import GatewayCaller, pin_of

BODY = {"inputs": [], "parameters": {"explain_method": "integrated_gradients"}}
ANSWER = b'{"outputs": [], "parameters": {"method": "integrated_gradients"}}'


@pytest.fixture
def caller(linear_layer: Layer) -> GatewayCaller:
    pin = pin_of(linear_layer)

    def answer(body: bytes, _: int | None) -> Said:
        if json.loads(body)["inputs"]:
            return Said(400, b'{"error": "`explain_steps` is 0"}')
        return Said(200, ANSWER, None, pin.headers)

    made = GatewayCaller(pin, MemoryEndpoint(answer))
    routes = explain_routes(made.service, {EXPLAIN: "1"})
    made.door = HttpDoor(made.service, RequestLog(made.pin.labels, made.lines.append), routes)
    return made


@pytest.mark.parametrize("path", ["/v2/models/digits/explain", "/v2/models/digits/versions/2/explain"])
def test_the_endpoint_is_asked_to_explain_and_its_answer_is_passed_on(
    caller: GatewayCaller, path: str
) -> None:
    reply = caller.post(path, json.dumps(BODY).encode())
    assert (reply.status, reply.body) == (200, ANSWER)
    assert caller.endpoint.explained == 1
    assert caller.endpoint.asked == [(json.dumps(BODY).encode(), None)]
    assert caller.log[0]["route"].endswith("/explain")


def test_what_the_endpoint_refuses_is_refused_in_its_words(caller: GatewayCaller) -> None:
    reply = caller.post("/v2/models/digits/explain", json.dumps({"inputs": [1]}).encode())
    assert (reply.status, reply.json) == (400, {"error": "`explain_steps` is 0"})


def test_an_inference_is_none_that_explains(caller: GatewayCaller) -> None:
    assert caller.post("/v2/models/digits/infer", json.dumps(BODY).encode()).status == 200
    assert caller.endpoint.explained == 0


def test_there_is_no_such_path_without_the_catalog_s_word_or_a_version(caller: GatewayCaller) -> None:
    assert explain_routes(caller.service, {}) == {}
    nothing = GatewayCaller(Unreleased("digits"), caller.endpoint)
    assert explain_routes(nothing.service, {EXPLAIN: "1"}) == {}
