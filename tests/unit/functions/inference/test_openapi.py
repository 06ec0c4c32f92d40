"""``functions.inference.openapi``: the page describes the model that is served, with an example that works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import helper

from functions.inference.adapters.memory import MemoryObjects
from functions.inference.handoff import Handoff
from functions.inference.limits import Limits
from functions.inference.openapi import infer_operation, upload_operation
from functions.inference.service import ModelService
from functions.inference.statuses import STATUS
from model_store.contract.events import http_event
from model_store.contract.tensors import TensorSpec
from tests.unit.functions.conftest import Caller, lay_out, onnx_model

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_model_that_hands_off_says_where_to_send_large_payloads(digits: Caller) -> None:
    """A client that is generated from the page finds the whole way; without a hand-off there is none."""
    handing = Caller(digits.served, Limits(handoff_max_bytes=1000))
    paths = handing.get("/v2/models/digits/openapi.json").json["paths"]
    for path in ("/v2/models/{model}/uploads", "/v2/models/{model}/versions/{version}/uploads"):
        described = paths[path]["post"]
        body = described["requestBody"]["content"]["application/json"]["schema"]
        assert body["properties"]["bytes"]["maximum"] == 1000
        told = described["responses"]["200"]["content"]["application/json"]["schema"]
        assert {"input_ref", "url", "headers"} <= set(told["required"])
    assert not any("uploads" in path for path in digits.get("/v2/models/digits/openapi.json").json["paths"])


def test_the_page_says_what_an_upload_is_answered_with(digits: Caller) -> None:
    """The description is held against the hand-off itself."""
    service = ModelService(digits.served, Limits(handoff_max_bytes=1000))
    event = http_event("POST", "/v2/models/digits/uploads", b'{"bytes": 4}')
    told = json.loads(Handoff(service, MemoryObjects(), bucket="b").upload(event, None).body)
    described = upload_operation(1000)["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(told) == set(described["required"]) == set(described["properties"])


@pytest.mark.parametrize("path", ["other/uploads", "digits/versions/9/uploads"])
def test_uploads_of_another_model_or_version_are_no_path_here(digits: Caller, path: str) -> None:
    for limits in (Limits(), Limits(handoff_max_bytes=1000)):
        assert Caller(digits.served, limits).post(f"/v2/models/{path}", {"bytes": 1}).status == 404


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
