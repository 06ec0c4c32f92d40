"""``functions.endpoint.server``: what loading a model finds out. The process itself is a contract test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from functions.endpoint.batches import Work
from functions.endpoint.server import QUICK_S, is_quick, load
from functions.endpoint.settings import Settings
from functions.inference.predictor import Stop
from functions.protocol.tensors import Array
from model_store.contract.errors import IntegrityError
from tests.unit.functions.conftest import Layer


def settings(layer: Layer) -> Settings:
    return replace(Settings(), model_dir=layer.package)


def test_a_model_whose_rows_are_its_callers_is_batched(linear_layer: Layer) -> None:
    loaded = load(settings(linear_layer), linear_layer.environ)
    assert loaded.batched
    assert loaded.quick
    assert not load(replace(settings(linear_layer), batching=False), linear_layer.environ).batched


def test_a_model_with_two_kinds_of_rows_is_not_batched(arithmetic_layer: Layer) -> None:
    assert not load(settings(arithmetic_layer), arithmetic_layer.environ).batched


def test_a_digest_that_is_another_s_is_refused(linear_layer: Layer) -> None:
    """Law 2: the digest is checked when the model is loaded."""
    environ = {**linear_layer.environ, "SWITCHYARD_DIGEST": "sha256:" + "0" * 64}
    with pytest.raises(IntegrityError):
        load(settings(linear_layer), environ)


def test_quick_is_measured_with_the_largest_batch() -> None:
    now = 0.0

    def engine(
        inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        nonlocal now
        now += len(inputs["x"]) * QUICK_S / 4
        return {"y": inputs["x"]}

    work = Work({"x": np.zeros((1, 1), np.float32)}, ("y",))
    assert is_quick(engine, work, 1, clock=lambda: now)
    assert not is_quick(engine, work, 32, clock=lambda: now)
