"""``releases.shifts``: what is written down of a shift, and whether it still has its alias."""

from __future__ import annotations

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.names import ByAlias
from releases.adapters.memory_executions import MemoryExecutions
from releases.errors import ServiceError, ShiftRunningError
from releases.records import Line, Plan
from releases.shifts import PREPARE_PATIENCE_S, Shift, Shifts, end_execution, refuse_while_running
from tests.unit.releases.world import Around

LIVE = ByAlias("digits", "live")
NOW = 1_000.0


def shift(number: int = 1, **changes: object) -> Shift:
    facts = {
        "number": number,
        "id": f"id-{number}",
        "model": "digits",
        "alias": "live",
        "version": 3,
        "from_version": 2,
        "shares": (0.05, 0.5),
        "bake_s": 120.0,
        "hold_s": 1800.0,
        "min_requests": 30,
        "after_line": 4,
        "by": "ann",
        "at": "2026-11-22T00:00:00.000+00:00",
        "began": NOW,
        "reason": "better",
    }
    return Shift(**{**facts, **changes})  # type: ignore[arg-type]


def line(number: int, kind: str = "release", of: str = "", share: float = 0.05) -> Line:
    plan = Plan(
        id=f"plan-{number}",
        model="digits",
        alias="live",
        kind=kind,  # type: ignore[arg-type]
        version=2,
        digest="",
        lambda_version="2",
        base="b",
        from_version=1,
        from_lambda_version="1",
        reason="",
        by="ann",
        at="2026-11-22T00:00:00.000+00:00",
        shift=of,
        weights={"3": share} if kind == "shift" else {},
    )
    return Line(number, plan)


def test_what_is_written_down_is_read_back() -> None:
    shifts = Shifts(MemoryStore(), LIVE)
    assert shifts.newest() is None
    assert shifts.claim(shift())
    assert shifts.load(1) == shift()
    assert shifts.newest() == shift()


def test_a_number_is_claimed_once() -> None:
    shifts = Shifts(MemoryStore(), LIVE)
    assert shifts.claim(shift())
    assert not shifts.claim(shift())
    assert shifts.running_and_next([line(4)], NOW) == (shift(), 2)


@pytest.mark.parametrize(
    ("lines", "later", "running"),
    [
        ([line(4)], 0.0, True),
        ([line(4)], PREPARE_PATIENCE_S, False),
        ([line(4), line(5, "shift", "id-1")], 1e9, True),
        ([line(4), line(5, "shift", "id-1"), line(6, "shift", "id-1")], 0.0, True),
        ([line(4), line(5, "shift", "id-1"), line(6, "release", "id-1")], 0.0, False),
        ([line(4), line(5, "shift", "id-1"), line(6, "stop", "id-1")], 0.0, False),
        ([line(4), line(5, "shift", "id-1"), line(6, "alarm", "id-1")], 0.0, False),
        ([line(4), line(5, "release")], 0.0, False),
    ],
    ids=[
        "it prepares",
        "it never began",
        "in its first step",
        "in its second step",
        "it flipped",
        "it was stopped",
        "an alarm took it back",
        "somebody released past it",
    ],
)
def test_the_ledger_says_whether_a_shift_is_on_its_way(
    lines: list[Line], later: float, *, running: bool
) -> None:
    shifts = Shifts(MemoryStore(), LIVE)
    shifts.claim(shift())
    assert (shifts.running(lines, NOW + later) is not None) is running


def test_a_shift_that_ended_before_its_first_step_says_why_once() -> None:
    shifts = Shifts(MemoryStore(), LIVE)
    shifts.claim(shift())
    assert shifts.why_ended(1) is None
    shifts.end(1, "it failed its checks", NOW)
    shifts.end(1, "something else", NOW)
    assert shifts.why_ended(1) == "it failed its checks"
    assert shifts.running([line(4)], NOW) is None
    assert shifts.running_and_next([line(4)], NOW) == (None, 2)


def test_the_refusal_names_who_shifts_what_and_how_far_it_is() -> None:
    refuse_while_running(None, [], "unused")
    with pytest.raises(ShiftRunningError) as refused:
        refuse_while_running(shift(), [line(4), line(5, "shift", "id-1", 0.25)], "yard flip digits:4")
    assert "from `digits:2` to `digits:3` (25% so far, asked for by ann" in str(refused.value)
    assert refused.value.hint is not None
    assert "yard stop digits" in refused.value.hint


def test_an_execution_that_cannot_be_ended_is_a_warning() -> None:
    def before(_: str) -> None:
        raise ServiceError("Step Functions is out")

    (said,) = end_execution(Around(MemoryExecutions(), before=before), "id-1", "enough")
    assert "Step Functions is out" in said
    assert end_execution(None, "id-1", "enough") == ()
