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
from tests.contract.test_endpoint_container import TABLE, patient_layer
from tests.unit.functions.conftest import Layer

Load = Callable[[Layer], Engine]


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    return patient_layer(tmp_path / "model")


@pytest.fixture(params=["onnxruntime"])
def load(request: pytest.FixtureRequest) -> Load:
    def begin(layer: Layer) -> Engine:
        artifact = find_artifact(layer.environ, package=str(layer.package))
        assert artifact is not None
        return load_engine(artifact, Settings(engine=request.param, device="cpu"))

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


def test_a_run_that_is_told_to_stop_ends_early(layer: Layer, load: Load) -> None:
    stop = ort.RunOptions()
    stop.log_severity_level = 4
    timer = threading.Timer(0.2, setattr, (stop, "terminate", True))
    timer.start()
    with pytest.raises(BadInputError):
        load(layer)(rows(1, turns=10**12), ("value",), options=stop)


def test_nothing_is_loaded_that_is_not_its_digest(layer: Layer, load: Load) -> None:
    """Law 2: a mismatch refuses to serve."""
    graph = layer.package / "files" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(IntegrityError):
        load(layer)
