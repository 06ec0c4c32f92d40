"""Watch: what a shift is doing now, for whoever looks on. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from model_store.contract.deployment import DEFAULT_ALIAS
from releases import alarms
from releases.health import Health, health
from releases.ledger import in_force
from releases.move import Seen, shadow_in
from releases.records import Line, moment
from releases.shifts import Shift
from releases.stage import Stage

PREPARING, SHIFTING, DONE, TAKEN_BACK, NONE = "preparing", "shifting", "done", "taken back", "none"
"""What a shift is at. ``NONE``: nobody ever asked for one."""

RECENT_S = 300.0
"""So far back both versions are shown once no shift runs."""


@dataclass(frozen=True, slots=True)
class Half:
    """One of the two versions: how many of the calls it gets, and how it does."""

    version: int
    share: float
    seen: Health


@dataclass(frozen=True, slots=True)
class Look:
    """One moment of a shift. ``step`` counts from 1, and is 0 while the version is being prepared."""

    model: str
    alias: str
    at: float
    phase: str
    before: Half | None
    tried: Half | None
    step: int
    steps: int
    since: float
    bake_s: float
    min_requests: int
    said: str

    @property
    def is_over(self) -> bool:
        return self.phase in (DONE, TAKEN_BACK, NONE)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def look(stage: Stage, model: str, *, alias: str = DEFAULT_ALIAS) -> Look:
    """The newest shift of an alias at this moment, running or over."""
    seen = stage.mover(model, alias).look(complete=False)
    shifts = stage.shifts(model, alias)
    shift = shifts.newest()
    if shift is None:
        live = in_force(seen.lines)
        said = f"no shift of {model}@{alias} was ever asked for"
        return _without_shift(stage, model, alias, live.version if live else 0, said)
    phase, said = _phase(stage, shift, seen.lines)
    steps = shift.lines(seen.lines)
    since = moment(steps[-1].plan.at) if steps else shift.began
    before, tried = _halves(stage, shift, seen, steps, since)
    return Look(
        model=model,
        alias=alias,
        at=stage.clock.now(),
        phase=phase,
        before=before,
        tried=tried,
        step=len(steps),
        steps=len(shift.shares),
        since=since,
        bake_s=shift.bake_s,
        min_requests=shift.min_requests,
        said=said,
    )


def follow(
    stage: Stage, model: str, *, alias: str = DEFAULT_ALIAS, every_s: float = 2.0, for_s: float = 3600.0
) -> Iterator[Look]:
    """Look again and again until the shift is over or ``for_s`` seconds have passed."""
    end = stage.clock.now() + for_s
    while True:
        found = look(stage, model, alias=alias)
        yield found
        if found.is_over or found.at + every_s > end:
            return
        stage.clock.sleep(every_s)


def _without_shift(stage: Stage, model: str, alias: str, version: int, said: str) -> Look:
    now = stage.clock.now()
    return Look(model, alias, now, NONE, Half(version, 1.0, Health()), None, 0, 0, now, 0.0, 0, said)


def _phase(stage: Stage, shift: Shift, lines: list[Line]) -> tuple[str, str]:
    """Where the shift is, and a sentence about it."""
    if shift.has_begun(lines):
        share = sum(lines[-1].plan.weights.values())
        return SHIFTING, f"{shift.ref} answers {share:.0%} of {shift.target}"
    ended = next((line for line in reversed(lines) if line.plan.shift == shift.id), None)
    if ended is not None and ended.plan.kind == "release":
        return DONE, f"{shift.target} serves {shift.ref} since {ended.plan.at}"
    if ended is not None and ended.plan.kind != "shift":
        plan = ended.plan
        return TAKEN_BACK, f"{plan.kind} by {plan.by} at {plan.at}: {plan.reason or 'no reason given'}"
    if why := stage.shifts(shift.model, shift.alias).why_ended(shift.number):
        return TAKEN_BACK, why
    if ended is None and shift.is_running(lines, stage.clock.now()):
        return PREPARING, f"{shift.ref} is being prepared and checked"
    last = lines[-1].plan
    return TAKEN_BACK, f"overtaken by a {last.kind} to {last.model}:{last.version} by {last.by} at {last.at}"


def _halves(stage: Stage, shift: Shift, seen: Seen, steps: list[Line], since: float) -> tuple[Half, Half]:
    """Both versions with their shares at this moment and what they did since the present step began."""
    share = sum(seen.state.weights.values()) if shift.has_begun(seen.lines) else 0.0
    over = (not seen.state.weights or shadow_in(seen) is not None) and in_force(seen.lines)
    if over and over.version == shift.version:
        share = 1.0
    if stage.monitoring is None or not steps:
        return Half(shift.from_version, 1 - share, Health()), Half(shift.version, share, Health())
    now = stage.clock.now()
    begin = since if seen.state.weights else max(since, now - RECENT_S)
    before, tried = health(
        stage.monitoring,
        alarms.served_while_shifting(stage, steps[-1].plan),
        since=begin,
        until=now,
        period_s=stage.alarm_period_s,
    )
    return Half(shift.from_version, 1 - share, before), Half(shift.version, share, tried)
