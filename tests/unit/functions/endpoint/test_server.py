"""``functions.endpoint.server``: what loading a model finds out. The process itself is a contract test."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.endpoint.server import load
from functions.endpoint.settings import Settings
from model_store.contract.errors import IntegrityError
from tests.unit.functions.conftest import Layer


def settings(layer: Layer) -> Settings:
    return replace(Settings(), model_dir=layer.package)


def test_a_model_whose_rows_are_its_callers_is_batched(linear_layer: Layer) -> None:
    loaded = load(settings(linear_layer), linear_layer.environ)
    assert loaded.batched
    assert loaded.quick
    assert not load(replace(settings(linear_layer), batching="off"), linear_layer.environ).batched


def test_how_many_rows_pay_is_found_out_unless_the_environment_says_to_join_all(linear_layer: Layer) -> None:
    told = replace(settings(linear_layer), max_batch=8)
    assert 1 <= load(told, linear_layer.environ).rows <= 8
    assert load(replace(told, batching="on"), linear_layer.environ).rows == 8
    assert load(replace(told, batching="off"), linear_layer.environ).rows == 1


def test_a_model_with_two_kinds_of_rows_is_not_batched(arithmetic_layer: Layer) -> None:
    assert not load(settings(arithmetic_layer), arithmetic_layer.environ).batched


def test_a_digest_that_is_another_s_is_refused(linear_layer: Layer) -> None:
    """Law 2: the digest is checked when the model is loaded."""
    environ = {**linear_layer.environ, "SWITCHYARD_DIGEST": "sha256:" + "0" * 64}
    with pytest.raises(IntegrityError):
        load(settings(linear_layer), environ)
