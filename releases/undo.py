"""Undo: what an alarm does when it fires, if it is one of those that undo.

It takes back the release that it was made for, and nothing else: an alarm of a release that was
superseded, of one that somebody broke the glass for, or of one that has served for an hour changes
nothing. What it saw is read again first, from when that release began: data of the version before it,
or of an earlier stint of the same version, is no reason, and then the alarm is armed again.
"""

from __future__ import annotations

from model_store.contract.deployment import UNDOING_ALARMS
from model_store.contract.names import ByAlias
from releases import alarms
from releases.alarms import AlarmName, release_of
from releases.controller import Controller
from releases.errors import LostRaceError
from releases.health import Served, health, whole_periods_after
from releases.ledger import step_before
from releases.move import Seen
from releases.records import Line, moment
from releases.shifting import Shifting
from releases.stage import Stage

PERIODS = 4
"""So many periods back an alarm's own evaluation reaches, the unfinished one included."""

ROUNDS = 5


def undo(stage: Stage, alarm: str, reason: str) -> str:
    """Take back what ``alarm`` was made for if it still is there to take back; say what was done.

    Safe to repeat, and to be told twice: the second time finds the release gone.
    """
    name = AlarmName.parse(alarm)
    if name is None or name.stage != stage.name:
        return f"`{alarm}` is no alarm of a release of stage `{stage.name}`"
    if name.what not in UNDOING_ALARMS:
        return f"`{alarm}` tells people, and takes nothing back"
    for attempt in range(ROUNDS):
        try:
            return _undo(stage, name, alarm, reason)
        except LostRaceError:
            if attempt == ROUNDS - 1:
                raise
    raise AssertionError("the last round returns or raises")


def _undo(stage: Stage, name: AlarmName, alarm: str, reason: str) -> str:
    seen = stage.mover(name.model, name.alias).look()
    last = seen.lines[-1] if seen.lines else None
    if last is not None and last.plan.kind == "shift" and last.plan.shift == name.release:
        _, tried = alarms.served_while_shifting(stage, last.plan)
        began = moment(next(line for line in seen.lines if line.plan.shift == name.release).plan.at)
        if not (complaints := _complaints(stage, name, tried, began)):
            return _again(stage, alarm)
        shift = stage.shifts(name.model, name.alias).newest()
        why = f"{'; '.join(complaints)} ({reason})"
        if shift is not None and Shifting(stage).take_back(shift, why=why, because="alarm"):
            return f"took the share of {shift.ref} back: {why}"
        return "the shift had ended"
    line = alarms.guarded(seen.lines, stage.clock.now())
    if line is None or release_of(line.plan) != name.release:
        return f"the release of `{alarm}` is not there to take back any more"
    if not (
        complaints := _complaints(stage, name, alarms.served_now(stage, line.plan), moment(line.plan.at))
    ):
        return _again(stage, alarm)
    return _take_back(stage, name, seen, f"{'; '.join(complaints)} ({reason})")


def _complaints(stage: Stage, name: AlarmName, served: Served, began: float) -> list[str]:
    """What the alarm fired for, as far as it happened since ``began``."""
    keeper = alarms.alarms_of(stage, name.model, name.alias)
    if stage.monitoring is None or keeper is None:
        return []
    period_s, now = stage.alarm_period_s, stage.clock.now()
    # Lambda's own counts of an alias without weights hold what other versions did before.
    first = whole_periods_after(began, period_s) if name.what == alarms.ERRORS else began
    since = max(first, now - PERIODS * period_s)
    if since >= now:
        return []
    (found,) = health(stage.monitoring, [served], since=since, until=now, period_s=period_s)
    state = keeper.of(name.release).get(alarms.LATENCY)
    only = found.only(errors=name.what in (alarms.ERRORS, alarms.ERRORS_WHILE_SHIFTING))
    return only.complaints(state.threshold if state and name.what == alarms.LATENCY else None)


def _take_back(stage: Stage, name: AlarmName, seen: Seen, why: str) -> str:
    target = step_before(seen.lines)
    if target is None:
        return f"{why}, and there is no earlier release to go back to"
    controller = Controller(stage)
    prepared, _ = controller.ready_to_go_back(name.model, target)
    mover = stage.mover(name.model, name.alias)
    line = mover.move(seen, kind="alarm", to=prepared, reason=why, restores=target.line)
    lines: list[Line] = [*seen.lines, line]
    ref = ByAlias(name.model, name.alias)
    for warning in controller.settled(name.model, name.alias, lines, prepared, followed=mover.followed):
        stage.say(warning)
    return f"took {ref} back to {name.model}:{target.version}: {why}"


def _again(stage: Stage, alarm: str) -> str:
    assert stage.monitoring is not None
    said = "what it saw since its release began is no reason to take that back"
    stage.monitoring.rearm(alarm, said)
    return f"{said}; `{alarm}` is armed again"
