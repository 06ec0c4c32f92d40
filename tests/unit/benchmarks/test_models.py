"""``benchmarks.models``: the three models are what they are called, and the same every time."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from benchmarks.models import SUBJECTS

SIZES_MB = {"perceptron": (2, 3), "resnet": (44, 50), "encoder": (85, 95)}


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_model_runs_on_its_request_and_has_the_size_it_claims(name: str) -> None:
    subject = SUBJECTS[name]()
    low, high = SIZES_MB[name]
    assert low < len(subject.graph) / 1e6 < high
    session = ort.InferenceSession(subject.graph, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": subject.input})
    assert np.isfinite(answer).all()
    assert (answer.shape[0], len(answer.shape)) == (1, len(subject.output_shape))


def test_the_same_seed_gives_the_same_model() -> None:
    assert SUBJECTS["perceptron"]().graph == SUBJECTS["perceptron"]().graph
