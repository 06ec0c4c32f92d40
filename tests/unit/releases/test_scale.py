"""A stage that has grown old: ten thousand lines and leases, and how often AWS is asked for all that."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, cast

import pytest

from model_store.contract.keys import (
    lease_end_key,
    lease_key,
    ledger_key,
    ledger_page_key,
    manifest_key,
    tombstone_key,
)
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore
from model_store.versions import listed, recent
from releases.controller import Controller
from releases.lease import lease
from releases.ledger import PAGE_LINES
from releases.records import Line, Note, canonical
from releases.stage import Stage
from releases.status import status
from tests.unit.releases.world import World

LINES = 10_000


class Calls:
    """A store that counts what it is asked; a listing is a call for every thousand keys that were read."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner
        self.made: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.made[name] += 1
            answer = call(*args, **kwargs)
            return self._pages(name, answer) if name in ("keys", "entries") else answer

        return counted

    def _pages(self, name: str, answer: Any) -> Any:
        for number, item in enumerate(answer):
            if number and number % 1_000 == 0:
                self.made[name] += 1
            yield item

    @property
    def sum(self) -> int:
        return self.made.total()


@pytest.fixture
def old(world: World) -> tuple[World, Calls, Stage]:
    """Versions 1 and 2 were released in turn ten thousand times, and every one of them took the lease."""
    for version in (1, 2):
        world.controller().release(ByVersion("digits", version))
    first, second = reversed(world.controller().history("digits"))
    later = []
    for number in range(3, LINES + 1):
        line = Line(number, replace((second, first)[number % 2].plan, id=f"line-{number}"))
        world.store.put_once(ledger_key("digits", "live", number), line.to_json())
        later.append(line)
    lines = [first, second, *later]
    for page in range(LINES // PAGE_LINES):
        body = canonical([line.as_json() for line in lines[page * PAGE_LINES : (page + 1) * PAGE_LINES]])
        world.store.put_once(ledger_page_key("digits", "live", page + 1), body)
    for number in range(100, LINES + 1):
        world.store.put_once(lease_key("digits", number), b"{}")
        world.store.put_once(lease_end_key("digits", number), b"{}")
    calls = Calls(world.store)
    return world, calls, world.stage(store=cast("ObjectStore", calls))


def test_status_and_history_of_an_old_alias_are_a_bounded_number_of_calls(
    old: tuple[World, Calls, Stage],
) -> None:
    world, calls, stage = old
    assert len(Controller(stage).history("digits")) == LINES
    assert calls.sum <= 110
    calls.made.clear()
    assert status(stage, "digits").version == 2
    stage.pins("digits").differences()
    assert calls.sum <= 240
    with lease(stage.store, stage.clock, "digits", holder="ann"):
        assert world.store.exists(lease_key("digits", LINES + 1))


def test_a_rollback_from_an_old_ledger_is_a_bounded_number_of_calls(
    old: tuple[World, Calls, Stage],
) -> None:
    """Law 6: one flip, however much happened before."""
    world, calls, stage = old
    world.functions.meddle(stage.function("digits"), "live", note=Note(LINES, f"line-{LINES}", 2).to_text())
    assert Controller(stage).rollback("digits").ref == ByVersion("digits", 1)
    assert calls.sum <= 350
    assert len(list(world.store.keys("models/digits/releases/live/"))) == LINES + 1


def test_ten_thousand_versions_are_listed_in_a_dozen_calls(world: World) -> None:
    for number in range(100, 10_100):
        world.store.put_once(manifest_key("digits", number), b"")
    world.store.put_once(tombstone_key("digits", 105), b"{}")
    calls = Calls(world.store)
    assert len(recent(cast("ObjectStore", calls), "digits", 20)) == 20
    assert calls.sum <= 12
    calls.made.clear()
    found = listed(cast("ObjectStore", calls), "digits")
    assert found[-1].ref == ByVersion("digits", 10_099)
    assert len(found) >= 9_999
    assert calls.sum <= 12
