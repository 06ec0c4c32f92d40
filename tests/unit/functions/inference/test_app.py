"""``functions.inference.app`` through the door that API Gateway uses."""

from __future__ import annotations

import json
import random
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import functions
from functions.protocol.tensors import DTYPES
from model_store.contract.events import http_event, read_answer
from tests.unit.functions.conftest import ONNX_TYPES, SAMPLES, Caller

X: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 0, 0, 0]}
A: dict[str, Any] = {"name": "a", "datatype": "FP32", "shape": [2], "data": [1, 0]}
B: dict[str, Any] = {"name": "b", "datatype": "FP32", "shape": [2], "data": [1, 0]}

MODEL_PATHS = ["", "/ready", "/infer", "/versions/2", "/versions/2/ready", "/versions/2/infer"]


def call(caller: Caller, path: str) -> Any:
    body = {"inputs": [X]}
    return caller.post(path, body) if path.endswith("/infer") else caller.get(path)


def test_the_version_that_functions_report_is_the_projects() -> None:
    pyproject = tomllib.loads((Path(functions.__file__).parents[1] / "pyproject.toml").read_text())
    assert pyproject["project"]["version"] == functions.VERSION


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server_says_what_it_is(digits: Caller, path: str) -> None:
    reply = digits.get(path)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == functions.server_metadata()
    assert reply.json["extensions"] == ["binary_tensor_data"]


def test_a_released_function_is_live_and_ready(digits: Caller) -> None:
    assert digits.get("/v2/health/live").json == {"live": True}
    assert digits.get("/v2/health/ready").json == {"live": True, "ready": True}
    assert digits.get("/v2/models/digits/ready").json == {"name": "digits", "ready": True}


def test_the_model_describes_itself(digits: Caller) -> None:
    reply = digits.get("/v2/models/digits")
    assert (reply.status, reply.json["name"], reply.json["versions"]) == (200, "digits", ["2"])
    assert reply.json["platform"] == "onnx_onnxv1"
    assert reply.json["inputs"][0]["shape"] == [-1, 4]
    assert reply.json["parameters"]["digest"] == reply.headers["x-switchyard-digest"]
    assert digits.get("/v2/models/digits/versions/2").json == reply.json


def test_an_inference_comes_back_with_its_version_and_its_id(digits: Caller) -> None:
    reply = digits.infer(X, id="42")
    assert reply.status == 200
    assert (reply.json["model_name"], reply.json["model_version"], reply.json["id"]) == ("digits", "2", "42")
    scores, label = reply.json["outputs"]
    assert (scores["name"], scores["shape"], scores["data"]) == ("scores", [1, 3], [0.0, 0.1, 0.2])
    assert (label["name"], label["shape"], label["data"]) == ("label", [1], [2])


def test_only_the_outputs_that_were_asked_for_come_back(digits: Caller) -> None:
    reply = digits.infer(X, outputs=[{"name": "label"}])
    assert [output["name"] for output in reply.json["outputs"]] == ["label"]


def test_an_empty_batch_has_an_empty_answer(digits: Caller) -> None:
    scores = digits.infer(X | {"shape": [0, 4], "data": []}, outputs=[{"name": "scores"}])
    assert (scores.json["outputs"][0]["shape"], scores.json["outputs"][0]["data"]) == ([0, 3], [])


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream", "", "text/plain"])
def test_the_content_type_makes_no_difference(digits: Caller, content_type: str) -> None:
    reply = digits.post("/v2/models/digits/infer", {"inputs": [X]}, content_type=content_type)
    assert reply.status == 200


def test_every_datatype_goes_through_the_model_unchanged(every_datatype: Caller) -> None:
    inputs = [
        {"name": f"in_{name.lower()}", "datatype": name, "shape": [1, 2], "data": [SAMPLES[name]]}
        for name in ONNX_TYPES
    ]
    reply = every_datatype.infer(*inputs)
    assert reply.status == 200
    answered = {output["name"]: output for output in reply.json["outputs"]}
    for name in ONNX_TYPES:
        output = answered[f"out_{name.lower()}"]
        assert (output["datatype"], output["shape"]) == (name, [1, 2])
        assert [DTYPES[name].type(value) for value in output["data"]] == [
            DTYPES[name].type(value) for value in SAMPLES[name]
        ]


@pytest.mark.parametrize("path", ["/v2", "/nowhere", *(f"/v2/models/digits{rest}" for rest in MODEL_PATHS)])
def test_every_answer_names_the_exact_version_and_digest(digits: Caller, path: str) -> None:
    """Law 2: answers and metadata name the exact version and digest."""
    reply = call(digits, path)
    assert reply.headers["x-switchyard-model"] == "digits:2"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", reply.headers["x-switchyard-digest"])


