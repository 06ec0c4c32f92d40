"""The release controller: what people ask for, in terms of prepare, check and move.

Release is two phases (law 5): the version is prepared and checked first; only then the alias moves.
Rollback is a move to a version that was prepared before (law 6): nothing is built or fetched.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_store.contract.deployment import DEFAULT_ALIAS
from model_store.contract.names import ByAlias, ByVersion
from model_store.versions import load_manifest
from releases.bases import current_base
from releases.errors import NothingToRollBackError, UnfitVersionError
from releases.ledger import Ledger, Step, in_force, standing
from releases.move import Seen, already_serves
from releases.prepare import served_by
from releases.records import UNRELEASED, Line, Prepared
from releases.settle import wait_until_active
from releases.stage import Stage


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
        base = current_base(self._stage.store, ref.model)
        mover = self._stage.mover(ref.model, alias)
        mover.look()
        prepared = self._stage.preparer.prepare(manifest, base)
        seen = mover.look()
        if already_serves(seen, prepared):
            warnings = self._pinned(ref.model, alias, seen.lines, prepared)
            return Moved(ref, alias, prepared.lambda_version, None, warnings)
        self._stage.say(f"moving {ref.model}@{alias} to {ref}")
        line = mover.move(
            seen,
            kind="release",
            to=prepared,
            reason=reason,
        )
        warnings = self._pinned(ref.model, alias, [*seen.lines, line], prepared)
        return Moved(ref, alias, prepared.lambda_version, line, warnings)

    def rollback(
        self, model: str, *, alias: str = DEFAULT_ALIAS, reason: str = "", to: int | None = None
    ) -> Moved:
        """Move ``alias`` back to the model version in force before the present one, or to version ``to``.

        One move to a version that is already prepared. Where somebody moved the alias past the
        ledger, it goes back to what the ledger says is live. A rollback that crashed after its move
        is completed instead of going back one step more. ``to`` must be an earlier release that still
        stands; everything after it is struck out, and going there twice moves once.
        """
        mover = self._stage.mover(model, alias)
        seen = mover.look()
        done = seen.completed
        if done and done.plan.kind == "rollback" and to in (None, done.version):
            warnings = self._pinned(model, alias, seen.lines)
            return Moved(ByVersion(model, done.version), alias, done.plan.lambda_version, done, warnings)
        target = self._rollback_target(seen, ByAlias(model, alias), to)
        if target is None:
            warnings = self._pinned(model, alias, seen.lines)
            return Moved(ByVersion(model, to or UNRELEASED), alias, seen.state.version, None, warnings)
        prepared, warnings = self._ready_to_go_back(model, target)
        self._stage.say(f"moving {model}@{alias} back to {model}:{target.version}")
        line = mover.move(
            seen,
            kind="rollback",
            to=prepared,
            reason=reason,
            restores=target.line,
        )
        warnings += self._pinned(model, alias, [*seen.lines, line], prepared)
        return Moved(ByVersion(model, target.version), alias, prepared.lambda_version, line, warnings)

    def history(self, model: str, *, alias: str = DEFAULT_ALIAS) -> list[Line]:
        """The ledger of ``alias``, oldest first. Reading it never changes it."""
        return Ledger(self._stage.store, model, alias).lines()

    def retire(self, model: str, *, alias: str = DEFAULT_ALIAS, reason: str = "") -> Moved:
        """Take ``alias`` out of service: it answers 503 from now on, and a deploy may remove it."""
        base = current_base(self._stage.store, model)
        mover = self._stage.mover(model, alias)
        mover.look()
        unreleased = self._stage.preparer.prepare_unreleased(model, base)
        seen = mover.look()
        if in_force(seen.lines) is None:
            warnings = self._pinned(model, alias, seen.lines)
            return Moved(ByVersion(model, UNRELEASED), alias, seen.state.version, None, warnings)
        line = mover.move(
            seen,
            kind="retire",
            to=unreleased,
            reason=reason,
        )
        warnings = self._pinned(model, alias, [*seen.lines, line])
        return Moved(ByVersion(model, UNRELEASED), alias, unreleased.lambda_version, line, warnings)

    def _pinned(self, model: str, alias: str, lines: list[Line], *prepared: Prepared) -> tuple[str, ...]:
        """Let what is released now answer to its number; warnings, since the move itself is done."""
        return self._stage.pins(model).warning(prepared, known={alias: lines})

    def _rollback_target(self, seen: Seen, ref: ByAlias, to: int | None) -> Step | None:
        """The step to go back to; ``None`` if ``ref`` serves ``to`` already."""
        now = in_force(seen.lines)
        if now is None:
            raise NothingToRollBackError(
                f"`{ref}` has not been released yet",
                hint=f"Release a version: `yard release {ref.model}:1`.",
            )
        config = self._stage.functions.config(seen.state.function, seen.state.version)
        agrees = served_by(config) == now.version
        if to == now.version:
            return None if agrees and not seen.state.weights else now
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

    def _ready_to_go_back(self, model: str, target: Step) -> tuple[Prepared, tuple[str, ...]]:
        base = current_base(self._stage.store, model)
        warnings: tuple[str, ...] = ()
        prepared = self._stage.preparer.find(model, target.version, base)
        if prepared is None:
            prepared = self._stage.preparer.find_any(model, target.version, base.function)
            older = (
                f"`{model}:{target.version}` stands on an older base (memory, code and layers of an earlier "
                f"deploy); `yard release {model}:{target.version}` puts it on today's"
            )
            warnings = (older,)
        if prepared is None:
            raise UnfitVersionError(
                f"no Lambda version of `{model}:{target.version}` is left to go back to",
                hint=f"Prepare it again, which takes longer: `yard release {model}:{target.version}`.",
            )
        config = self._stage.functions.config(base.function, prepared.lambda_version)
        if config is not None and config.state != "Active":
            self._stage.say(f"waking {model}:{target.version}, which is {config.state}")
            wait_until_active(
                self._stage.functions, self._stage.clock, base.function, prepared.lambda_version
            )
        return prepared, warnings
