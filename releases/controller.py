"""The release controller: what people ask for, in terms of prepare, check and move.

Release is two phases (law 5): the version is prepared and checked first; only then the alias moves.
Rollback is a move to a version that was prepared before (law 6): nothing is built or fetched.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_store.contract.deployment import DEFAULT_ALIAS
from model_store.contract.endpoints import how_to_provision
from model_store.contract.names import ByAlias, ByVersion
from model_store.versions import load_manifest
from releases import alarms, headroom
from releases.bases import current_base, standing_base, waiting_base
from releases.errors import (
    LostRaceError,
    NothingToRollBackError,
    ReleaseError,
    ServiceError,
    UnfitVersionError,
    UnprovisionedError,
)
from releases.ledger import Ledger, Step, in_force, standing
from releases.move import Mover, Seen, already_serves, shadow_in
from releases.placement import slow_start
from releases.prepare import served_by
from releases.records import UNRELEASED, Base, Line, Prepared
from releases.settle import wait_until_active
from releases.shifts import end_execution, refuse_while_running
from releases.stage import Stage

ROUNDS = 5
"""So often a move that must not wait tries again when others were quicker."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a command did. ``line`` is ``None`` when the alias was already where it should be."""

    ref: ByVersion
    alias: str
    lambda_version: str
    line: Line | None
    warnings: tuple[str, ...] = ()