@pytest.mark.parametrize("rest", MODEL_PATHS)
def test_another_model_is_a_404_that_names_the_served_one(digits: Caller, rest: str) -> None:
    reply = call(digits, f"/v2/models/fraud{rest}")
    assert (reply.status, reply.json) == (404, {"error": "no model `fraud` is served here, this is `digits`"})


@pytest.mark.parametrize("version", ["1", "02", "live"])
@pytest.mark.parametrize("rest", ["", "/ready", "/infer"])
def test_another_version_is_a_404_that_names_the_served_one(digits: Caller, version: str, rest: str) -> None:
    reply = call(digits, f"/v2/models/digits/versions/{version}{rest}")
    assert reply.status == 404
    assert reply.json == {"error": f"version `{version}` of digits is not served here, version 2 is"}


@pytest.mark.parametrize("rest", MODEL_PATHS)
def test_model_routes_answer_503_before_the_first_release(unreleased: Caller, rest: str) -> None:
    reply = call(unreleased, f"/v2/models/digits{rest}")
    assert (reply.status, reply.json) == (503, {"error": "no version of digits is released yet"})


def test_an_unreleased_function_is_live_and_not_ready(unreleased: Caller) -> None:
    assert unreleased.get("/v2/health/live").status == 200
    assert unreleased.get("/v2").status == 200
    reply = unreleased.get("/v2/health/ready")
    assert (reply.status, reply.json) == (503, {"error": "no version of digits is released yet"})
    assert unreleased.get("/v2/models/fraud").status == 404


@pytest.mark.parametrize(
    "path", ["/", "/v2/nothing", "/v2/models", "/v2/models/digits/infre", "/docs", "/openapi.json"]
)
def test_an_unknown_route_is_a_404_in_json(digits: Caller, path: str) -> None:
    reply = digits.get(path)
    assert (reply.status, reply.json) == (404, {"error": f"there is no `GET {path}` here"})


def test_a_wrong_method_is_a_405_in_json_that_says_which_is_right(digits: Caller) -> None:
    reply = digits.get("/v2/models/digits/infer")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert reply.json == {"error": "`/v2/models/digits/infer` does not take GET"}
    assert digits.post("/v2", {}).status == 405


@pytest.mark.parametrize("prefix", ["/candidate", "/prod", "/prod/candidate"])
def test_a_prefix_before_the_protocols_path_is_cut(digits: Caller, prefix: str) -> None:
    assert digits.get(f"{prefix}/v2/models/digits/ready").status == 200
    assert digits.post(f"{prefix}/v2/models/digits/infer", {"inputs": [X]}).status == 200


def test_seven_megabytes_of_body_are_a_413(digits: Caller) -> None:
    reply = digits.post("/v2/models/digits/infer", b" " * 7_000_000)
    assert reply.status == 413
    assert reply.json["error"].startswith("the body has 7000000 bytes, and at most ")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "the body is not JSON: "),
        (b'{"inputs": [{"data": [NaN]}]}', "the body is not JSON: NaN is not a JSON number"),
        (b"[" * 100_000, "the body is not JSON: it is nested too deeply"),
        (b"", "the body is empty"),
    ],
)
def test_a_body_that_is_not_json_is_a_400(digits: Caller, body: bytes, words: str) -> None:
    reply = digits.post("/v2/models/digits/infer", body)
    assert reply.status == 400
    assert reply.json["error"].startswith(words)


def test_a_wrong_shape_is_a_400_that_says_what_was_expected(digits: Caller) -> None:
    reply = digits.infer(X | {"shape": [1, 5], "data": [0] * 5})
    assert reply.status == 400
    assert reply.json == {"error": "input `x` has shape [1, 5], and the model takes [batch, 4]"}


def test_inputs_that_do_not_fit_each_other_are_a_400(arithmetic: Caller) -> None:
    reply = arithmetic.infer(A, B | {"shape": [3], "data": [1, 2, 3]})
    assert reply.status == 400
    assert re.match(
        r"the model cannot run on these inputs, its `(Add|Div)` step refuses", reply.json["error"]
    )


def test_a_result_that_json_cannot_carry_is_a_422_and_never_invalid_json(arithmetic: Caller) -> None:
    reply = arithmetic.infer(A, B)
    assert reply.status == 422
    assert reply.json["error"].startswith("the model answered NaN in output `quotient` at position 1")
    assert arithmetic.infer(A, B, outputs=[{"name": "sum"}]).status == 200


