"""Metrics, as scikit-learn computes them."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from training.data.prepared import Part
from training.measured import headline, measured


class _Says:
    """A session that gives what it was made with."""

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.outputs = tuple(given)
        self.at = 0

    def __call__(self, inputs: Any) -> dict[str, Any]:
        rows = slice(self.at, self.at + len(inputs))
        self.at += len(inputs)
        return {name: array[rows] for name, array in self.given.items()}


DRAWN = np.random.default_rng(4)
TARGETS = DRAWN.integers(0, 3, 2500)
PROBABILITIES = DRAWN.dirichlet([1.0, 1.0, 1.0], 2500).astype(np.float32)
PROBABILITIES /= PROBABILITIES.sum(1, keepdims=True)
INPUTS = np.zeros((2500, 2), np.float32)


@pytest.mark.parametrize("named", [True, False], ids=["labels", "probabilities"])
def test_classes_are_measured_as_scikit_learn_does(named: bool) -> None:
    labels = PROBABILITIES.argmax(1)
    given = {"label": labels, "probabilities": PROBABILITIES} if named else {"probabilities": PROBABILITIES}
    found = measured(_Says(**given), Part(INPUTS, TARGETS), "classification")  # type: ignore[arg-type]
    assert found["accuracy"] == metrics.accuracy_score(TARGETS, labels)
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(TARGETS, labels, average="macro"))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(TARGETS, PROBABILITIES), rel=1e-3)


def test_numbers_are_measured_as_scikit_learn_does() -> None:
    targets = DRAWN.normal(size=2500).astype(np.float32)
    values = targets + DRAWN.normal(scale=0.1, size=2500).astype(np.float32)
    found = measured(_Says(value=values[:, None]), Part(INPUTS, targets), "regression")  # type: ignore[arg-type]
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(targets, values), rel=1e-4)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(targets, values), rel=1e-4)
    assert found["r2"] == pytest.approx(metrics.r2_score(targets, values), rel=1e-4)


def test_versions_are_compared_by_one_number() -> None:
    assert headline("classification") == ("accuracy", True)
    assert headline("regression") == ("rmse", False)
