"""``functions.protocol.metadata``: a version as the protocol describes models."""

from __future__ import annotations

from functions.protocol.metadata import model_metadata
from model_store.contract.digest import Digest
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.tensors import TensorSpec


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
        "platform": "onnx_onnxv1",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, 4], "parameters": {"symbolic_shape": "batch,4"}}
        ],
        "outputs": [{"name": "y", "datatype": "INT64", "shape": [3]}],
        "parameters": {"digest": str(manifest.digest)},
    }


def test_limits_stand_beside_the_digest() -> None:
    manifest = Manifest(
        model="digits",
        version=2,
        files=(ArtifactFile("model.onnx", Digest.of(b"model"), 5),),
        entry="model.onnx",
        inputs=(),
        outputs=(),
        golden=Golden((), ()),
        created_at="2026-11-22T09:00:00+00:00",
        created_by="tests",
    )
    assert model_metadata(manifest, {"max_batch": 8})["parameters"] == {
        "digest": str(manifest.digest),
        "max_batch": 8,
    }
