"""``functions.endpoint.engines.torch``: names, kinds, precision, and what is refused before anything runs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from functions.endpoint.engines import engine_of, load_engine
from functions.endpoint.settings import Settings
from functions.inference.artifact import find_artifact
from functions.inference.predictor import BadInputError, Engine
from functions.protocol.tensors import Array
from model_store.contract.errors import IntegrityError
from model_store.contract.tensors import TensorSpec
from tests.unit.functions.conftest import Layer, lay_out

IMAGE = TensorSpec("image", "FP32", ("n", 64))
SCORES = TensorSpec("scores", "FP32", ("n", 10))
LABEL = TensorSpec("label", "INT64", ("n",))


def load(layer: Layer, settings: Settings | None = None) -> Engine:
    artifact = find_artifact(layer.environ, package=str(layer.package))
    assert artifact is not None
    return load_engine(artifact, settings or Settings(device="cpu"))


def images(rows: int = 3) -> Mapping[str, Array]:
    return {"image": np.random.default_rng(0).random((rows, 64), np.float32)}


def digits(folder: Path, kind: str, *, inputs: TensorSpec = IMAGE, outputs: tuple[TensorSpec, ...]) -> Layer:
    from tests import networks

    name, save = {
        "torch-export": ("model.pt2", networks.save_export),
        "torch-aot": ("model.pt2", networks.save_compiled),
    }[kind]
    data = save(networks.Digits(), folder / name).read_bytes()
    golden = {inputs.name: np.ones((1, 64), np.float32)}
    return lay_out(
        folder / "model",
        {name: data},
        inputs=[inputs],
        outputs=outputs,
        golden=golden,
        entry=name,
        kind=kind,
    )


def expected(rows: int = 3) -> dict[str, Array]:
    import torch

    from tests.networks import Digits

    with torch.no_grad():
        found = Digits().eval()(torch.from_numpy(images(rows)["image"]))
    return {name: tensor.numpy() for name, tensor in found.items()}


@pytest.mark.parametrize(
    ("kind", "engine", "found"),
    [("onnx", "auto", "onnxruntime"), ("torch-export", "auto", "torch"), ("safetensors", "torch", "torch")],
)
def test_the_engine_follows_from_the_artifact(kind: str, engine: str, found: str) -> None:
    assert engine_of(kind, engine) == found


def test_an_engine_that_cannot_run_the_kind_is_refused() -> None:
    with pytest.raises(IntegrityError, match="runs on torch"):
        engine_of("torchscript", "onnxruntime")
    with pytest.raises(IntegrityError, match="runs on onnxruntime"):
        engine_of("onnx", "torch")


def test_what_executes_code_is_not_served() -> None:
    """Law 12: no pickle, whatever was published."""
    with pytest.raises(IntegrityError, match="executes code"):
        engine_of("torch-pickle", "auto")


def test_an_image_without_torch_says_what_it_lacks(
    linear_layer: Layer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "functions.endpoint.engines.torch", None)
    layer = lay_out(
        tmp_path / "m",
        {"model.pt": b""},
        inputs=(),
        outputs=(),
        golden={},
        entry="model.pt",
        kind="torchscript",
    )
    with pytest.raises(IntegrityError, match="does not have") as refused:
        load(layer)
    assert "ENGINE=torch" in str(refused.value.hint)


@pytest.mark.train
def test_an_exported_program_answers_what_the_network_answers(tmp_path: Path) -> None:
    engine = load(digits(tmp_path, "torch-export", outputs=(SCORES, LABEL)))
    found = engine(images(), ("label", "scores"))
    assert list(found) == ["label", "scores"]
    for name, array in expected().items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5)


@pytest.mark.train
def test_tensors_that_have_other_names_in_the_manifest_go_in_order(tmp_path: Path) -> None:
    pixels, best = TensorSpec("pixels", "FP32", ("n", 64)), TensorSpec("best", "INT64", ("n",))
    ten = TensorSpec("ten", "FP32", ("n", 10))
    engine = load(digits(tmp_path, "torch-export", inputs=pixels, outputs=(ten, best)))
    found = engine({"pixels": images()["image"]}, ("best",))
    assert found["best"].tolist() == expected()["label"].tolist()


@pytest.mark.train
def test_what_lies_in_a_request_s_body_is_read_and_not_written_to(tmp_path: Path) -> None:
    engine = load(digits(tmp_path, "torch-export", outputs=(SCORES, LABEL)))
    body = images()["image"].tobytes()
    view = np.frombuffer(body, np.float32).reshape(3, 64)
    np.testing.assert_allclose(
        engine({"image": view}, ("scores",))["scores"], expected()["scores"], rtol=1e-5
    )


@pytest.mark.train
def test_half_precision_is_a_setting_and_answers_keep_their_datatype(tmp_path: Path) -> None:
    layer = digits(tmp_path, "torch-export", outputs=(SCORES, LABEL))
    engine = load(layer, Settings(device="cpu", autocast="bf16"))
    found = engine(images(), ("scores",))["scores"]
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected()["scores"]).max() < 0.02


@pytest.mark.train
def test_a_manifest_that_names_other_tensors_than_the_program_is_not_served(tmp_path: Path) -> None:
    engine = load(digits(tmp_path, "torch-export", outputs=(TensorSpec("one", "FP32", ("n", 10)),)))
    with pytest.raises(IntegrityError, match="gives 2 tensors, and its manifest names 1"):
        engine(images(), ("one",))


@pytest.mark.train
def test_without_a_sample_nobody_knows_what_a_script_takes(tmp_path: Path) -> None:
    layer = lay_out(
        tmp_path / "m",
        {"model.pt": b""},
        inputs=(),
        outputs=(),
        golden={},
        entry="model.pt",
        kind="torchscript",
    )
    with pytest.raises(IntegrityError, match="does not say what the model takes"):
        load(layer)


@pytest.mark.train
def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(tmp_path: Path) -> None:
    """Law 9: what is there is compared with what was asked for."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    layer = digits(tmp_path, "torch-export", outputs=(SCORES, LABEL))
    with pytest.raises(IntegrityError, match="a GPU is asked for"):
        load(layer, Settings(device="cuda"))


def perceptron_files(**config: object) -> dict[str, bytes]:
    """Weights of a perceptron 4-3-2 as safetensors writes them, and the config that names it."""
    rng = np.random.default_rng(1)
    weights = {
        "layers.0.weight": rng.random((3, 4), np.float32),
        "layers.0.bias": rng.random(3, np.float32),
        "layers.1.weight": rng.random((2, 3), np.float32),
        "layers.1.bias": rng.random(2, np.float32),
    }
    said = {"architectures": ["Perceptron"], "sizes": [4, 3, 2], **config}
    return {"model.safetensors": safetensors(weights), "config.json": json.dumps(said).encode()}


def safetensors(weights: Mapping[str, Array]) -> bytes:
    header: dict[str, object] = {}
    at = 0
    for name, array in weights.items():
        span = [at, at + array.nbytes]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": span}
        at += array.nbytes
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(array.tobytes() for array in weights.values())


def perceptron(folder: Path, **config: object) -> Layer:
    return lay_out(
        folder / "model",
        perceptron_files(**config),
        inputs=[TensorSpec("x", "FP32", ("n", 4))],
        outputs=[TensorSpec("y", "FP32", ("n", 2))],
        golden={"x": np.ones((1, 4), np.float32)},
        entry="model.safetensors",
        kind="safetensors",
    )


@pytest.mark.train
def test_weights_with_a_declared_architecture_are_computed(tmp_path: Path) -> None:
    x = np.random.default_rng(2).random((5, 4), np.float32)
    found = load(perceptron(tmp_path))({"x": x}, ("y",))["y"]
    rng = np.random.default_rng(1)
    w0, b0 = rng.random((3, 4), np.float32), rng.random(3, np.float32)
    w1, b1 = rng.random((2, 3), np.float32), rng.random(2, np.float32)
    np.testing.assert_allclose(found, np.maximum(x @ w0.T + b0, 0) @ w1.T + b1, rtol=1e-5)


@pytest.mark.train
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "`LlamaForCausalLM` is not one that this engine knows"),
        ({"sizes": [4, 5, 2]}, "the weights are not those of a Perceptron"),
        ({"activation": "os.system"}, "not an activation"),
    ],
)
def test_weights_of_something_else_are_not_served(
    config: dict[str, object], said: str, tmp_path: Path
) -> None:
    """Law 12: an artifact names an architecture of this engine's and never brings one."""
    with pytest.raises(IntegrityError, match=said):
        load(perceptron(tmp_path, **config))


AOT = "SWITCHYARD_TEST_AOT"


@pytest.mark.train
@pytest.mark.skipif(
    not os.environ.get(AOT) or shutil.which("g++") is None,
    reason=f"compiling takes a minute or two and a compiler: set {AOT}=1",
)
def test_a_compiled_package_answers_and_checks_the_sizes_it_is_given(tmp_path: Path) -> None:
    """Law 12: machine code is published with ``--allow-code``, and told from a program."""
    from model_store.artifact import find_source
    from model_store.contract.errors import InvalidArtifactError

    layer = digits(tmp_path, "torch-aot", outputs=(SCORES, LABEL))
    package = tmp_path / "model.pt2"
    assert any(name.endswith(".so") for name in zipfile.ZipFile(package).namelist())
    with pytest.raises(InvalidArtifactError, match="machine code"):
        find_source(package, kind="torch-export")
    assert find_source(package, allow_code=True).kind == "torch-aot"
    engine = load(layer)
    for name, array in expected().items():
        np.testing.assert_allclose(engine(images(), (name,))[name], array, rtol=1e-5)
    with pytest.raises(BadInputError):
        engine({"image": np.ones((2, 63), np.float32)}, ("scores",))
    with pytest.raises(IntegrityError, match="the precision it was compiled for"):
        load(layer, Settings(device="cpu", autocast="bf16"))
