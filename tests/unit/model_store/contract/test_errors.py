"""``model_store.contract.errors``: one tree, drawn at its top, and every leaf explained."""

import re

import pytest

from model_store.contract import errors
from model_store.contract.errors import ModelStoreError, SwitchyardError

KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SwitchyardError)
]


def test_the_drawn_tree_is_the_tree() -> None:
    """Nobody adds an error without drawing it."""
    drawn = set(re.findall(r"(\w+Error)\b", errors.__doc__ or ""))
    assert {kind.__name__ for kind in KINDS} == drawn


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_sentence_and_keeps_its_hint_apart(kind: type[SwitchyardError]) -> None:
    assert kind.__doc__
    error = kind("`x` is not there", hint="Put it there.")
    assert (str(error), error.hint) == ("`x` is not there", "Put it there.")
    assert kind("`x` is not there").hint is None


def test_who_catches_the_stores_errors_does_not_catch_the_others() -> None:
    assert not issubclass(errors.ReleaseError, ModelStoreError)
    assert not issubclass(errors.CatalogError, ModelStoreError)
    assert issubclass(errors.LocalFileError, ModelStoreError)
