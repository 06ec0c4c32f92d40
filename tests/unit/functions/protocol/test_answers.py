"""``functions.protocol.answers``: what is written is the protocol's, and always JSON."""

from __future__ import annotations

import json

import numpy as np

from functions.protocol.answers import encode_answer, model_metadata
from model_store.contract.digest import Digest
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.names import ByVersion
from model_store.contract.tensors import TensorSpec

REF = ByVersion("digits", 2)


def test_an_answer_names_the_version_and_keeps_the_order_of_the_outputs() -> None:
    outputs = {"label": np.array([3]), "scores": np.array([[0.5, 1.5]], np.float16)}
    assert json.loads(encode_answer(REF, outputs, id_="42")) == {
        "model_name": "digits",
        "model_version": "2",
        "id": "42",
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [1], "data": [3]},
            {"name": "scores", "datatype": "FP16", "shape": [1, 2], "data": [0.5, 1.5]},
        ],
    }


def test_an_answer_has_no_id_when_the_request_had_none() -> None:
    assert "id" not in json.loads(encode_answer(REF, {}))
    assert json.loads(encode_answer(REF, {}, id_=""))["id"] == ""


def test_metadata_write_chosen_sizes_as_minus_one_and_keep_their_names() -> None:
    manifest = Manifest(
        model="digits",
        version=2,
        files=(ArtifactFile("model.onnx", Digest.of(b"model"), 5),),
        entry="model.onnx",
        inputs=(TensorSpec("x", "FP32", ("batch", 4)),),
        outputs=(TensorSpec("y", "INT64", (3,)),),
        golden=Golden((), ()),
        created_at="2026-11-22T09:00:00+00:00",
        created_by="tests",
    )
    assert model_metadata(manifest) == {
        "name": "digits",
        "versions": ["2"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, 4], "parameters": {"symbolic_shape": "batch,4"}}
        ],
        "outputs": [{"name": "y", "datatype": "INT64", "shape": [3]}],
        "parameters": {"digest": str(manifest.digest)},
    }
