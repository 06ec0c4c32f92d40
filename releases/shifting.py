"""Shifting: a release in steps, and the way back from it.

``begin`` writes down what is to be done and starts an execution of the state machine that ``cdk
deploy`` made; from then on no terminal is needed. Each state of the machine is one call of ``step``
here: prepare, weigh, look, flip, back. Each reads where things stand from the alias and its ledger and
does one thing, with one compare-and-swap at most, so a state may run twice, be interrupted anywhere and
be repeated. A state that finds the alias in other hands (somebody stopped the shift, or broke the
glass) changes nothing and ends the execution.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from model_store.contract.deployment import DEFAULT_ALIAS
from model_store.contract.names import ByAlias, ByVersion
from model_store.versions import load_manifest
from releases import alarms, headroom
from releases.bases import current_base
from releases.controller import Controller, Moved
from releases.errors import (
    DisagreementError,
    LostRaceError,
    NotDeployedError,
    ReleaseError,
    UnfitVersionError,
)
from releases.health import Health, health
from releases.ledger import in_force
from releases.move import Mover, Seen, shadow_in
from releases.records import Kind, Prepared, moment, timestamp
from releases.shifts import Shift, Shifts, end_execution, refuse_while_running
from releases.stage import Stage
from releases.warm import refuse_weights

MIN_REQUESTS = 30
"""Enough that a version which fails one request in ten is caught nineteen times in twenty."""

HOLD_S = 1800.0
MOST_LOOKS = 180
"""So often a step that holds is looked at: an execution's history holds 25,000 events (Step Functions
quotas), and each look takes about a dozen."""

MOST_STEPS = 10
ROUNDS = 5

At = dict[str, Any]
"""Where an execution is: the state machine's data, from one state to the next."""

WEIGH, BAKE, HOLD, FLIP, BACK = "weigh", "bake", "hold", "flip", "back"
DONE, TAKEN_BACK, SUPERSEDED = "done", "taken-back", "superseded"
NEXT = (WEIGH, BAKE, HOLD, FLIP, BACK, DONE, TAKEN_BACK, SUPERSEDED)
"""What a state may ask for next. The state machine has a way for each."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A shift that is on its way. ``joined`` if it was before, and the same was asked for again."""

    shift: Shift
    joined: bool