def test_one_log_line_per_request_says_what_happened_and_nothing_that_was_sent(digits: Caller) -> None:
    event = http_event("POST", "/v2/models/digits/infer", json.dumps({"inputs": [X]}).encode())
    digits.event(event)
    digits.post("/v2/models/private-word/infer", {"inputs": [X | {"name": "private-word"}]})
    digits.get("/private-word")
    first, second, third = digits.log
    assert first["request_id"] == event["requestContext"]["requestId"]
    assert (first["model"], first["version"], first["method"]) == ("digits", "2", "POST")
    assert (first["route"], first["status"]) == ("/v2/models/{model}/infer", 200)
    assert first["ms"] > 0
    assert [line["cold"] for line in (first, second, third)] == [True, False, False]
    assert (second["status"], third["status"], third["route"]) == (404, 404, "unknown")
    assert "private-word" not in "".join(digits.lines)


PATHS = [
    "/v2", "/v2/health/live", "/v2/health/ready", "/candidate/v2/models/digits/ready",
    *(f"/v2/models/digits{rest}" for rest in MODEL_PATHS),
]  # fmt: skip

BODIES: list[Any] = [
    {"inputs": [X], "id": "7"},
    {"inputs": [X], "outputs": [{"name": "label"}], "parameters": {"binary_data_output": True}},
    {"inputs": []},
    b"{",
    b"",
    {"inputs": [X | {"shape": [1, 5]}]},
]


@pytest.mark.parametrize("path", PATHS)
def test_the_quick_way_and_the_framework_give_the_same_answers(digits: Caller, path: str) -> None:
    """ADR 11: two ways in, one behaviour."""
    framework = digits.door._start_framework()
    for content in BODIES if path.endswith("/infer") else [None]:
        method = "POST" if content is not None else "GET"
        body = content if isinstance(content, bytes | None) else json.dumps(content).encode()
        event = http_event(method, path, body)
        quick, slow = read_answer(digits.door(event, None)), read_answer(framework(event, None))
        assert quick == (slow[0], {k: v for k, v in slow[1].items() if k != "content-length"}, slow[2])
        logged_quick, logged_slow = digits.log[-2:]
        assert logged_quick["route"] == logged_slow["route"]


def test_an_openapi_page_describes_the_served_model(digits: Caller) -> None:
    page = digits.get("/v2/models/digits/docs")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"/v2/models/digits/openapi.json" in page.body
    document = digits.get("/v2/models/digits/openapi.json").json
    assert set(document["paths"]) >= {"/v2", "/v2/health/ready", "/v2/models/{model}/infer"}


def test_the_openapi_page_of_another_alias_finds_its_own_document(digits: Caller) -> None:
    page = digits.get("/candidate/v2/models/digits/docs")
    assert b"/candidate/v2/models/digits/openapi.json" in page.body
    document = digits.get("/candidate/v2/models/digits/openapi.json").json
    assert document["servers"] == [{"url": "/candidate"}]


PIECES = [
    b"NaN", b"Infinity", b"-", b"1e39", b"1e400", b"300", b"null", b"true", b"[]", b"{}", b"[[[[", b"]]]]",
    b'"', b"\\", b"\x00", b"\xff", b"\xf0\x9f\x98\x80", b"\\ud800", b'"FP64"', b'"BYTES"', b"[-1,4]", b"[0,4]",
    b"18446744073709551616", b'"inputs"', b'"outputs":[{"name":"label"}],', b",", b":", b"1.5", b"[1,",
]  # fmt: skip


def mutated(chance: random.Random, body: bytes) -> bytes:
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(body) + 1)
        end = min(len(body), start + chance.choice((0, 0, 1, 1, 4, 20)))
        body = body[:start] + chance.choice((b"", bytes([chance.randrange(256)]), *PIECES)) + body[end:]
    return body


def test_no_body_whatever_makes_the_server_fail(every_datatype: Caller, arithmetic: Caller) -> None:
    """A few thousand hostile bodies: every one gets a 4xx or an answer, in JSON, and never a 5xx."""
    chance = random.Random(20261122)
    typed = [
        {"name": f"in_{name.lower()}", "datatype": name, "shape": [1, 2], "data": [SAMPLES[name]]}
        for name in ONNX_TYPES
    ]
    statuses = set()
    for caller, inputs in ((every_datatype, typed), (arithmetic, [A, B | {"data": [1, 1]}])):
        body = json.dumps({"id": "1", "inputs": inputs}).encode()
        for _ in range(1500):
            reply = caller.post(f"/v2/models/{caller.served.model}/infer", mutated(chance, body))
            assert ("error" in reply.json) == (reply.status != 200)
            statuses.add(reply.status)
    assert {200, 400} <= statuses <= {200, 400, 413, 422}
