"""``functions.inference.openapi``: the page describes the model that is served, with an example that works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
from onnx import helper

from functions.inference.adapters.memory import MemoryObjects
from functions.inference.door import HttpDoor
from functions.inference.handoff import Handoff
from functions.inference.limits import Limits
from functions.inference.openapi import add_uploads, infer_operation
from functions.inference.request_log import RequestLog
from functions.inference.service import ModelService
from functions.inference.statuses import STATUS
from model_store.contract.events import http_event, read_answer
from model_store.contract.tensors import TensorSpec
from tests.unit.functions.conftest import Caller, lay_out, onnx_model

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.functions.conftest import Layer


def test_the_example_is_a_request_that_works(digits: Caller) -> None:
    described = infer_operation(digits.service)["requestBody"]["content"]["application/json"]
    reply = digits.post("/v2/models/digits/infer", described["example"])
    assert reply.status == 200


def test_the_schema_names_the_models_own_tensors(digits: Caller) -> None:
    described = infer_operation(digits.service)["requestBody"]["content"]["application/json"]
    properties = described["schema"]["properties"]
    (x,) = properties["inputs"]["items"]["oneOf"]
    assert x["properties"]["name"]["const"] == "x"
    assert x["properties"]["shape"]["prefixItems"][1] == {"type": "integer", "const": 4}
    assert properties["outputs"]["items"]["properties"]["name"]["enum"] == ["scores", "label"]


def test_every_status_that_an_error_can_have_is_described(digits: Caller) -> None:
    responses = infer_operation(digits.service)["responses"]
    assert {str(status) for status in STATUS.values()} | {"200"} == set(responses)


def test_a_large_golden_sample_is_no_example(package: Path) -> None:
    specs, out = [TensorSpec("x", "FP32", (100,))], [TensorSpec("y", "FP32", (100,))]
    layer = lay_out(
        package,
        {"model.onnx": onnx_model([helper.make_node("Neg", ["x"], ["y"])], specs, out).SerializeToString()},
        inputs=specs,
        outputs=out,
        golden={"x": np.ones(100, np.float32)},
    )
    described = infer_operation(Caller(layer.load()).service)
    assert "example" not in described["requestBody"]["content"]["application/json"]


def test_a_function_without_a_release_has_a_page_too(unreleased: Caller) -> None:
    assert unreleased.get("/v2/models/digits/docs").status == 200
    assert unreleased.get("/v2/models/digits/openapi.json").json["info"]["title"] == "digits on Switchyard"


UPLOADS = ("/v2/models/{model}/uploads", "/v2/models/{model}/versions/{version}/uploads")


def test_the_page_lists_the_hand_off_where_the_model_has_one_and_only_there(linear_layer: Layer) -> None:
    """ADR 12: what is answered before the framework is on its page all the same."""
    with_it = Caller(linear_layer.load(), Limits(memory_mb=512, handoff_max_bytes=1_000_000))
    paths = with_it.get("/v2/models/digits/openapi.json").json["paths"]
    assert set(UPLOADS) <= set(paths)
    asked = paths[UPLOADS[0]]["post"]["requestBody"]["content"]["application/json"]
    assert asked["schema"]["properties"]["bytes"]["maximum"] == asked["example"]["bytes"] == 1_000_000
    assert [each["name"] for each in paths[UPLOADS[1]]["post"]["parameters"]] == ["model", "version"]
    without = Caller(linear_layer.load()).get("/v2/models/digits/openapi.json").json["paths"]
    assert not [path for path in without if "uploads" in path]


def test_what_the_page_says_of_an_upload_is_what_the_hand_off_does(linear_layer: Layer) -> None:
    service = ModelService(linear_layer.load(), Limits(memory_mb=512, handoff_max_bytes=1_000_000))
    schema: dict[str, Any] = {"paths": {}}
    add_uploads(schema, service)
    post = schema["paths"][UPLOADS[0]]["post"]
    routes = Handoff(service, MemoryObjects(), bucket="handoff").routes
    assert len([path for _, path in routes if path.endswith("/uploads")]) == len(schema["paths"])
    door = HttpDoor(service, RequestLog({}, lambda _: None), routes)
    body = json.dumps(post["requestBody"]["content"]["application/json"]["example"]).encode()
    status, _, answer = read_answer(door(http_event("POST", "/v2/models/digits/uploads", body), None))
    assert status == 200
    described = post["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(json.loads(answer), described)
    assert set(json.loads(answer)) == set(described["properties"])
