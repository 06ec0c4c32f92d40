"""``functions.inference.predictor``: verified bytes in, arrays out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from functions.inference.artifact import LayerArtifact
from functions.inference.predictor import BadInputError, Predictor, threads_for
from model_store.contract import extensions
from model_store.contract.environment import FILES_FOLDER
from model_store.contract.errors import IntegrityError
from tests.unit.functions.conftest import Caller

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Layer


def load(layer: Layer) -> Predictor:
    return Predictor.load(LayerArtifact(str(layer.package), layer.manifest))


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


def test_the_steps_of_a_pipeline_run_as_one_model(pipeline_layer: Layer) -> None:
    predict = load(pipeline_layer)
    results = predict({"pixels": np.array([[0, 0, 0, 1], [2, 0, 0, 0]], np.uint8)}, ["word", "scores"])
    assert results["word"].tolist() == ["high", "high"]
    np.testing.assert_allclose(results["scores"], [[0.9, 1.0, 1.1], [0, 0.2, 0.4]], rtol=1e-6)


def test_a_caller_sends_bytes_and_gets_words(pipeline_layer: Layer) -> None:
    caller = Caller(pipeline_layer.load())
    pixels = {"name": "pixels", "datatype": "UINT8", "shape": [1, 4], "data": [0, 0, 0, 1]}
    reply = caller.infer(pixels, outputs=[{"name": "word"}])
    assert reply.json["outputs"] == [{"name": "word", "datatype": "BYTES", "shape": [1], "data": ["high"]}]


def test_a_step_that_refuses_is_the_callers_fault(pipeline_layer: Layer) -> None:
    with pytest.raises(BadInputError, match="cannot run on these inputs"):
        load(pipeline_layer)({"pixels": np.ones((1, 3), np.uint8)}, ["word"])


def test_no_step_of_a_pipeline_may_be_changed(pipeline_layer: Layer) -> None:
    """Law 2: also the order of the steps is in the digest."""
    (pipeline_layer.package / FILES_FOLDER / "pipeline.json").write_text('{"steps": ["model.onnx"]}')
    with pytest.raises(IntegrityError, match=r"`pipeline\.json`"):
        load(pipeline_layer)


@pytest.mark.usefixtures("text_operators")
def test_a_sentence_goes_in_and_a_word_comes_out(text_model_layer: Layer) -> None:
    """ADR 27: the tokeniser is a step of the artifact, and its operator comes from the layer."""
    caller = Caller(text_model_layer.load())
    for sentence, said in (("Good movies, good", "good"), ("a BAD movie", "bad"), ("été 😀", "good")):
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [sentence]}
        answer = caller.infer(tensor)
        assert answer.status == 200, answer.body
        assert answer.json["outputs"][0]["data"] == [said]


def test_without_the_text_layer_a_model_that_needs_it_does_not_start(
    text_model_layer: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extensions, "find_library", lambda _: None)
    with pytest.raises(IntegrityError, match="no layer of this function has them") as refused:
        text_model_layer.load()
    assert "text" in (refused.value.hint or "")
