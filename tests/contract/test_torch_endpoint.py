"""One network as ONNX and as a program of torch, published and served by processes: the same answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from onnx import helper

from functions.protocol.tensors import Array
from model_store.adapters.memory import MemoryStore
from model_store.contract import environment
from model_store.contract.keys import blob_key
from model_store.contract.manifest import Manifest
from model_store.contract.tensors import TensorSpec
from model_store.publish import publish
from tests.contract.test_endpoint_container import Endpoint
from tests.unit.functions.conftest import Layer, onnx_model

pytestmark = pytest.mark.train

INPUTS = [TensorSpec("image", "FP32", ("n", 64))]
OUTPUTS = [TensorSpec("scores", "FP32", ("n", 10)), TensorSpec("label", "INT64", ("n",))]


def as_onnx(folder: Path) -> Path:
    """The weights of ``tests.networks.Digits`` in a graph put together by hand."""
    from tests.networks import Digits

    weights = {
        name.replace(".", "_"): value.detach().numpy() for name, value in Digits().state_dict().items()
    }
    nodes = [
        helper.make_node("Gemm", ["image", "hidden_weight", "hidden_bias"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "last_weight", "last_bias"], ["scores"], transB=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    path = folder / "digits.onnx"
    path.write_bytes(onnx_model(nodes, INPUTS, OUTPUTS, weights).SerializeToString())
    return path


def sample(folder: Path) -> Path:
    """A golden sample with both sides, as torch answers it."""
    import torch

    from tests.networks import Digits

    image = torch.rand(1, 64, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        answer = Digits().eval()(image)

    def tensor(name: str, datatype: str, value: Any) -> dict[str, Any]:
        data = value.reshape(-1).tolist()
        return {"name": name, "datatype": datatype, "shape": list(value.shape), "data": data}

    path = folder / "sample.json"
    said = [tensor("scores", "FP32", answer["scores"]), tensor("label", "INT64", answer["label"])]
    path.write_text(json.dumps({"inputs": [tensor("image", "FP32", image)], "outputs": said}))
    return path


def laid_out(store: MemoryStore, manifest: Manifest, package: Path) -> Layer:
    """The model folder as a release lays it out."""
    for file in manifest.files:
        target = package / environment.FILES_FOLDER / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"".join(store.chunks(blob_key(file.digest))))
    slim = replace(manifest, golden=manifest.golden.without_values())
    (package / environment.MANIFEST_FILE).write_bytes(slim.to_json())
    (package / environment.GOLDEN_FILE).write_text(json.dumps(manifest.golden.as_json()))
    environ = {
        environment.MODEL: manifest.model,
        environment.VERSION: str(manifest.version),
        environment.DIGEST: str(manifest.digest),
        environment.STAGE: "test",
    }
    return Layer(package, manifest, environ)


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Endpoint]]:
    """Version 1 is ONNX, version 2 is torch.export, version 3 is TorchScript."""
    from tests import networks

    folder = tmp_path_factory.mktemp("published")
    store = MemoryStore()
    both = sample(folder)
    script = json.loads(both.read_text())
    for side in ("inputs", "outputs"):
        for tensor in script[side]:
            sizes = ",".join(["n", *map(str, tensor["shape"][1:])])
            tensor["parameters"] = {"symbolic_shape": sizes}
    with_names = folder / "with-names.json"
    with_names.write_text(json.dumps(script))
    ways = (
        ("onnx", as_onnx(folder), both),
        ("torch-export", networks.save_export(networks.Digits(), folder / "net.pt2"), both),
        ("torchscript", networks.save_script(networks.Digits(), folder / "net.pt"), with_names),
    )
    started: dict[str, Endpoint] = {}
    try:
        for kind, path, golden in ways:
            manifest = publish(
                store, "digits", path, kind=kind, sample=golden, created_by="tests", force_new=True
            ).manifest
            layer = laid_out(store, manifest, folder / kind)
            started[kind] = Endpoint(layer, layer.package, SWITCHYARD_GRPC_PORT="0", SWITCHYARD_EXPLAIN="1")
        for endpoint in started.values():
            endpoint.ready()
        yield started
    finally:
        for endpoint in started.values():
            endpoint.stop()


def ask(endpoint: Endpoint, images: Array) -> Iterator[dict[str, Array]]:
    """The answers over REST and over gRPC, from Triton's own clients."""
    for module, port in ((tritonclient.http, endpoint.port), (tritonclient.grpc, endpoint.grpc_port)):
        client = module.InferenceServerClient(f"127.0.0.1:{port}")
        image = module.InferInput("image", list(images.shape), "FP32")
        image.set_data_from_numpy(images)
        answer = client.infer("digits", [image])
        yield {name: answer.as_numpy(name) for name in ("scores", "label")}
        client.close()


