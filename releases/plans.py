"""Plans: what a command would do, as plain data, from reads alone.

Each plan is made by the same decisions as its command (where a rollback goes, what is prepared, who is
in the way), so what a command would refuse its plan refuses too, in the same words. Nothing is written,
published, invoked or moved here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from model_store.contract.deployment import DEFAULT_ALIAS
from model_store.contract.names import ByAlias, ByVersion
from model_store.versions import load_manifest
from releases import alarms, headroom, shadowing
from releases.bases import current_base
from releases.controller import Controller, shift_in
from releases.endpoints import target_of
from releases.ledger import in_force
from releases.move import Seen, already_serves, shadow_in
from releases.placement import place, slow_start
from releases.prepare import must_run_on, served_by
from releases.records import UNRELEASED, Prepared
from releases.shifting import can_begin, wanted_shift
from releases.shifts import Shift, refuse_while_running
from releases.stage import Stage
from releases.warm import refuse_weights


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that would be done: what kind of thing, and a sentence about it."""

    do: str
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``command`` would do to an alias: from which model version to which, and by what."""

    command: str
    model: str
    alias: str
    serves: int
    then: int
    actions: tuple[Action, ...]
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "changes_nothing": not self.actions}


class Planner:
    """Makes the plans of one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._controller = Controller(stage)

    def release(self, ref: ByVersion, *, alias: str = DEFAULT_ALIAS) -> Plan:
        """What ``Controller.release`` would do."""
        seen = self._look(ref.model, alias)
        self._refuse(ref.model, alias, seen, f"yard flip {ref} --now --reason TEXT")
        preparing, prepared, warnings = self._prepare(ref)
        if prepared is not None and already_serves(seen, prepared):
            return self._plan("release", ref.model, alias, seen, ref.version, (), warnings)
        actions = (*preparing, self._flip(seen, alias, ref), *self._ended_shift(seen), self._arm(ref))
        return self._plan("release", ref.model, alias, seen, ref.version, actions, warnings)

    def shift(
        self,
        ref: ByVersion,
        *,
        shares: tuple[float, ...],
        bake_s: float,
        hold_s: float,
        min_requests: int,
        alias: str = DEFAULT_ALIAS,
    ) -> Plan:
        """What ``Shifting.begin`` and the state machine after it would do."""
        seen = self._look(ref.model, alias)
        wanted = wanted_shift(
            self._stage,
            seen,
            ref,
            alias=alias,
            shares=shares,
            bake_s=bake_s,
            hold_s=hold_s,
            min_requests=min_requests,
        )
        running = self._running(ref.model, alias, seen)
        if running is not None and running.asks_the_same(wanted):
            join = Action("join", f"go on with the shift that {running.by} asked for at {running.at}")
            return self._plan("shift", ref.model, alias, seen, ref.version, (join,))
        refuse_while_running(running, seen.lines, f"yard flip {ref} --now --reason TEXT")
        live = in_force(seen.lines)
        unsplit = not seen.state.weights or shadow_in(seen) is not None
        if live is not None and live.version == ref.version and unsplit:
            return self._plan("shift", ref.model, alias, seen, ref.version, ())
        refuse_weights(current_base(self._stage.store, ref.model), ref)
        can_begin(seen, wanted)
        preparing, _, warnings = self._prepare(ref)
        actions = (
            Action("start", f"start an execution that takes {ByAlias(ref.model, alias)} to {ref} in steps"),
            *preparing,
            Action("arm", f"watch failed invocations, server faults and latency of {ref}"),
            *(step for share in shares for step in _step(ref, alias, share, wanted)),
            self._flip(seen, alias, ref),
            self._arm(ref),
        )
        return self._plan("shift", ref.model, alias, seen, ref.version, actions, warnings)

    def stop(self, model: str, *, alias: str = DEFAULT_ALIAS) -> Plan:
        """What ``Shifting.stop`` would do."""
        seen = self._look(model, alias)
        running = self._running(model, alias, seen)
        serves = self._serves(seen)
        if running is None:
            return self._plan("stop", model, alias, seen, serves, ())
        actions = (
            Action("move", f"take every share of {running.target} back to {model}:{serves}"),
            Action("end", f"end the execution of the shift to {running.ref}"),
        )
        return self._plan("stop", model, alias, seen, serves, actions)

    def shadow(self, ref: ByVersion, *, share: float, alias: str = DEFAULT_ALIAS) -> Plan:
        """What ``Shadowing.begin`` would do."""
        seen = self._look(ref.model, alias)
        preparing, _, slow = self._prepare(ref)
        refuse_weights(current_base(self._stage.store, ref.model), ref)
        live = shadowing.can_begin(self._stage, seen, ref, alias)
        warnings = (*slow, *headroom.check_shadow(self._stage, ref, alias, share))
        running = shadow_in(seen)
        if running is not None and shadowing.shadows_already(running, ref, share):
            return self._plan("shadow", ref.model, alias, seen, live.version, (), warnings)
        serves = f"{ref.model}:{live.version}"
        actions = (
            *preparing,
            Action("publish", f"publish {serves} once more, as a Lambda version that mirrors, and check it"),
            Action(
                "mirror",
                f"let it answer {share * 100:g}% of {ByAlias(ref.model, alias)} and hand those calls on to "
                f"{ref}, which answers nobody",
            ),
        )
        return self._plan("shadow", ref.model, alias, seen, live.version, actions, warnings)

    def stop_shadow(self, model: str, *, alias: str = DEFAULT_ALIAS) -> Plan:
        """What ``Shadowing.stop`` would do."""
        seen = self._look(model, alias)
        last = seen.lines[-1] if seen.lines else None
        if last is None or last.plan.kind != "shadow":
            return self._plan("shadow", model, alias, seen, self._serves(seen), ())
        actions = (
            Action("move", f"give {model}:{last.version} every call of {ByAlias(model, alias)}, unmirrored"),
        )
        return self._plan("shadow", model, alias, seen, last.version, actions)

    def rollback(
        self, model: str, *, alias: str = DEFAULT_ALIAS, to: int | None = None, now: bool = False
    ) -> Plan:
        """What ``Controller.rollback`` would do."""
        seen = self._look(model, alias)
        ref = ByAlias(model, alias)
        done = seen.completed
        if done and done.plan.kind == "rollback" and to in (None, done.version):
            finish = Action("complete", f"write line {done.line} of the ledger, which a crash left out")
            return self._plan("rollback", model, alias, seen, done.version, (finish,))
        target = self._controller.rollback_target(seen, ref, to)
        if target is None:
            return self._plan("rollback", model, alias, seen, to or UNRELEASED, ())
        prepared, warnings = self._controller.prepared_before(model, target.version)
        forced = ", whatever alarms say" if now else ""
        move = Action(
            "move",
            f"move {ref} to {model}:{target.version} (Lambda version {prepared.lambda_version}){forced}",
        )
        actions = (move, *self._ended_shift(seen), Action("disarm", f"delete the alarms of {ref}'s release"))
        return self._plan("rollback", model, alias, seen, target.version, actions, warnings)

    def flip(self, ref: ByVersion, *, alias: str = DEFAULT_ALIAS) -> Plan:
        """What ``Controller.flip`` would do."""
        seen = self._look(ref.model, alias)
        prepared, warnings = self._controller.prepared_before(ref.model, ref.version)
        if already_serves(seen, prepared) and seen.lines[-1].plan.forced:
            return self._plan("flip", ref.model, alias, seen, ref.version, (), warnings)
        target = ByAlias(ref.model, alias)
        move = Action(
            "move",
            f"move {target} to {ref} (Lambda version {prepared.lambda_version}), unchecked",
        )
        actions = (
            move,
            *self._ended_shift(seen),
            Action("disarm", f"delete the alarms of {target}'s release: nothing takes this back by itself"),
        )
        return self._plan("flip", ref.model, alias, seen, ref.version, actions, warnings)

    def retire(self, model: str, *, alias: str = DEFAULT_ALIAS) -> Plan:
        """What ``Controller.retire`` would do."""
        current_base(self._stage.store, model)
        seen = self._look(model, alias)
        self._refuse(model, alias, seen, f"yard rollback {model} --now --reason TEXT")
        if in_force(seen.lines) is None:
            return self._plan("retire", model, alias, seen, UNRELEASED, ())
        target = ByAlias(model, alias)
        actions = (
            Action("prepare", f"make sure that a Lambda version of {model} without a model exists"),
            Action("move", f"move {target} to it: it answers 503 from then on"),
            *self._ended_shift(seen),
            Action("disarm", f"delete the alarms of {target}'s release"),
        )
        return self._plan("retire", model, alias, seen, UNRELEASED, actions)

    def _look(self, model: str, alias: str) -> Seen:
        return self._stage.mover(model, alias).look(complete=False)

    def _running(self, model: str, alias: str, seen: Seen) -> Shift | None:
        return self._stage.shifts(model, alias).running(seen.lines, self._stage.clock.now())

    def _refuse(self, model: str, alias: str, seen: Seen, instead: str) -> None:
        refuse_while_running(self._running(model, alias, seen), seen.lines, instead)

    def _serves(self, seen: Seen) -> int:
        return served_by(self._stage.functions.config(seen.state.function, seen.state.version))

    def _prepare(self, ref: ByVersion) -> tuple[tuple[Action, ...], Prepared | None, tuple[str, ...]]:
        manifest = load_manifest(self._stage.store, ref)
        self._stage.must_be_signed(ref)
        base = current_base(self._stage.store, ref.model)
        must_run_on(manifest, target_of(base))
        prepared = self._stage.preparer.find(ref.model, ref.version, base)
        if prepared is None:
            what = f"publish {ref} ({manifest.size:,} bytes) as a new Lambda version"
            made = (
                Action("publish", f"{what}; model: {place(manifest, base)}"),
                Action("check", f"ask that version whether it is ready and reproduces {ref}'s golden sample"),
            )
            return made, None, slow_start(manifest, base)
        again = Action("check", f"ask Lambda version {prepared.lambda_version}, which is {ref}, once more")
        return (again,), prepared, slow_start(manifest, base)

    def _flip(self, seen: Seen, alias: str, ref: ByVersion) -> Action:
        return Action(
            "move", f"move {ByAlias(ref.model, alias)} from {_name(ref, self._serves(seen))} to {ref}"
        )

    def _arm(self, ref: ByVersion) -> Action:
        minutes = alarms.ARMED_S / 60
        return Action("arm", f"watch {ref} and take it back by itself for {minutes:.0f} minutes")

    def _ended_shift(self, seen: Seen) -> tuple[Action, ...]:
        if not shift_in(seen):
            line = shadow_in(seen)
            ended = (
                f"end the shadow of {line.plan.model}:{line.plan.toward}, which is running" if line else ""
            )
            return (Action("end", ended),) if ended else ()
        plan = seen.lines[-1].plan
        return (Action("end", f"end the shift to {plan.model}:{plan.toward}, which is running"),)

    def _plan(
        self,
        command: str,
        model: str,
        alias: str,
        seen: Seen,
        then: int,
        actions: tuple[Action, ...],
        warnings: tuple[str, ...] = (),
    ) -> Plan:
        return Plan(command, model, alias, self._serves(seen), then, actions, warnings)


def _step(ref: ByVersion, alias: str, share: float, shift: Shift) -> tuple[Action, Action]:
    return (
        Action("weigh", f"let {ref} answer {share:.0%} of {ByAlias(ref.model, alias)}"),
        Action(
            "bake",
            f"for {shift.bake_s:.0f} s and until {shift.min_requests} requests were answered, "
            f"at most {shift.hold_s:.0f} s more; an alarm or the deadline takes it back",
        ),
    )


def _name(ref: ByVersion, version: int) -> str:
    return f"{ref.model}:{version}" if version else "nothing (503)"