class Shifting:
    """What people and the state machine do with the shifts of one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def begin(
        self,
        ref: ByVersion,
        *,
        shares: tuple[float, ...],
        bake_s: float,
        hold_s: float = HOLD_S,
        min_requests: int = MIN_REQUESTS,
        alias: str = DEFAULT_ALIAS,
        reason: str = "",
    ) -> Begun | None:
        """Start to shift ``alias`` to ``ref``; ``None`` if it serves it already.

        Asking twice for the same is asking once. Another shift that runs is named and not disturbed.
        After a crash the same call finds what it wrote down and starts it.
        """
        executions = self._stage.executions
        if executions is None:
            raise NotDeployedError(
                f"stage `{self._stage.name}` has no state machine for releases in steps",
                hint=f"Run `cdk deploy --all -c stage={self._stage.name}` with this version of Switchyard.",
            )
        load_manifest(self._stage.store, ref)
        refuse_weights(current_base(self._stage.store, ref.model), ref)
        self._stage.must_be_signed(ref)
        shifts = self._stage.shifts(ref.model, alias)
        for _ in range(ROUNDS):
            seen = self._stage.mover(ref.model, alias).look()
            running, number = shifts.running_and_next(seen.lines, self._stage.clock.now())
            live = in_force(seen.lines)
            unsplit = not seen.state.weights or shadow_in(seen) is not None
            if running is None and live and live.version == ref.version and unsplit:
                return None
            wanted = wanted_shift(
                self._stage,
                seen,
                ref,
                alias=alias,
                shares=shares,
                bake_s=bake_s,
                hold_s=hold_s,
                min_requests=min_requests,
                reason=reason,
                number=number,
            )
            if running is not None:
                if not running.asks_the_same(wanted):
                    refuse_while_running(running, seen.lines, f"yard flip {ref} --now --reason TEXT")
                executions.start(running.id, {"shift": running.where, "step": 0})
                return Begun(running, joined=True)
            can_begin(seen, wanted)
            for warning in headroom.check_shift(self._stage, ref, alias, shares):
                self._stage.say(warning)
            if shifts.claim(wanted):
                executions.start(wanted.id, {"shift": wanted.where, "step": 0})
                return Begun(wanted, joined=False)
        raise LostRaceError(
            f"others keep starting shifts of `{ByAlias(ref.model, alias)}`",
            hint="Look at `yard status`, decide again, and repeat the command if it is still right.",
        )

    def stop(self, model: str, *, alias: str = DEFAULT_ALIAS, reason: str = "") -> Moved:
        """End the shift that runs: the version from before it answers everything again.

        One compare-and-swap decides. If the shift takes its next step at the same moment, that step is
        what is undone. A shift that is still preparing never begins. Without one nothing changes.
        """
        ref = ByAlias(model, alias)
        shifts = self._stage.shifts(model, alias)
        mover = self._stage.mover(model, alias)
        for attempt in range(ROUNDS):
            seen = mover.look()
            running = shifts.running(seen.lines, self._stage.clock.now())
            if running is None:
                return self._nothing_to_stop(ref, seen)
            here = self._where_it_stays(seen, model)
            try:
                line = mover.move(seen, kind="stop", to=here, reason=reason, shift=running.id)
            except LostRaceError:
                if attempt == ROUNDS - 1:
                    raise
                continue
            warnings = (
                *mover.followed,
                *end_execution(self._stage.executions, running.id, f"stopped by {self._stage.by}: {reason}"),
                *alarms.settle(self._stage, ref, [*seen.lines, line]),
            )
            return Moved(ByVersion(model, here.version), alias, here.lambda_version, line, warnings)
        raise AssertionError("the last round returns or raises")

    def step(self, do: str, at: At) -> At:
        """Do what one state of the machine is for and say what is next. Safe to repeat."""
        where = at["shift"]
        shift = self._stage.shifts(where["model"], where["alias"]).load(int(where["number"]))
        steps: dict[str, Callable[[], At]] = {
            "prepare": lambda: self._prepare(shift),
            WEIGH: lambda: self._weigh(shift, int(at["step"]), str(at["lambda_version"])),
            "look": lambda: self._look(shift),
            FLIP: lambda: self._flip(shift, str(at["lambda_version"])),
            BACK: lambda: self._back(shift, at),
        }
        done = {"shift": shift.where, "step": at.get("step", 0), **_kept(at), **steps[do]()}
        # Whatever the state found: one that is repeated after a crash completes what it had begun.
        self._follow(shift)
        return done

    def _follow(self, shift: Shift) -> None:
        for warning in self._stage.follow(shift.model, shift.alias):
            self._stage.say(warning)

    def _prepare(self, shift: Shift) -> At:
        _, seen, shifts = self._look_at(shift)
        if not self._may_begin(shift, seen, shifts):
            return _superseded(shift)
        manifest = load_manifest(self._stage.store, shift.ref)
        self._stage.must_be_signed(shift.ref)
        prepared = self._stage.preparer.prepare(manifest, current_base(self._stage.store, shift.model))
        return {
            "next": WEIGH,
            "lambda_version": prepared.lambda_version,
            "said": f"{shift.ref} is Lambda version {prepared.lambda_version} and passed its checks",
        }

    def _weigh(self, shift: Shift, number: int, lambda_version: str) -> At:
        mover, seen, shifts = self._look_at(shift)
        taken = len(shift.lines(seen.lines))
        share = shift.shares[number]
        if shift.has_begun(seen.lines) and taken == number + 1:
            return {
                "next": BAKE,
                "wait_s": _whole(shift.bake_s),
                "said": f"{shift.ref} has {share:.0%} already",
            }
        if taken != number or not self._may_begin(shift, seen, shifts):
            return _superseded(shift)
        toward = self._tried(shift, lambda_version)
        if number == 0:
            self._watch_over(shift, toward)
        mover.weigh(seen, toward=toward, share=share, shift=shift.id, reason=shift.reason)
        return {
            "next": BAKE,
            "wait_s": _whole(shift.bake_s),
            "said": f"{shift.ref} answers {share:.0%} of {shift.target}",
        }

    def _look(self, shift: Shift) -> At:
        """Decide whether the step held: go on, hold a while longer, or go back."""
        _, seen, _ = self._look_at(shift)
        if not shift.has_begun(seen.lines):
            return _superseded(shift)
        line = shift.lines(seen.lines)[-1]
        since, now = moment(line.plan.at), self._stage.clock.now()
        found, complaints = self.complaints(shift, seen, since=since)
        if complaints:
            return {"next": BACK, "because": "alarm", "why": f"{shift.ref}: {'; '.join(complaints)}"}
        if found.requests < shift.min_requests:
            said = (
                f"{shift.ref} answered {found.requests} of the {shift.min_requests} requests that this step "
                "waits for"
            )
            if now >= since + shift.bake_s + shift.hold_s:
                return {"next": BACK, "because": "stop", "why": f"{said}, in {now - since:.0f} s"}
            return {"next": HOLD, "wait_s": _whole(shift.hold_s / MOST_LOOKS), "said": said}
        taken = len(shift.lines(seen.lines))
        if taken < len(shift.shares):
            return {"next": WEIGH, "step": taken, "said": f"{shift.ref} held at step {taken}"}
        return {"next": FLIP, "said": f"{shift.ref} held at every step"}

    def complaints(self, shift: Shift, seen: Seen, *, since: float) -> tuple[Health, list[str]]:
        """What the tried version did since then, and each reason to take its share back."""
        monitoring = self._stage.monitoring
        keeper = alarms.alarms_of(self._stage, shift.model, shift.alias)
        if monitoring is None or keeper is None:
            return Health(), ["nothing monitors this stage"]
        _, tried = alarms.served_while_shifting(self._stage, seen.lines[-1].plan)
        (found,) = health(
            monitoring,
            [tried],
            since=since,
            until=self._stage.clock.now(),
            period_s=self._stage.alarm_period_s,
        )
        states = keeper.of(shift.id)
        limit = states[alarms.LATENCY].threshold if alarms.LATENCY in states else None
        return found, found.complaints(limit)

    def _flip(self, shift: Shift, lambda_version: str) -> At:
        mover, seen, _ = self._look_at(shift)
        lines = seen.lines
        released = next(
            (line for line in lines if line.plan.kind == "release" and line.plan.shift == shift.id), None
        )
        if released is None:
            if not shift.has_begun(lines):
                return _superseded(shift)
            toward = self._tried(shift, lambda_version)
            released = mover.move(seen, kind="release", to=toward, reason=shift.reason, shift=shift.id)
            lines = [*lines, released]
        if alarms.guarded(lines, self._stage.clock.now()) == released:
            alarms.arm(self._stage, released, current_base(self._stage.store, shift.model))
        best = Prepared(
            shift.model,
            released.version,
            released.plan.digest,
            released.plan.base,
            released.plan.lambda_version,
        )
        for warning in Controller(self._stage).settled(shift.model, shift.alias, lines, best):
            self._stage.say(warning)
        return {"next": DONE, "said": f"{shift.target} serves {shift.ref}, ledger line {released.line}"}

    def _back(self, shift: Shift, at: At) -> At:
        why, because = _why(at)
        taken_back = self.take_back(shift, why=why, because=because)
        return {"next": TAKEN_BACK if taken_back else SUPERSEDED, "said": why}

    def take_back(self, shift: Shift, *, why: str, because: str) -> bool:
        """Give the whole alias back to the version before; false if the shift had ended already."""
        mover, seen, shifts = self._look_at(shift)
        if not shift.has_begun(seen.lines):
            if not self._may_begin(shift, seen, shifts):
                return False
            shifts.end(shift.number, why, self._stage.clock.now())
            return True
        here = self._where_it_stays(seen, shift.model)
        kind: Kind = "alarm" if because == "alarm" else "stop"
        line = mover.move(seen, kind=kind, to=here, reason=why, shift=shift.id)
        for warning in (*mover.followed, *alarms.settle(self._stage, shift.target, [*seen.lines, line])):
            self._stage.say(warning)
        return True

    def _look_at(self, shift: Shift) -> tuple[Mover, Seen, Shifts]:
        mover = self._stage.mover(shift.model, shift.alias)
        return mover, mover.look(), self._stage.shifts(shift.model, shift.alias)

    def _may_begin(self, shift: Shift, seen: Seen, shifts: Shifts) -> bool:
        """Whether the alias is still this shift's: in a step of it, or untouched since it was asked for."""
        running = shifts.running(seen.lines, self._stage.clock.now())
        return running is not None and running.id == shift.id

    def _tried(self, shift: Shift, lambda_version: str) -> Prepared:
        """The version that this execution prepared and checked, if it is still what it was."""
        config = self._stage.functions.config(self._stage.function(shift.model), lambda_version)
        prepared = Prepared.of(config, model=shift.model) if config else None
        if prepared is None or prepared.version != shift.version:
            raise UnfitVersionError(f"Lambda version {lambda_version} is not `{shift.ref}` any more")
        return prepared

    def _watch_over(self, shift: Shift, toward: Prepared) -> None:
        """Make the alarms of the shift before it takes its first share."""
        keeper = alarms.alarms_of(self._stage, shift.model, shift.alias)
        if keeper is None:
            return
        base = current_base(self._stage.store, shift.model)
        limits = alarms.limits_for(self._stage, shift.model, shift.alias, shift.from_version, base)
        tried = alarms.tried_by(self._stage, shift.model, shift.alias, toward)
        keeper.arm(shift.id, tried, limits=limits)

    def _where_it_stays(self, seen: Seen, model: str) -> Prepared:
        """The version that the alias itself is on, whatever shares others have."""
        config = self._stage.functions.config(seen.state.function, seen.state.version)
        if config is None:
            raise DisagreementError(
                f"the alias `{seen.state.alias}` points at Lambda version {seen.state.version}, which does "
                "not exist",
                hint=f"Release a known good version: `yard flip {model}:N --now --reason TEXT`.",
            )
        return Prepared.of(config, model=model)

    def _nothing_to_stop(self, ref: ByAlias, seen: Seen) -> Moved:
        """No shift runs; if one was stopped and that crashed half way, finish it."""
        last = seen.lines[-1] if seen.lines else None
        warnings = self._stage.follow(ref.model, ref.alias)
        if last is not None and last.plan.kind == "stop" and last.plan.shift:
            warnings += end_execution(self._stage.executions, last.plan.shift, "stopped")
        version = last.version if last else 0
        return Moved(ByVersion(ref.model, version), ref.alias, seen.state.version, seen.completed, warnings)