@pytest.mark.parametrize("kind", ["torch-export", "torchscript"])
def test_torch_answers_what_onnx_answers_over_rest_and_grpc(
    kind: str, endpoints: dict[str, Endpoint]
) -> None:
    """Law 7: one protocol, whatever runs behind it."""
    images = np.random.default_rng(1).random((5, 64), np.float32)
    (expected, *same) = [*ask(endpoints["onnx"], images), *ask(endpoints[kind], images)]
    for found in same:
        np.testing.assert_allclose(found["scores"], expected["scores"], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(found["label"], expected["label"])


def test_each_says_what_it_is_and_that_its_rows_can_be_joined(endpoints: dict[str, Endpoint]) -> None:
    platforms = {kind: endpoint.get("/v2/models/digits").json() for kind, endpoint in endpoints.items()}
    assert {kind: said["platform"] for kind, said in platforms.items()} == {
        "onnx": "onnx_onnxv1",
        "torch-export": "pytorch_export",
        "torchscript": "pytorch_torchscript",
    }
    assert {tuple(said["versions"]) for said in platforms.values()} == {("1",), ("2",), ("3",)}
    for endpoint in endpoints.values():
        assert endpoint.wait_for("ready")["batched"]
    assert endpoints["torch-export"].wait_for("ready")["providers"] == ["torch cpu"]


def test_torch_refuses_what_onnx_refuses(endpoints: dict[str, Endpoint]) -> None:
    images = np.ones((2, 63), np.float32)
    for endpoint in endpoints.values():
        with pytest.raises(tritonclient.utils.InferenceServerException, match=r"\[2, 63\]"):
            next(ask(endpoint, images))


def explained(endpoint: Endpoint, path: str, image: Array, *attributes: str, **parameters: Any) -> Any:
    body = {
        "inputs": [
            {"name": "image", "datatype": "FP32", "shape": [1, 64], "data": image.reshape(-1).tolist()}
        ],
        "parameters": {"explain_target": 3, **parameters},
    }
    told = {"x-amzn-sagemaker-custom-attributes": ";".join(attributes)} if attributes else {}
    answer = httpx.post(endpoint.url + path, json=body, headers=told, timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-switchyard-model"].startswith("digits:")
    return answer.json()


@pytest.mark.parametrize("kind", ["torch-export", "torchscript"])
def test_gradients_explain_an_answer_of_torch_completely(kind: str, endpoints: dict[str, Endpoint]) -> None:
    """Completeness, on the path of the protocol and on the one that SageMaker has for everything."""
    image = np.random.default_rng(2).random((1, 64), np.float32)
    endpoint = endpoints[kind]
    said = explained(endpoint, "/v2/models/digits/explain", image)
    (worth,) = said["outputs"]
    told = said["parameters"]
    assert (worth["name"], worth["shape"], told["method"]) == ("image", [1, 64], "integrated_gradients")
    missing = told["value"] - told["baseline_value"] - sum(worth["data"])
    assert missing == pytest.approx(0, abs=3e-3)
    assert told["unexplained"] == pytest.approx(missing, abs=1e-5)
    closer = explained(endpoint, "/v2/models/digits/explain", image, explain_steps=256)["parameters"]
    assert abs(closer["unexplained"]) < 5e-4
    (scores, _) = ask(endpoint, image)
    assert told["value"] == pytest.approx(scores["scores"][0, 3], abs=1e-4)
    attributes = ("x-switchyard-call=explain", "traceparent=00-0-0-00")
    assert explained(endpoint, "/invocations", image, *attributes) == said
    # The same network as a graph has no gradients; occlusion ranks its pixels much as they do.
    occluded = explained(endpoints["onnx"], "/v2/models/digits/explain", image)
    assert occluded["parameters"]["method"] == "occlusion"
    assert np.corrcoef(worth["data"], occluded["outputs"][0]["data"])[0, 1] > 0.9


def test_an_explanation_is_no_inference(endpoints: dict[str, Endpoint]) -> None:
    endpoint = endpoints["torch-export"]
    before = endpoint.get("/metrics").text
    explained(endpoint, "/v2/models/digits/explain", np.ones((1, 64), np.float32))
    counted = [line for line in before.splitlines() if "requests_total" in line]
    assert [
        line for line in endpoint.get("/metrics").text.splitlines() if "requests_total" in line
    ] == counted
    assert endpoint.get("/v2/models/digits").json()["parameters"]["explain_max_parts"] == 256
    assert endpoint.get("/v2/models/digits/explain").status_code == 405
    assert httpx.post(endpoint.url + "/v2/models/cats/explain", json={}, timeout=20).status_code == 404
