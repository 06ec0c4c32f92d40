"""``model_store.sweeps``: how a collection tells everybody what it is about to take."""

import pytest

from model_store.contract.digest import Digest
from model_store.contract.errors import CollectionRunningError
from model_store.contract.names import ByVersion
from model_store.sweeps import (
    DELETING_SECONDS,
    POLL_SECONDS,
    SWEEP_SECONDS,
    Sweep,
    claim,
    end,
    must_not_be_going,
    running,
    wait_out,
)
from tests.unit.model_store.shelf import Shelf

ONE = ByVersion("bert", 1)
BLOB = Digest.of(b"blob")
SIGNATURE_SECONDS = 15 * 60.0
"""How long AWS takes a signed request. Source: Signature Version 4, "Elements of a request signature"."""


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def begin(shelf: Shelf) -> Sweep:
    return claim(shelf.store, shelf.now, by="collector", versions=[ONE], blobs=[BLOB])


def test_a_sweep_names_what_it_wants_until_it_ends(shelf: Shelf) -> None:
    assert running(shelf.store, shelf.now) is None
    sweep = begin(shelf)
    assert running(shelf.store, shelf.now) == sweep
    assert sweep.versions == {"bert:1"}
    assert sweep.blobs == {BLOB.hex}
    for _ in range(2):
        end(shelf.store, sweep)
    assert running(shelf.store, shelf.now) is None
    assert begin(shelf).number == 2


def test_only_one_runs_at_a_time_and_a_dead_one_for_an_hour(shelf: Shelf) -> None:
    begin(shelf)
    shelf.wait(seconds=SWEEP_SECONDS - 1)
    with pytest.raises(CollectionRunningError, match="by collector is under way"):
        begin(shelf)
    shelf.wait(seconds=1)
    assert begin(shelf).number == 2


def test_of_two_claims_at_the_same_moment_one_is_told(shelf: Shelf) -> None:
    class Beaten(type(shelf.store)):  # type: ignore[misc]
        def keys(self, prefix: str, after: str | None = None) -> object:
            found = list(super().keys(prefix, after))
            if not found:
                begin(shelf)
            return iter(found)

    late = Beaten()
    late._objects, late._written = shelf.store._objects, shelf.store._written
    with pytest.raises(CollectionRunningError):
        claim(late, shelf.now, by="late", versions=[], blobs=[])
    assert running(shelf.store, shelf.now) is not None


def test_a_paused_collector_is_refused_by_aws_before_others_stop_reckoning_with_it() -> None:
    """Law 10: a delete that was signed in time is too old before its sweep has expired."""
    assert DELETING_SECONDS + SIGNATURE_SECONDS < SWEEP_SECONDS


def test_only_what_a_sweep_names_is_refused(shelf: Shelf) -> None:
    begin(shelf)
    must_not_be_going(shelf.store, shelf.now, ByVersion("bert", 2))
    with pytest.raises(CollectionRunningError) as refused:
        must_not_be_going(shelf.store, shelf.now, ONE)
    assert "Wait until it has ended" in str(refused.value.hint)


def test_waiting_ends_with_the_sweep_and_is_only_for_its_blobs(shelf: Shelf) -> None:
    sweep = begin(shelf)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            end(shelf.store, sweep)

    wait_out(shelf.store, [Digest.of(b"other")], now=shelf.now, sleep=sleep)
    assert slept == []
    wait_out(shelf.store, [BLOB], now=shelf.now, sleep=sleep)
    assert slept == [POLL_SECONDS] * 3
