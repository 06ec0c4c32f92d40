"""``functions.inference.predictor``: verified bytes in, arrays out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from functions.inference.artifact import Artifact
from functions.inference.predictor import BadInputError, Predictor, threads_for
from model_store.contract.environment import FILES_FOLDER

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Layer


def load(layer: Layer) -> Predictor:
    return Predictor.load(Artifact(layer.package / FILES_FOLDER, layer.manifest))


def test_the_wanted_outputs_come_back_in_the_wanted_order(linear_layer: Layer) -> None:
    predict = load(linear_layer)
    x = np.array([[1, 0, 0, 0], [0, 0, 0, 2]], np.float32)
    results = predict({"x": x}, ["label", "scores"])
    assert list(results) == ["label", "scores"]
    assert results["label"].tolist() == [2, 2]
    np.testing.assert_allclose(results["scores"], [[0, 0.1, 0.2], [1.8, 2.0, 2.2]], rtol=1e-6)


def test_a_model_with_external_data_is_loaded_from_its_own_folder(external_layer: Layer) -> None:
    scores = load(external_layer)({"x": np.ones((1, 4), np.float32)}, ["scores"])["scores"]
    np.testing.assert_allclose(scores, [[1.8, 2.2, 2.6]], rtol=1e-6)


def test_inputs_that_do_not_fit_each_other_are_the_callers_fault(arithmetic_layer: Layer) -> None:
    predict = load(arithmetic_layer)
    with pytest.raises(BadInputError) as refused:
        predict({"a": np.ones(2, np.float32), "b": np.ones(3, np.float32)}, ["sum"])
    message = str(refused.value)
    assert re.match(r"the model cannot run on these inputs, its `(Add|Div)` step refuses them: ", message)
    assert "2 by 3" in message
    assert "/" not in message
    assert "onnxruntime" not in message


def test_a_refused_run_does_not_spoil_the_next(arithmetic_layer: Layer) -> None:
    predict = load(arithmetic_layer)
    with pytest.raises(BadInputError):
        predict({"a": np.ones(2, np.float32), "b": np.ones(3, np.float32)}, ["sum"])
    assert predict({"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)}, ["sum"])["sum"].tolist() == [
        2,
        2,
    ]


@pytest.mark.parametrize(
    ("memory_mb", "threads"), [(0, 1), (128, 1), (1769, 1), (3008, 1), (3538, 2), (10_240, 5)]
)
def test_threads_are_the_whole_vcpus_that_the_memory_size_buys(memory_mb: int, threads: int) -> None:
    assert threads_for(memory_mb) == threads


def test_a_refused_run_writes_nothing_of_the_callers_to_the_log(
    arithmetic_layer: Layer, capfd: pytest.CaptureFixture[str]
) -> None:
    predict = load(arithmetic_layer)
    with pytest.raises(BadInputError):
        predict({"a": np.ones(2, np.float32), "b": np.ones(3, np.float32)}, ["sum"])
    assert capfd.readouterr() == ("", "")
