"""``model_store.compare``: how two versions differ."""

from dataclasses import replace

from model_store.compare import Change, changes
from model_store.contract.digest import Digest
from model_store.contract.manifest import NO_GOLDEN, ArtifactFile, Golden, Manifest
from model_store.contract.tensors import TensorData, TensorSpec

ONE = Manifest(
    model="digits",
    version=1,
    files=(ArtifactFile("model.onnx", Digest.of(b"one"), 1000),),
    entry="model.onnx",
    inputs=(TensorSpec("x", "FP32", ("batch", 64)),),
    outputs=(TensorSpec("y", "FP32", ("batch",)),),
    golden=Golden((TensorData("x", "FP32", (1,), (0.0,)),), (TensorData("y", "FP32", (1,), (0.0,)),)),
    created_at="2026-05-17T10:30:05Z",
    created_by="ana",
    metrics={"accuracy": 0.95, "loss": 0.2},
    lineage={"opset": "17"},
)


def by_name(found: list[Change]) -> dict[str, tuple[str, str, str]]:
    return {f"{one.part} {one.name}": (one.before, one.after, one.remark) for one in found}


def test_who_and_when_are_no_differences_of_the_version() -> None:
    assert changes(ONE, replace(ONE, version=2, created_at="2026-06-01T00:00:00Z", created_by="bob")) == []


def test_every_part_that_differs_is_named_with_both_sides() -> None:
    other = replace(
        ONE,
        version=2,
        files=(
            ArtifactFile("model.onnx", Digest.of(b"two"), 250),
            ArtifactFile("labels.txt", Digest.of(b""), 0),
        ),
        inputs=(TensorSpec("x", "UINT8", ("batch", 64)),),
        outputs=(TensorSpec("scores", "FP32", ("batch", 10)),),
        golden=NO_GOLDEN,
        metrics={"accuracy": 0.94, "f1": 0.9},
        lineage={"opset": "17", "parent": "digits:1"},
        note="quantised",
    )
    found = by_name(changes(ONE, other))
    assert found["artifact bytes"] == ("1,000", "250", "-75.0%")
    assert found["artifact golden sample"] == ("rtol 0.0001, atol 1e-05", "none", "")
    assert found["inputs x"] == ("FP32 ['batch', 64]", "UINT8 ['batch', 64]", "")
    assert found["outputs y"] == ("FP32 ['batch']", "", "")
    assert found["outputs scores"] == ("", "FP32 ['batch', 10]", "")
    assert found["metrics accuracy"] == ("0.95", "0.94", "-0.01")
    assert found["metrics loss"] == ("0.2", "", "")
    assert found["metrics f1"] == ("", "0.9", "")
    assert found["lineage parent"] == ("", "digits:1", "")
    assert found["note note"] == ("", "quantised", "")
    assert {"artifact digest", "files model.onnx", "files labels.txt"} <= set(found)
    assert "artifact kind" not in found
    assert "lineage opset" not in found
