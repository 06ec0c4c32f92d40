"""``model_store.pins``: a person's word that a version is kept."""

import pytest

from model_store.contract.errors import CollectionRunningError, NotFoundError
from model_store.contract.names import ByVersion
from model_store.pins import Pin, pin, pins, unpin
from model_store.sweeps import claim, end
from tests.unit.model_store.shelf import Shelf

ONE = ByVersion("bert", 1)


@pytest.fixture
def shelf() -> Shelf:
    made = Shelf()
    made.publish("one")
    return made


def hold(shelf: Shelf, by: str = "ana", reason: str = "audit") -> Pin:
    return pin(shelf.store, ONE, reason=reason, by=by, at="2026-01-01T00:00:00Z", now=shelf.now)


def test_a_pin_says_who_and_why(shelf: Shelf) -> None:
    made = hold(shelf)
    assert pins(shelf.store, "bert") == [made] == [Pin.from_json(made.to_json())]
    assert (made.ref, made.number, made.by, made.reason) == (ONE, 1, "ana", "audit")


def test_everybody_has_a_pin_of_their_own_and_unpinning_lets_go_of_all(shelf: Shelf) -> None:
    hold(shelf)
    hold(shelf, by="bob")
    assert [made.by for made in pins(shelf.store, "bert")] == ["ana", "bob"]
    assert len(unpin(shelf.store, ONE, reason="done", by="cleo", at="later")) == 2
    assert pins(shelf.store, "bert") == []


def test_a_version_can_be_pinned_again(shelf: Shelf) -> None:
    """Law 1: the earlier pin and its end stay as they were written."""
    hold(shelf)
    unpin(shelf.store, ONE, reason="done", by="ana", at="later")
    assert hold(shelf, reason="again").number == 2
    assert [made.reason for made in pins(shelf.store, "bert")] == ["again"]
    assert len(list(shelf.store.keys("models/bert/pins/"))) == 3


def test_what_does_not_exist_cannot_be_pinned(shelf: Shelf) -> None:
    with pytest.raises(NotFoundError, match="`bert:2` does not exist"):
        pin(shelf.store, ByVersion("bert", 2), reason="", by="ana", at="", now=shelf.now)
    assert list(shelf.store.keys("models/bert/pins/")) == []


def test_what_is_not_pinned_cannot_be_let_go(shelf: Shelf) -> None:
    with pytest.raises(NotFoundError, match="`bert:1` is not pinned"):
        unpin(shelf.store, ONE, reason="", by="ana", at="")


def test_what_a_collection_may_be_taking_is_not_promised_to_anybody(shelf: Shelf) -> None:
    """Law 10: of a pin and a collection one gives way."""
    sweep = claim(shelf.store, shelf.now, by="collector", versions=[ONE], blobs=[])
    with pytest.raises(CollectionRunningError, match="`bert:1` may be taken away by it"):
        hold(shelf)
    end(shelf.store, sweep)
    assert hold(shelf).number == 2
