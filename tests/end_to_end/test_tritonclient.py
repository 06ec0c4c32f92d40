"""Law 7: the unmodified ``tritonclient.http`` works against a deployed API, as JSON and as binary data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from functions import VERSION
from tests.conftest import Deployed

pytestmark = pytest.mark.cloud

TYPES: dict[str, tuple[int, Any]] = {
    "FP32": (TensorProto.FLOAT, np.array([[1.5, -2.5], [np.pi, 0]], np.float32)),
    "FP64": (TensorProto.DOUBLE, np.array([[1e300, 0.1]])),
    "FP16": (TensorProto.FLOAT16, np.array([[0.5, 65504]], np.float16)),
    "INT64": (TensorProto.INT64, np.array([[2**62, -1], [0, 7]])),
    "UINT8": (TensorProto.UINT8, np.array([[255, 0]], np.uint8)),
    "BOOL": (TensorProto.BOOL, np.array([[True, False]])),
    "BYTES": (TensorProto.STRING, np.array([["é€😀", ""]], np.object_)),
}
"""Each passed on unchanged, with as many rows as the caller likes."""


def model() -> bytes:
    def tensors(prefix: str) -> list[Any]:
        return [
            helper.make_tensor_value_info(f"{prefix}_{name}", proto, [f"n_{name}", 2])
            for name, (proto, _) in TYPES.items()
        ]

    nodes = [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in TYPES]
    graph = helper.make_graph(nodes, "types", tensors("in"), tensors("out"))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(made.SerializeToString())


@pytest.fixture(scope="module")
def client(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client that knows the address and nothing else; the deployment's second model has every type."""
    path: Path = tmp_path_factory.mktemp("types") / "model.onnx"
    path.write_bytes(model())
    published = deployed.yard_json("publish", "spare", str(path))
    deployed.yard_json("release", f"spare:{published['version']}")
    made = triton.InferenceServerClient(deployed.api_url.removeprefix("http://"))
    yield made
    made.close()
    deployed.yard_json("retire", "spare")


def inputs(*, binary: bool) -> list[Any]:
    given = []
    for name, (_, array) in TYPES.items():
        one = triton.InferInput(f"in_{name}", list(array.shape), name)
        # tritonclient itself refuses to send FP16 as JSON.
        one.set_data_from_numpy(array, binary_data=binary or name == "FP16")
        given.append(one)
    return given


def assert_unchanged(result: Any, *names: str) -> None:
    for name in names:
        array = TYPES[name][1]
        found = result.as_numpy(f"out_{name}")
        texts = [item.decode() if isinstance(item, bytes) else item for item in found.ravel()]
        assert (texts if name == "BYTES" else found.ravel().tolist()) == array.ravel().tolist(), name
        assert found.shape == array.shape


def test_it_finds_server_and_model_alive_and_ready(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_model_ready("spare")
    assert not client.is_model_ready("spare", "9999")
    assert not client.is_model_ready("nobody")


def test_it_reads_the_metadata(client: Any) -> None:
    server = client.get_server_metadata()
    assert (server["name"], server["version"]) == ("switchyard", VERSION)
    assert "binary_tensor_data" in server["extensions"]
    metadata = client.get_model_metadata("spare")
    assert (metadata["name"], metadata["platform"]) == ("spare", "onnx_onnxv1")
    assert {tensor["datatype"] for tensor in metadata["inputs"]} == set(TYPES)
    assert metadata["parameters"]["deadline_ms"] == 10_000
    assert metadata["parameters"]["memory_mb"] == 512


def test_binary_data_go_both_ways(client: Any) -> None:
    """What tritonclient does when nobody tells it otherwise."""
    result = client.infer("spare", inputs(binary=True), request_id="42")
    assert_unchanged(result, *TYPES)
    response = result.get_response()
    assert response["id"] == "42"
    assert all("binary_data_size" in output["parameters"] for output in response["outputs"])


def test_json_goes_both_ways(client: Any) -> None:
    names = [name for name in TYPES if name != "FP16"]
    wanted = [triton.InferRequestedOutput(f"out_{name}", binary_data=False) for name in names]
    result = client.infer("spare", inputs(binary=False), outputs=wanted)
    assert_unchanged(result, *names)
    assert all("data" in output for output in result.get_response()["outputs"])


def test_one_output_may_be_binary_and_the_next_json(client: Any) -> None:
    wanted = [
        triton.InferRequestedOutput("out_INT64", binary_data=True),
        triton.InferRequestedOutput("out_FP32", binary_data=False),
    ]
    result = client.infer("spare", inputs(binary=True), outputs=wanted)
    assert_unchanged(result, "INT64", "FP32")
    assert [output["name"] for output in result.get_response()["outputs"]] == ["out_INT64", "out_FP32"]


def test_a_batch_without_rows_goes_through(client: Any) -> None:
    given = inputs(binary=True)
    empty = triton.InferInput("in_FP32", [0, 2], "FP32")
    empty.set_data_from_numpy(np.zeros((0, 2), np.float32))
    result = client.infer("spare", [empty, *given[1:]], outputs=[triton.InferRequestedOutput("out_FP32")])
    assert result.as_numpy("out_FP32").shape == (0, 2)


def test_four_megabytes_of_tensor_go_through(client: Any) -> None:
    """About what API Gateway's base64 leaves of Lambda's 6 MB."""
    many = np.arange(1_000_000, dtype=np.float32).reshape(-1, 2)
    large = triton.InferInput("in_FP32", list(many.shape), "FP32")
    large.set_data_from_numpy(many)
    wanted = [triton.InferRequestedOutput("out_FP32")]
    result = client.infer("spare", [large, *inputs(binary=True)[1:]], outputs=wanted)
    assert np.array_equal(result.as_numpy("out_FP32"), many)


def test_it_understands_a_refusal(client: Any) -> None:
    wrong = triton.InferInput("in_FP32", [1, 3], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 3), np.float32))
    with pytest.raises(InferenceServerException, match=r"has shape \[1, 3\], and the model takes"):
        client.infer("spare", [wrong, *inputs(binary=True)[1:]])
    with pytest.raises(InferenceServerException, match="no model `nobody` is served here"):
        client.infer("nobody", inputs(binary=True))
