"""``releases.ledger``: what append-only lines mean."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model_store.adapters.memory import MemoryStore
from releases.ledger import Ledger, in_force, standing, step_before
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
