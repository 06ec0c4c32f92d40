"""``releases.lease``: one at a time, and a dead holder is waited out."""

from __future__ import annotations

import threading

import pytest

from model_store.adapters.memory import MemoryStore
from releases.errors import LeaseHeldError
from releases.lease import LEASE_SECONDS, lease
from releases.ports import SystemClock
from tests.unit.releases.world import StillClock


def test_a_lease_that_ended_can_be_taken_at_once() -> None:
    store, clock = MemoryStore(), StillClock()
    before = clock.now()
    for _ in range(3):
        with lease(store, clock, "digits", holder="ann"):
            pass
    assert clock.now() == before


def test_a_held_lease_is_refused_after_patience_and_the_holder_is_named() -> None:
    store, clock = MemoryStore(), StillClock()
    with (
        lease(store, clock, "digits", holder="ann"),
        pytest.raises(LeaseHeldError, match="prepared by ann"),
        lease(store, clock, "digits", holder="bob", patience_s=5),
    ):
        pass


def test_leases_of_different_models_do_not_meet() -> None:
    store, clock = MemoryStore(), StillClock()
    with (
        lease(store, clock, "digits", holder="ann"),
        lease(store, clock, "words", holder="bob", patience_s=0),
    ):
        pass


def test_the_lease_of_a_dead_holder_runs_out() -> None:
    store, clock = MemoryStore(), StillClock()
    dead = lease(store, clock, "digits", holder="ann")
    dead.__enter__()
    started = clock.now()
    with lease(store, clock, "digits", holder="bob", patience_s=LEASE_SECONDS * 2):
        assert clock.now() - started == pytest.approx(LEASE_SECONDS, abs=1)


def test_a_stage_may_have_a_shorter_lease() -> None:
    store, clock = MemoryStore(), StillClock()
    dead = lease(store, clock, "digits", holder="ann", seconds=20)
    dead.__enter__()
    started = clock.now()
    with lease(store, clock, "digits", holder="bob", seconds=20):
        assert clock.now() - started == pytest.approx(20, abs=1)


def test_a_lease_ends_when_its_work_fails() -> None:
    store, clock = MemoryStore(), StillClock()
    with pytest.raises(ValueError, match="no"), lease(store, clock, "digits", holder="ann"):
        raise ValueError("no")
    with lease(store, clock, "digits", holder="bob", patience_s=0):
        pass


def test_of_many_at_once_one_holds_it_at_any_time() -> None:
    store = MemoryStore()
    holding: list[str] = []
    most = 0

    def work(name: str) -> None:
        nonlocal most
        with lease(store, SystemClock(), "digits", holder=name, patience_s=30):
            holding.append(name)
            most = max(most, len(holding))
            holding.remove(name)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
