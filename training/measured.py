"""How good a served file is on a part of the data: measured by onnxruntime, from the file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.declared import CLASSIFICATION
from training.data.prepared import Part
from training.export.parity import Session

Array = NDArray[Any]
_AT_ONCE = 1024


def answers(session: Session, inputs: Array) -> dict[str, Array]:
    """Every output for all of ``inputs``, asked in batches."""
    found = [session(inputs[start : start + _AT_ONCE]) for start in range(0, len(inputs), _AT_ONCE)]
    return {name: np.concatenate([one[name] for one in found]) for name in session.outputs}


def measured(session: Session, part: Part, task: str) -> dict[str, float]:
    """Accuracy, macro F1, log loss for classes; for numbers root mean squared and mean absolute error, R2."""
    given = answers(session, part.inputs)
    if task == CLASSIFICATION:
        probabilities = probabilities_of(given)
        return _of_classes(labels_of(given, probabilities), probabilities, part.targets)
    return _of_numbers(np.asarray(given[session.outputs[0]]).reshape(len(part)), part.targets)


def probabilities_of(given: dict[str, Array]) -> Array:
    """The output that has one number for each class."""
    return next(array for array in given.values() if array.ndim == 2 and array.dtype.kind == "f")


def labels_of(given: dict[str, Array], probabilities: Array) -> Array:
    """The output that names the class; else the most probable one."""
    named = next((array for array in given.values() if array.ndim == 1 and array.dtype.kind == "i"), None)
    return probabilities.argmax(1) if named is None else named


def headline(task: str) -> tuple[str, bool]:
    """The metric that versions are compared by, and whether more of it is better."""
    return ("accuracy", True) if task == CLASSIFICATION else ("rmse", False)


def _of_classes(labels: Array, probabilities: Array, targets: Array) -> dict[str, float]:
    right = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    scores = []
    for one in np.unique(targets):
        hits = float(((labels == one) & (targets == one)).sum())
        named, there = float((labels == one).sum()), float((targets == one).sum())
        scores.append(2 * hits / (named + there))
    return {
        "accuracy": float((labels == targets).mean()),
        "macro_f1": float(np.mean(scores)),
        "log_loss": float(-np.log(np.clip(right, 1e-12, 1)).mean()),
    }


def _of_numbers(values: Array, targets: Array) -> dict[str, float]:
    errors = values.astype(np.float64) - targets
    spread = float(((targets - targets.mean()) ** 2).mean())
    return {
        "rmse": float(np.sqrt((errors**2).mean())),
        "mae": float(np.abs(errors).mean()),
        "r2": float(1 - (errors**2).mean() / spread) if spread else 0.0,
    }