def wanted_shift(
    stage: Stage,
    seen: Seen,
    ref: ByVersion,
    *,
    alias: str,
    shares: tuple[float, ...],
    bake_s: float,
    hold_s: float,
    min_requests: int,
    reason: str = "",
    number: int = 0,
) -> Shift:
    """What is asked for, as it would be written down now."""
    live, now = in_force(seen.lines), stage.clock.now()
    return Shift(
        number=number,
        id=uuid.uuid4().hex[:16],
        model=ref.model,
        alias=alias,
        version=ref.version,
        from_version=live.version if live else 0,
        shares=shares,
        bake_s=bake_s,
        hold_s=hold_s,
        min_requests=min_requests,
        after_line=seen.lines[-1].line if seen.lines else 0,
        by=stage.by,
        at=timestamp(now),
        began=now,
        reason=reason,
    )


def can_begin(seen: Seen, shift: Shift) -> None:
    """Refuse a shift that has nothing to shift from, or an alias that is not where its ledger says."""
    if shift.from_version == 0:
        raise ReleaseError(
            f"`{shift.target}` serves nothing yet, so there is nothing to shift from",
            hint=f"Release it at once: `yard release {shift.ref}`.",
        )
    # A shadow gives way: the first share takes its place.
    split = seen.state.weights and shadow_in(seen) is None
    if split or seen.lines[-1].plan.lambda_version != seen.state.version:
        raise DisagreementError(
            f"`{shift.target}` is not where its ledger says, so a shift from there would hide it",
            hint=f"Put it right first: `yard status {shift.model}` says how.",
        )


