"""``functions.protocol.words``: what a caller sent is named, never repeated at length."""

from __future__ import annotations

import pytest

from functions.protocol.words import kind, quoted


@pytest.mark.parametrize(
    ("value", "word"),
    [(True, "a boolean"), (1, "a number"), ("x", "a string"), ({}, "an object"), (b"", "something else")],
)
def test_a_value_is_named_by_its_kind(value: object, word: str) -> None:
    assert kind(value) == word


def test_a_long_word_is_cut() -> None:
    assert quoted("x" * 80) == f"`{'x' * 80}`"
    assert quoted("x" * 81) == f"`{'x' * 80}…`"