class Controller:
    """What people do with the aliases of one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def release(self, ref: ByVersion, *, alias: str = DEFAULT_ALIAS, reason: str = "") -> Moved:
        """Make ``alias`` serve ``ref``: prepare and check it, then move the alias.

        Until the move nothing that serves has changed. Repeating it after a crash completes it; if
        the alias serves ``ref`` on today's base already, nothing moves.
        """
        manifest = load_manifest(self._stage.store, ref)
        self._stage.must_be_signed(ref)
        base = current_base(self._stage.store, ref.model)
        mover = self._stage.mover(ref.model, alias)
        instead = f"yard flip {ref} --now --reason TEXT"
        self._refuse_while_shifting(ref.model, alias, mover.look(), instead)
        prepared = self._stage.preparer.prepare(manifest, base)
        seen = mover.look()
        self._refuse_while_shifting(ref.model, alias, seen, instead)
        if already_serves(seen, prepared):
            warnings = self.settled(ref.model, alias, seen.lines, prepared)
            return Moved(ref, alias, prepared.lambda_version, None, warnings)
        warnings = (*slow_start(manifest, base), *self._ahead_of_its_wave(ref, base))
        warnings += headroom.check(self._stage, ref, alias, provisioned=base.provisioned)
        self._stage.warm(ref.model).ready([prepared.lambda_version], base.provisioned)
        self._stage.say(f"moving {ref.model}@{alias} to {ref}")
        try:
            line = mover.move(seen, kind="release", to=prepared, reason=reason)
        except ReleaseError:
            # Somebody else moved it: the environments that were started for this version cost money.
            self._kept_warm(ref.model)
            raise
        warnings += _ended_shadow(seen)
        warnings += self.settled(ref.model, alias, [*seen.lines, line], prepared, followed=mover.followed)
        return Moved(ref, alias, prepared.lambda_version, line, warnings)

    def flip(self, ref: ByVersion, *, alias: str = DEFAULT_ALIAS, reason: str) -> Moved:
        """Break the glass: move ``alias`` to ``ref`` now, whatever alarms say and whoever shifts it.

        Nothing is prepared and nothing is checked, so ``ref`` must have passed its checks at some time.
        No alarm takes it back afterwards. The ledger says that it was forced, and why.
        """
        mover = self._stage.mover(ref.model, alias)
        prepared, warnings = self.prepared_before(ref.model, ref.version)
        for attempt in range(ROUNDS):
            seen = mover.look()
            if already_serves(seen, prepared) and seen.lines[-1].plan.forced:
                done = seen.completed
                warnings += self.settled(ref.model, alias, seen.lines, prepared)
                return Moved(ref, alias, prepared.lambda_version, done, warnings)
            self._stage.say(f"moving {ref.model}@{alias} to {ref} now")
            try:
                line = mover.move(seen, kind="release", to=prepared, reason=reason, forced=True)
            except LostRaceError:
                if attempt == ROUNDS - 1:
                    raise
                continue
            warnings += self._ended_shift(seen, reason)
            warnings += self.settled(ref.model, alias, [*seen.lines, line], prepared, followed=mover.followed)
            return Moved(ref, alias, prepared.lambda_version, line, warnings)
        raise AssertionError("the last round returns or raises")

    def rollback(
        self,
        model: str,
        *,
        alias: str = DEFAULT_ALIAS,
        reason: str = "",
        to: int | None = None,
        now: bool = False,
    ) -> Moved:
        """Move ``alias`` back to the model version in force before the present one, or to version ``to``.

        One move to a version that is already prepared. Where somebody moved the alias past the
        ledger, it goes back to what the ledger says is live. A rollback that crashed after its move
        is completed instead of going back one step more. ``to`` must be an earlier release that still
        stands; everything after it is struck out, and going there twice moves once.

        While a shift runs, the version to get away from is the one being tried: the share is taken
        back, and the version from before the shift answers everything. If the shift takes its next step
        at the same moment, that step is what is undone, not a reason to fail. ``now`` waits for nothing
        and marks the line as forced.
        """
        mover = self._stage.mover(model, alias)
        seen = mover.look()
        for _ in range(ROUNDS):
            try:
                return self._roll_back(mover, seen, ByAlias(model, alias), reason, to, now=now)
            except LostRaceError:
                shift, seen = shift_in(seen), mover.look()
                winner = seen.lines[-1].plan
                if not shift or winner.shift != shift:
                    raise
                if winner.kind not in ("shift", "release"):
                    here = ByVersion(model, winner.version)
                    first = f"{winner.by} took it back first: {winner.reason}"
                    return Moved(here, alias, winner.lambda_version, None, (first,))
        return self._roll_back(mover, seen, ByAlias(model, alias), reason, to, now=now)

    def _roll_back(
        self, mover: Mover, seen: Seen, ref: ByAlias, reason: str, to: int | None, *, now: bool
    ) -> Moved:
        model, alias = ref.model, ref.alias
        done = seen.completed
        if done and done.plan.kind == "rollback" and to in (None, done.version):
            warnings = self.settled(model, alias, seen.lines)
            return Moved(ByVersion(model, done.version), alias, done.plan.lambda_version, done, warnings)
        target = self.rollback_target(seen, ref, to)
        if target is None:
            warnings = self.settled(model, alias, seen.lines)
            return Moved(ByVersion(model, to or UNRELEASED), alias, seen.state.version, None, warnings)
        prepared, warnings = self.ready_to_go_back(model, target, wait=not now)
        self._stage.say(f"moving {model}@{alias} back to {model}:{target.version}")
        line = mover.move(
            seen,
            kind="rollback",
            to=prepared,
            reason=reason,
            restores=target.line,
            shift=shift_in(seen),
            forced=now,
        )
        warnings += self._ended_shift(seen, reason)
        warnings += self.settled(model, alias, [*seen.lines, line], prepared, followed=mover.followed)
        return Moved(ByVersion(model, target.version), alias, prepared.lambda_version, line, warnings)

    def history(self, model: str, *, alias: str = DEFAULT_ALIAS) -> list[Line]:
        """The ledger of ``alias``, oldest first. Reading it never changes it."""
        return Ledger(self._stage.store, model, alias).lines()

    def retire(self, model: str, *, alias: str = DEFAULT_ALIAS, reason: str = "") -> Moved:
        """Take ``alias`` out of service: it answers 503 from now on, and a deploy may remove it."""
        base = current_base(self._stage.store, model)
        mover = self._stage.mover(model, alias)
        instead = f"yard rollback {model} --now --reason TEXT"
        self._refuse_while_shifting(model, alias, mover.look(), instead)
        unreleased = self._stage.preparer.prepare_unreleased(model, base)
        seen = mover.look()
        self._refuse_while_shifting(model, alias, seen, instead)
        if in_force(seen.lines) is None:
            warnings = self.settled(model, alias, seen.lines)
            return Moved(ByVersion(model, UNRELEASED), alias, seen.state.version, None, warnings)
        line = mover.move(
            seen,
            kind="retire",
            to=unreleased,
            reason=reason,
        )
        settled = self.settled(model, alias, [*seen.lines, line], followed=mover.followed)
        warnings = (*_ended_shadow(seen), *settled)
        return Moved(ByVersion(model, UNRELEASED), alias, unreleased.lambda_version, line, warnings)

    def settled(
        self,
        model: str,
        alias: str,
        lines: list[Line],
        *prepared: Prepared,
        followed: tuple[str, ...] | None = None,
    ) -> tuple[str, ...]:
        """What follows from a move: gRPC calls, who answers to its number, and which alarms watch.

        Warnings, since the move itself is done; repeating the command repeats this too. ``followed`` is what
        the move said of gRPC calls, where there was one just now.
        """
        if followed is None:
            followed = self._stage.follow(model, alias)
        pinned = self._stage.pins(model).warning(prepared, known={alias: lines})
        watched = alarms.settle(self._stage, ByAlias(model, alias), lines)
        return (*followed, *pinned, *watched, *self._kept_warm(model))

    def _ahead_of_its_wave(self, ref: ByVersion, base: Base) -> tuple[str, ...]:
        """A release is somebody's decision, so it stands on what the last deploy left; it says so."""
        if not base.waits or waiting_base(self._stage.store, ref.model) is None:
            return ()
        where = f"`{ref}` stands on the base of the last deploy, which `{ref.model}` waits to be moved to"
        return (f"{where} by `yard rebase`; a rollback goes to the base before",)

    def _kept_warm(self, model: str) -> tuple[str, ...]:
        """Only where the catalog asks for it: other models are not looked at."""
        base = current_base(self._stage.store, model)
        return self._stage.keep_warm(model, base) if base.provisioned else ()

    def _refuse_while_shifting(self, model: str, alias: str, seen: Seen, instead: str) -> None:
        running = self._stage.shifts(model, alias).running(seen.lines, self._stage.clock.now())
        refuse_while_running(running, seen.lines, instead)

    def _ended_shift(self, seen: Seen, reason: str) -> tuple[str, ...]:
        """A shift that a move has overridden is over; tell what drove it, and say so. A shadow too."""
        shift = shift_in(seen)
        if not shift:
            return _ended_shadow(seen)
        tried = f"{seen.lines[-1].plan.model}:{seen.lines[-1].plan.toward}"
        ended = end_execution(self._stage.executions, shift, f"overridden by {self._stage.by}: {reason}")
        return (f"the shift to {tried} was running; it is stopped", *ended)

    def rollback_target(self, seen: Seen, ref: ByAlias, to: int | None) -> Step | None:
        """The step to go back to; ``None`` if ``ref`` serves ``to`` already."""
        now = in_force(seen.lines)
        if now is None:
            raise NothingToRollBackError(
                f"`{ref}` has not been released yet",
                hint=f"Release a version: `yard release {ref.model}:1`.",
            )
        config = self._stage.functions.config(seen.state.function, seen.state.version)
        # A shadow answers nobody, so it is nothing to get away from.
        agrees = served_by(config) == now.version and (not seen.state.weights or shadow_in(seen) is not None)
        if to == now.version:
            return None if agrees else now
        if to is None and not agrees:
            return now
        earlier = standing(seen.lines)[-2::-1]
        if not earlier:
            raise NothingToRollBackError(
                f"`{ref}` has no earlier release to go back to",
                hint=f"Release a known good version: `yard release {ref.model}:N`.",
            )
        target = next((step for step in earlier if to in (None, step.version)), None)
        if target is None:
            possible = ", ".join(dict.fromkeys(f"`{ref.model}:{step.version}`" for step in earlier))
            raise NothingToRollBackError(
                f"`{ref.model}:{to}` is no earlier release of `{ref}` that still stands; these are: "
                f"{possible}",
                hint=f"Go back to one of them, or release it: `yard release {ref.model}:{to}`.",
            )
        return target

    def ready_to_go_back(
        self, model: str, target: Step, *, wait: bool = True
    ) -> tuple[Prepared, tuple[str, ...]]:
        """The Lambda version to go back to, awake, and what is to be said about it."""
        prepared, warnings = self.prepared_before(model, target.version)
        function = self._stage.function(model)
        config = self._stage.functions.config(function, prepared.lambda_version)
        if wait and config is not None and config.state != "Active":
            self._stage.say(f"waking {model}:{target.version}, which is {config.state}")
            wait_until_active(self._stage.functions, self._stage.clock, function, prepared.lambda_version)
        return prepared, warnings

    def prepared_before(self, model: str, version: int) -> tuple[Prepared, tuple[str, ...]]:
        """A Lambda version that passed its checks as ``version``, on today's base if there is one.

        While models are rebased in waves that is the base which this model was moved to, not the one that
        waits for its wave, or failed in it.
        """
        base = standing_base(self._stage.store, model)
        prepared = self._stage.preparer.find(model, version, base)
        if prepared is not None:
            return prepared, self._leads_somewhere(prepared)
        prepared = self._stage.preparer.find_any(model, version, base.function)
        if prepared is None:
            raise UnfitVersionError(
                f"no Lambda version of `{model}:{version}` is left to go back to",
                hint=f"Prepare it again, which takes longer: `yard release {model}:{version}`.",
            )
        older = (
            f"`{model}:{version}` stands on an older base (memory, code and layers of an earlier deploy); "
            f"`yard release {model}:{version}` puts it on today's"
        )
        return prepared, (*self._leads_somewhere(prepared), older)

    def _leads_somewhere(self, prepared: Prepared) -> tuple[str, ...]:
        """Refuse a version whose endpoint is gone: every call would be a 503.

        Where nobody says whether it is there, a way back is not held up by that.
        """
        ref = ByVersion(prepared.model, prepared.version)
        try:
            there = self._stage.preparer.has_its_endpoint(prepared)
        except ServiceError as error:
            return (f"whether the endpoint of `{ref}` answers is not known: {error}",)
        if not there:
            raise UnprovisionedError(
                f"the endpoint of `{ref}` is gone or does not answer, so nothing could go back to it",
                hint=how_to_provision(ref, self._stage.name),
            )
        return ()


def _ended_shadow(seen: Seen) -> tuple[str, ...]:
    """What is to be said of a shadow that a move has ended, since every move clears the weights."""
    line = shadow_in(seen)
    return (f"the shadow of {line.plan.model}:{line.plan.toward} was running; it is ended",) if line else ()


def shift_in(seen: Seen) -> str:
    """The shift that holds a share of the alias, if one does."""
    last = seen.lines[-1] if seen.lines else None
    return last.plan.shift if last is not None and last.plan.kind == "shift" else ""