def check_shares(percents: tuple[float, ...]) -> tuple[float, ...]:
    """Return the shares as parts of one, or refuse them."""
    if not percents or any(not 0 < percent < 100 for percent in percents):
        raise ReleaseError(
            f"`{','.join(f'{percent:g}' for percent in percents)}` are not the steps of a shift",
            hint="Write percentages between 0 and 100, for example `--shift 5,25,50`.",
        )
    if len(percents) > MOST_STEPS:
        raise ReleaseError(
            f"{len(percents)} steps are asked for, and a shift has at most {MOST_STEPS}",
            hint="Leave some out.",
        )
    if any(later <= earlier for earlier, later in pairwise(percents)):
        raise ReleaseError(
            f"the steps `{','.join(f'{percent:g}' for percent in percents)}` do not rise",
            hint="Write them from small to large, for example `--shift 5,25,50`.",
        )
    return tuple(round(percent / 100, 4) for percent in percents)


def _whole(seconds: float) -> int:
    """As the state machine's ``Wait`` takes it."""
    return max(1, math.ceil(seconds))


def _kept(at: At) -> At:
    return {"lambda_version": at["lambda_version"]} if "lambda_version" in at else {}


def _superseded(shift: Shift) -> At:
    return {"next": SUPERSEDED, "said": f"{shift.target} is not in the hands of this shift any more"}


def _why(at: At) -> tuple[str, str]:
    """Why the way back is taken: what a look found, or what made a state fail."""
    if "why" in at:
        return str(at["why"]), str(at.get("because", "stop"))
    failed = at.get("error") or {}
    cause = str(failed.get("Cause", ""))
    return f"{failed.get('Error', 'the shift failed')}: {_message(cause)}"[:1000], "stop"


def _message(cause: str) -> str:
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause
