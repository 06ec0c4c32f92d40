"""The laws of ``functions.endpoint.engines``, held against every engine there is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from functions.endpoint.engines import load_engine
from functions.endpoint.settings import Settings
from functions.inference.artifact import find_artifact
from functions.inference.predictor import BadInputError, Engine
from functions.protocol.tensors import DTYPES
from model_store.contract.errors import IntegrityError
from model_store.contract.tensors import TensorSpec
from tests.contract.test_endpoint_container import TABLE, patient_layer
from tests.unit.functions.conftest import Layer, lay_out

Load = Callable[[Layer], Engine]

TORCH = pytest.mark.train
KINDS = ("onnx", pytest.param("torch-export", marks=TORCH), pytest.param("torchscript", marks=TORCH))


@pytest.fixture(params=KINDS)
def layer(request: pytest.FixtureRequest, tmp_path: Path) -> Layer:
    """The patient model as every kind of artifact."""
    if request.param == "onnx":
        return patient_layer(tmp_path / "model")
    return torch_layer(request.param, tmp_path)


@pytest.fixture
def stoppable(layer: Layer) -> Layer:
    if layer.manifest.kind == "torchscript":
        pytest.skip("nothing can interrupt TorchScript; the batcher answers its callers in time")
    return layer


def torch_layer(kind: str, folder: Path) -> Layer:
    """The patient network as an artifact of torch."""
    from tests import networks

    name = {"torch-export": "model.pt2", "torchscript": "model.pt"}[kind]
    save, network = {
        "torch-export": (networks.save_export, networks.Patient()),
        "torchscript": (networks.save_script, networks.PatientScript()),
    }[kind]
    return lay_out(
        folder / "model",
        {name: save(network, folder / name).read_bytes()},
        inputs=[TensorSpec("turns", "INT64", ("n", 1)), TensorSpec("index", "INT64", ("n", 1))],
        outputs=[TensorSpec("value", "FP32", ("n", 1))],
        golden={"turns": np.zeros((1, 1), np.int64), "index": np.full((1, 1), 3, np.int64)},
        model="patient",
        version=1,
        entry=name,
        kind=kind,
    )


@pytest.fixture
def load() -> Load:
    def begin(layer: Layer) -> Engine:
        artifact = find_artifact(layer.environ, package=str(layer.package))
        assert artifact is not None
        return load_engine(artifact, Settings(device="cpu"))

    return begin


def rows(*indices: int, turns: int = 0) -> dict[str, np.ndarray]:
    index = np.array(indices, np.int64).reshape(-1, 1)
    return {"turns": np.full_like(index, turns), "index": index}


def test_the_wanted_outputs_come_with_the_manifest_s_datatypes(layer: Layer, load: Load) -> None:
    outputs = load(layer)(rows(1, 2), ("value",))
    assert list(outputs) == ["value"]
    assert outputs["value"].dtype == DTYPES[layer.manifest.outputs[0].datatype]
    assert outputs["value"].tolist() == [[1.5], [3.0]]


def test_what_the_model_refuses_does_not_touch_the_next_call(layer: Layer, load: Load) -> None:
    engine = load(layer)
    with pytest.raises(BadInputError):
        engine(rows(99), ("value",))
    assert engine(rows(1), ("value",))["value"].tolist() == [[1.5]]


def test_calls_from_several_threads_get_their_own_answers(layer: Layer, load: Load) -> None:
    engine = load(layer)
    with ThreadPoolExecutor(4) as pool:
        asked = [number % 8 for number in range(64)]
        found = list(pool.map(lambda index: engine(rows(index), ("value",))["value"][0, 0], asked))
    assert found == [TABLE[index] for index in asked]


def test_a_run_that_is_told_to_stop_ends_early(stoppable: Layer, load: Load) -> None:
    stop = ort.RunOptions()
    stop.log_severity_level = 4
    timer = threading.Timer(0.2, setattr, (stop, "terminate", True))
    timer.start()
    with pytest.raises(BadInputError):
        load(stoppable)(rows(1, turns=10**12), ("value",), options=stop)


def test_nothing_is_loaded_that_is_not_its_digest(layer: Layer, load: Load) -> None:
    """Law 2: a mismatch refuses to serve."""
    graph = layer.package / "files" / layer.manifest.entry
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(IntegrityError):
        load(layer)
