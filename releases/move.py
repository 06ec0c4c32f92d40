"""Move: one compare-and-swap puts an alias on another version, and claims the ledger line for it.

The order is the safety. (1) The plan is written to the store; only then is it asked whether a collection
takes the version away (``model_store.sweeps`` says why in this order). (2) One ``UpdateAlias`` that names the
revision it saw sets the version, clears the weights and notes line and plan in the alias itself.
(3) What goes where the alias goes is led there (``releases.following``), then the ledger line is written. A
crash before 2 changes nothing; a crash between 2 and 3 leaves an alias that names a line which the ledger
lacks, and whoever comes next does the third from the plan.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByAlias, ByVersion
from model_store.ports import ObjectStore
from model_store.sweeps import must_not_be_going
from model_store.tombstones import is_removed
from releases.errors import (
    DisagreementError,
    LostRaceError,
    NotDeployedError,
    ServiceError,
    UnfitVersionError,
)
from releases.ledger import Ledger, in_force
from releases.ports import AliasState, Clock, Functions
from releases.records import UNRELEASED, Kind, Line, Note, Plan, Prepared, timestamp

_BEGINS_TO_NEED = ("release", "rollback", "shift", "alarm", "shadow")
"""Moves to another model version. A rebase or a retirement starts to need nothing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An alias as it was at one moment. ``completed`` is a line that was missing and now is written."""

    state: AliasState
    lines: list[Line]
    completed: Line | None = None


class Mover:
    """Moves one alias of one model and keeps its ledger."""

    def __init__(
        self,
        store: ObjectStore,
        functions: Functions,
        clock: Clock,
        *,
        function: str,
        ref: ByAlias,
        by: str,
        follow: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """``follow`` leads what goes where the alias goes; what it could not do is in ``followed``."""
        self._store = store
        self._functions = functions
        self._clock = clock
        self._function = function
        self._ref = ref
        self._by = by
        self._follow = follow
        self.followed: tuple[str, ...] = ()
        self.ledger = Ledger(store, ref.model, ref.alias)

    def look(self, *, complete: bool = True) -> Seen:
        """The alias, and its ledger with any line completed that a crash left unwritten.

        Without ``complete`` nothing is written: the line is read as it will be.
        """
        state = self.find()
        if state is None:
            raise NotDeployedError(
                f"the alias `{self._ref}` does not exist",
                hint="Declare it in models.toml and run `cdk deploy --all` for this stage.",
            )
        lines = self.ledger.lines()
        missing = self.ledger.missing(Note.from_text(state.note), lines)
        if missing is not None:
            if complete:
                self.followed = self._follow()
            lines.append(self.ledger.append(missing.line, missing.plan) if complete else missing)
        return Seen(state, lines, completed=missing)

    def find(self) -> AliasState | None:
        return self._functions.alias(self._function, self._ref.alias)

    def move(
        self,
        seen: Seen,
        *,
        kind: Kind,
        to: Prepared,
        reason: str,
        restores: int | None = None,
        shift: str = "",
        forced: bool = False,
    ) -> Line:
        """Move the alias from where it was seen; raise ``LostRaceError`` if it moved meanwhile.

        Whatever weights it had are gone with the same call.
        """
        plan = self._plan(seen, kind, to, reason)
        plan = replace(plan, restores=restores, shift=shift, forced=forced)
        return self._carry_out(seen, plan, leads=bool(to.endpoint) or to.version == UNRELEASED)

    def weigh(self, seen: Seen, *, toward: Prepared, share: float, shift: str, reason: str) -> Line:
        """Let ``toward`` answer ``share`` of the calls; the alias stays where it is.

        Refused unless the ledger agrees with the alias, so that "stays where it is" means something.
        """
        plan = replace(self._staying("shift", seen, reason), shift=shift, toward=toward.version)
        plan = replace(plan, weights={toward.lambda_version: share})
        return self._carry_out(seen, plan, leads=bool(toward.endpoint))

    def mirror(self, seen: Seen, *, mirror: Prepared, share: float, shadow: int, reason: str) -> Line:
        """Let ``mirror``, the same model version, answer ``share`` of the calls and hand them to ``shadow``.

        As ``weigh``: one compare-and-swap, and the alias stays where it is.
        """
        plan = self._staying("shadow", seen, reason)
        if mirror.version != plan.version:
            raise DisagreementError(f"the mirror is `{self._ref.model}:{mirror.version}`, not what serves")
        return self._carry_out(seen, replace(plan, toward=shadow, weights={mirror.lambda_version: share}))

    def _staying(self, kind: Kind, seen: Seen, reason: str) -> Plan:
        stays = seen.lines[-1].plan if seen.lines else None
        if stays is None or stays.lambda_version != seen.state.version:
            raise DisagreementError(
                f"`{self._ref}` is not where its ledger says",
                hint=f"Put it right first: `yard status {self._ref.model}` says how.",
            )
        here = Prepared(stays.model, stays.version, stays.digest, stays.base, stays.lambda_version)
        return self._plan(seen, kind, here, reason)

    def _plan(self, seen: Seen, kind: Kind, to: Prepared, reason: str) -> Plan:
        return Plan(
            id=uuid.uuid4().hex[:16],
            model=self._ref.model,
            alias=self._ref.alias,
            kind=kind,
            version=to.version,
            digest=to.digest,
            lambda_version=to.lambda_version,
            base=to.base,
            from_version=seen.lines[-1].version if seen.lines else UNRELEASED,
            from_lambda_version=seen.state.version,
            reason=reason,
            by=self._by,
            at=timestamp(self._clock.now()),
        )

    def _carry_out(self, seen: Seen, plan: Plan, *, leads: bool = False) -> Line:
        """``leads`` if something may have to follow; a model that runs in its function waits for nothing."""
        number = seen.lines[-1].line + 1 if seen.lines else 1
        note = Note(number, plan.id, plan.version)
        self.ledger.write_plan(plan)
        if plan.kind in _BEGINS_TO_NEED:
            for version in {plan.version, plan.toward or plan.version}:
                must_be_kept(self._store, self._clock, ByVersion(self._ref.model, version))
        self._swap(seen.state, plan, note)
        # Before the line is written: whoever finds it missing, and completes it, completes this too.
        self.followed = self._follow() if leads else ()
        line = self.ledger.append(number, plan)
        with suppress(
            SwitchyardError
        ):  # the move is made and written; the next one folds what this one did not
            self.ledger.fold([*seen.lines, line])
        return line

    def _change(self, state: AliasState, plan: Plan, note: Note) -> AliasState:
        if plan.weights:
            return self._functions.weigh_alias(
                self._function,
                self._ref.alias,
                weights=plan.weights,
                note=note.to_text(),
                revision=state.revision,
            )
        return self._functions.move_alias(
            self._function,
            self._ref.alias,
            version=plan.lambda_version,
            note=note.to_text(),
            revision=state.revision,
        )

    def _swap(self, state: AliasState, plan: Plan, note: Note) -> None:
        try:
            moved = self._change(state, plan, note)
        except (LostRaceError, ServiceError) as error:
            # A call whose answer was lost may have won, and its repetition then meets itself.
            now = self.find()
            if now is None or now.note != note.to_text():
                raise self._lost(now, error) from error
            moved = now
        if moved.version != plan.lambda_version or moved.weights != plan.weights:
            raise DisagreementError(
                f"`{self._ref}` was set to Lambda version {plan.lambda_version} with weights {plan.weights} "
                f"and reports version {moved.version} with weights {moved.weights}",
                hint="Run `yard status` and then the same command again.",
            )

    def _lost(self, now: AliasState | None, error: Exception) -> Exception:
        if isinstance(error, ServiceError):
            return error
        winner = ""
        if now and (plan := self._plan_of(now)):
            winner = f": {plan.kind} to {plan.model}:{plan.version} by {plan.by} at {plan.at}"
        return LostRaceError(
            f"somebody else moved `{self._ref}` first{winner}",
            hint="Look at `yard status`, decide again, and repeat the command if it is still right.",
        )

    def _plan_of(self, state: AliasState) -> Plan | None:
        """The move that put the alias where it is, written to the ledger or not yet."""
        note = Note.from_text(state.note)
        lines = self.ledger.lines()
        missing = self.ledger.missing(note, lines)
        if missing is not None:
            return missing.plan
        return next((line.plan for line in lines if note and line.line == note.line), None)


def must_be_kept(store: ObjectStore, clock: Clock, ref: ByVersion) -> None:
    """Refuse to put in force what a collection takes away right now, or has taken away."""
    must_not_be_going(store, clock.now, ref)
    if is_removed(store, ref):
        raise UnfitVersionError(
            f"`{ref}` was taken away by a collection",
            hint=f"Release a version that exists: `yard versions {ref.model}`.",
        )


def shadow_in(seen: Seen) -> Line | None:
    """The line of the shadow that the alias has at the moment, if it has one and nobody touched it."""
    last = seen.lines[-1] if seen.lines else None
    if last is None or last.plan.kind != "shadow":
        return None
    undisturbed = seen.state.version == last.plan.lambda_version and seen.state.weights == last.plan.weights
    return last if undisturbed else None


def already_serves(seen: Seen, prepared: Prepared) -> bool:
    """Whether the alias serves exactly this already, and the ledger says so."""
    live = in_force(seen.lines)
    return (
        seen.state.version == prepared.lambda_version
        and not seen.state.weights
        and live is not None
        and live.lambda_version == prepared.lambda_version
    )
