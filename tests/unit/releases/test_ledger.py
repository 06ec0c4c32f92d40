"""``releases.ledger``: what append-only lines mean."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.adapters.memory import MemoryStore
from model_store.contract.keys import ledger_pages_prefix
from model_store.ports import ObjectStore
from releases.ledger import PAGES_AT_ONCE, Ledger, in_force, standing, step_before
from releases.records import Line, Note, Plan


def plan(kind: str, version: int, *, restores: int | None = None, lambda_version: str = "1") -> Plan:
    return Plan(
        id=f"{kind}{version}",
        model="digits",
        alias="live",
        kind=kind,  # type: ignore[arg-type]
        version=version,
        digest="",
        lambda_version=lambda_version,
        base="b",
        from_version=0,
        from_lambda_version="0",
        reason="",
        by="ann",
        at="2026-11-22T00:00:00.000+00:00",
        restores=restores,
    )


def written(moves: list[str]) -> list[Line]:
    """Write a ledger as the controller does: digits release, ``b`` rolls back, ``r`` rebases."""
    lines: list[Line] = []
    for move in moves:
        number = len(lines) + 1
        if move == "b":
            target = step_before(lines)
            if target is None:
                continue
            lines.append(Line(number, plan("rollback", target.version, restores=target.line)))
        elif move == "r":
            now = in_force(lines)
            if now is None:
                continue
            lines.append(Line(number, plan("rebase", now.version)))
        elif move == "x":
            lines.append(Line(number, plan("retire", 0)))
        else:
            lines.append(Line(number, plan("release", int(move))))
    return lines


def versions(lines: list[Line]) -> list[int]:
    return [step.version for step in standing(lines)]


def test_releases_stand_in_order() -> None:
    assert versions(written(["1", "2", "3"])) == [1, 2, 3]


def test_a_rollback_strikes_out_what_came_after() -> None:
    assert versions(written(["1", "2", "3", "b"])) == [1, 2]
    assert versions(written(["1", "2", "3", "b", "b"])) == [1]
    assert versions(written(["1", "2", "3", "b", "3"])) == [1, 2, 3]


def test_a_rebase_is_not_a_step() -> None:
    lines = written(["1", "2", "r", "r"])
    assert versions(lines) == [1, 2]
    assert step_before(lines) is not None


def test_a_rebase_carries_the_lambda_version_on() -> None:
    lines = [*written(["1", "2"]), Line(3, plan("rebase", 2, lambda_version="9"))]
    now = in_force(lines)
    assert now is not None
    assert (now.line, now.lambda_version) == (2, "9")


def test_releasing_the_live_version_again_is_not_a_step() -> None:
    assert versions(written(["1", "2", "2"])) == [1, 2]


def test_nothing_stands_after_a_retirement_until_the_next_release() -> None:
    assert in_force(written(["1", "2", "x"])) is None
    assert versions(written(["1", "2", "x", "2"])) == [2]


@given(st.lists(st.sampled_from(["1", "2", "3", "4", "b", "r", "x"]), max_size=30))
def test_whatever_happened_a_rollback_goes_exactly_one_step_back(moves: list[str]) -> None:
    """Law 6, for every history: never a ping-pong, never a step forward."""
    lines = written(moves)
    before = versions(lines)
    after = versions(written([*moves, "b"]))
    if len(before) > 1:
        assert after == before[:-1]
    else:
        assert after == before


@given(st.lists(st.sampled_from(["1", "2", "3", "b", "r", "x"]), max_size=30))
def test_the_last_step_is_what_the_last_line_put_in_force(moves: list[str]) -> None:
    lines = written(moves)
    now = in_force(lines)
    assert (now.version if now else 0) == (lines[-1].version if lines else 0)


def test_a_line_can_be_completed_from_the_note_of_the_alias() -> None:
    """Law 3: a crash between the move and its line loses nothing."""
    ledger = Ledger(MemoryStore(), "digits", "live")
    first, second = plan("release", 1), plan("release", 2)
    ledger.write_plan(first)
    ledger.append(1, first)
    ledger.write_plan(second)
    missing = ledger.missing(Note(2, second.id, 2), ledger.lines())
    assert missing == Line(2, second)
    ledger.append(missing.line, missing.plan)
    assert ledger.missing(Note(2, second.id, 2), ledger.lines()) is None
    assert ledger.lines() == [Line(1, first), Line(2, second)]


def test_a_note_without_a_plan_completes_nothing() -> None:
    ledger = Ledger(MemoryStore(), "digits", "live")
    assert ledger.missing(Note(1, "gone", 1), []) is None
    assert ledger.missing(Note(0, "", 0), []) is None
    assert ledger.missing(None, []) is None


class Counting:
    """A store that counts what it is asked."""

    def __init__(self, inner: MemoryStore) -> None:
        self._inner = inner
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            return call(*args, **kwargs)

        return counted


def grown(count: int, *, folded: bool = True) -> tuple[Counting, Ledger]:
    """A ledger of ``count`` lines, moved one after the other as the controller does."""
    store = Counting(MemoryStore())
    ledger = Ledger(cast("ObjectStore", store), "digits", "live")
    lines: list[Line] = []
    for number in range(1, count + 1):
        lines.append(ledger.append(number, plan("release", number % 7)))
        if folded:
            ledger.fold(lines)
    store.calls.clear()
    return store, Ledger(cast("ObjectStore", store), "digits", "live")


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_a_ledger_in_pages_reads_as_it_does_line_by_line(count: int) -> None:
    in_pages, by_line = grown(count)[1].lines(), grown(count, folded=False)[1].lines()
    assert in_pages == by_line
    assert [line.line for line in in_pages] == list(range(1, count + 1))


def test_ten_thousand_lines_are_two_hundred_reads_at_most() -> None:
    store, ledger = grown(10_099)
    assert len(ledger.lines()) == 10_099
    assert store.calls == {"keys": 2, "get": 100 + 99}


def test_a_ledger_from_before_there_were_pages_gets_them_over_its_next_moves() -> None:
    store, ledger = grown(1_203, folded=False)
    for number in range(1_204, 1_208):
        lines = ledger.lines()
        store.calls.clear()
        lines.append(ledger.append(number, plan("release", 1)))
        ledger.fold(lines)
        assert store.calls["put_once"] + store.calls["try_put_once"] <= 1 + PAGES_AT_ONCE, (
            "nobody waits long for old lines"
        )
    store.calls.clear()
    assert [line.line for line in ledger.lines()] == list(range(1, 1_208))
    assert store.calls["get"] == 12 + 7


def test_a_page_is_not_written_over_a_line_that_is_missing() -> None:
    """Law 3: a line that a crash kept from being written is completed, and not passed over."""
    store, ledger = grown(0)
    lines = [ledger.append(number, plan("release", 1)) for number in range(1, 102) if number != 40]
    ledger.fold(lines)
    assert not list(store.keys(ledger_pages_prefix("digits", "live")))
    assert len(ledger.lines()) == 100


def test_pages_after_a_gap_are_not_believed() -> None:
    store, ledger = grown(300)
    shelf = MemoryStore()
    for key in store.keys("models/"):
        if not key.endswith("pages/live/000000002.json"):
            shelf.put_once(key, store.get(key))
    assert Ledger(shelf, "digits", "live").lines() == ledger.lines()
