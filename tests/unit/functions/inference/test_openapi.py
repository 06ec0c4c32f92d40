"""``functions.inference.openapi``: the page describes the model that is served, with an example that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from functions.inference.openapi import infer_operation
from functions.inference.statuses import STATUS
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
