"""How often clean requests are called drift, and how surely moved ones are: 200 windows each, seeds fixed.

``docs/monitoring-drift.md`` states what comes out here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnxruntime
import pytest
from scipy import ndimage

from drift.compare import LEAST_ROWS, Comparison, compare
from model_store.contract.baseline import INPUT, OUTPUT, Baseline
from model_store.contract.digest import Digest
from model_store.contract.tensors import TensorSpec
from model_store.features import Column, all_columns, summary
from tests.end_to_end.digits import DIGITS

WINDOWS = 200
INPUTS = (TensorSpec("image", "FP32", ("n", 64)),)
OUTPUTS = (TensorSpec("label", "INT64", ("n",)), TensorSpec("probabilities", "FP32", ("n", 10)))


@cache
def session() -> Any:
    return onnxruntime.InferenceSession(DIGITS / "v2" / "model.onnx", providers=["CPUExecutionProvider"])


@cache
def images(name: str) -> Any:
    with np.load(DIGITS / name) as archive:
        return archive["image"].astype(np.float32)


def columns(image: Any) -> list[Column]:
    label, probabilities = session().run(["label", "probabilities"], {"image": image})
    outputs = {"label": label, "probabilities": probabilities}
    return [*all_columns(INPUTS, {"image": image}, INPUT), *all_columns(OUTPUTS, outputs, OUTPUT)]


@cache
def baseline() -> Baseline:
    trained = columns(images("baseline.npz"))
    return Baseline(len(images("baseline.npz")), Digest.of(b""), tuple(map(summary, trained)))


def judged(image: Any) -> Comparison:
    return compare(baseline(), {column.name: column for column in columns(image)}, rows=len(image))


def window(random: np.random.Generator, rows: int) -> Any:
    """Held-out images as callers send them, drawn with repetition."""
    held_out = images("held_out.npz")
    return held_out[random.integers(0, len(held_out), rows)]


@pytest.mark.parametrize("rows", [LEAST_ROWS, 500])
def test_of_200_clean_windows_none_is_called_drift(rows: int) -> None:
    random = np.random.default_rng(rows)
    found = [judged(window(random, rows)) for _ in range(WINDOWS)]
    assert [one.drifted for one in found if one.drifted] == []
    # The margin, as the page of the docs has it.
    highest = max(one.metrics["DriftPsi"] for one in found)
    assert highest == pytest.approx({LEAST_ROWS: 0.227, 500: 0.180}[rows], abs=0.005)


@pytest.mark.parametrize("kind", ["rotated", "noisy", "both"])
def test_of_200_moved_windows_every_one_is(kind: str) -> None:
    random = np.random.default_rng(7)
    missed = 0
    for _ in range(WINDOWS):
        image = window(random, LEAST_ROWS)
        if kind != "noisy":
            turned = ndimage.rotate(image.reshape(-1, 8, 8), 20, axes=(1, 2), reshape=False, order=1)
            image = turned.reshape(-1, 64)
        if kind != "rotated":
            image = np.clip(image + random.normal(0, 2, image.shape), 0, 16)
        found = judged(image.astype(np.float32))
        missed += not any("DriftPsi" in item.findings for item in found.drifted)
    assert missed == 0
