"""``functions.inference.released``: a caller gets what it names, or hears what is there instead."""

from __future__ import annotations

import pytest

from functions.inference.released import Unreleased, selected
from functions.protocol.errors import NotReadyError, UnknownModelError
from tests.unit.functions.conftest import Layer


def test_what_is_served_is_selected_by_name_by_number_or_by_nothing(linear_layer: Layer) -> None:
    served = linear_layer.load()
    assert selected(served, None, None) is served
    assert selected(served, "digits", "2") is served


@pytest.mark.parametrize(
    ("model", "version", "words"),
    [("digit", None, "no model `digit` is served here"), ("digits", "02", "version `02` of digits")],
)
def test_something_else_is_refused_with_what_there_is(
    linear_layer: Layer, model: str, version: str | None, words: str
) -> None:
    with pytest.raises(UnknownModelError, match=words):
        selected(linear_layer.load(), model, version)


def test_before_the_first_release_the_model_is_known_and_nothing_is_served() -> None:
    with pytest.raises(NotReadyError, match="no version of digits is released yet"):
        selected(Unreleased("digits"), "digits", None)
    with pytest.raises(UnknownModelError):
        selected(Unreleased("digits"), "other", None)
