"""What a deploy asks for: aliases that exist, a recorded base, and what is live put on that base.

Law 4: the template never owns what is live. A deploy moves no alias to another model version; it
re-releases the live one on the new base, everything prepared and checked before anything moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from model_store.contract.deployment import DEFAULT_ALIAS, is_declarable
from model_store.contract.names import ByVersion
from model_store.versions import load_manifest
from releases.bases import base_with_fingerprint, current_base, record_base
from releases.errors import DisagreementError, ReleaseError, ShiftRunningError, StillLiveError
from releases.kept import DeclaredVersions, refuse_to_lose
from releases.ledger import in_force, standing, step_before
from releases.move import Mover, Seen, already_serves, shadow_in
from releases.placement import reads_at_start
from releases.prepare import served_by
from releases.records import UNRELEASED, Base, Line, Note, Prepared
from releases.settle import wait_for_update
from releases.stage import Stage

MODELS_AT_ONCE = 32
"""Models prepared side by side: with SnapStart each takes minutes, nearly all of them waiting."""


@dataclass(frozen=True, slots=True)
class DeployedModel:
    """A model as a deploy declares it."""

    model: str
    fingerprint: str
    aliases: tuple[str, ...] = (DEFAULT_ALIAS,)
    rollback_depth: int = 2
    provisioned: int = 0
    versions: tuple[int, ...] | None = None
    """Those that have an endpoint; ``None`` where a version needs none."""

    def can_serve(self, version: int) -> bool:
        return self.versions is None or version in self.versions


@dataclass(slots=True)
class _Rebase:
    """A move that a deploy will make once everything is prepared."""

    mover: Mover
    seen: Seen
    prepared: Prepared
    done: Line | None = field(default=None)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A model whose every needed version stands on the new base, and the moves that are left to make."""

    model: str
    moves: tuple[_Rebase, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    base: Base | None = None
    aliases: tuple[str, ...] = ()


def _stands_on(seen: Seen, prepared: Prepared) -> bool:
    """Whether the alias needs no move: it serves exactly this, or would without a shift or shadow."""
    return already_serves(seen, prepared) or (
        bool(seen.state.weights)
        and seen.state.version == prepared.lambda_version
        and seen.lines[-1].plan.kind in ("shift", "shadow")
    )


class Deploy:
    """What ``cdk deploy`` does with the aliases of one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def declare(self, model: DeployedModel, *, layers: tuple[str, ...], environment: dict[str, str]) -> Base:
        """Record the base that a deploy left and make sure that every declared alias exists.

        An alias that exists is never moved here (law 4). A new one points at a version that answers
        503 until the first release.
        """
        function = self._stage.function(model.model)
        config = wait_for_update(self._stage.functions, self._stage.clock, function)
        base = Base.of(
            config,
            fingerprint=model.fingerprint,
            layers=layers,
            environment=environment,
            provisioned=model.provisioned,
        )
        record_base(self._stage.store, model.model, base)
        for alias in model.aliases:
            if self._stage.functions.alias(function, alias) is None:
                self._stage.say(f"creating {model.model}@{alias}")
                unreleased = self._stage.preparer.prepare_unreleased(model.model, base)
                self._stage.functions.create_alias(
                    function, alias, version=unreleased.lambda_version, note=Note(0, "", UNRELEASED).to_text()
                )
        return base

    def rebase(self, models: Iterable[DeployedModel], *, publish: bool = True) -> list[Line]:
        """Put what is live, and what a rollback needs, on the base that the deploy left.

        Two phases over all models: everything is prepared and checked before the first alias moves,
        so a failure moves nothing. If a move itself fails, the moves made so far are taken back.
        ``publish=False`` is for a stack that rolls back: only versions that exist already are used.
        """
        models = list(models)
        if publish:
            self.refuse_while_shifting({model.model: model.aliases for model in models})
        with ThreadPoolExecutor(MODELS_AT_ONCE) as pool:
            ready = list(pool.map(lambda model: self._prepare_rebase(model, publish=publish), models))
        moves = [move for of_model in ready for move in of_model.moves]
        try:
            for move in moves:
                if shadow := shadow_in(move.seen):
                    plan = shadow.plan
                    self._stage.say(
                        f"the shadow of {plan.model}:{plan.toward} ends: it stood on the base before"
                    )
                move.done = self._apply(move, reason="deploy")
            self._follow(ready, must=publish)
        except ReleaseError:
            self._take_back([move for move in moves if move.done])
            raise
        for of_model in ready:
            for warning in (
                *self._stage.pins(of_model.model).warning(of_model.prepared),
                *self._stage.keep_warm(of_model.model, of_model.base),
            ):
                self._stage.say(warning)
        return [move.done for move in moves if move.done]

    def refuse_while_shifting(self, declared: Mapping[str, Iterable[str]]) -> None:
        """Refuse to change a base while a release in steps stands on it.

        The version that is tried was prepared on today's base. Not asked when a stack rolls back.
        """
        for model, aliases in declared.items():
            for alias in aliases:
                newest = self._stage.shifts(model, alias).newest()
                if newest is None:
                    continue
                lines = self._stage.mover(model, alias).ledger.lines()
                running = self._stage.shifts(model, alias).running(lines, self._stage.clock.now())
                if running is not None:
                    raise ShiftRunningError(
                        f"`{running.target}` is being shifted from `{model}:{running.from_version}` to "
                        f"`{running.ref}`, and a deploy would change the ground under it",
                        hint=f"Wait for it (`yard watch {model}`) or stop it (`yard stop {model}`), "
                        "then deploy again.",
                    )

    def guard(self, declared: dict[str, tuple[str, ...]], known: Iterable[str]) -> None:
        """Refuse a deploy whose catalog lacks a model or alias that is live (law 10).

        ``known`` are the models that the store has ever heard of.
        """
        missing: list[str] = []
        for model in known:
            function = self._stage.function(model)
            # A first release that died right after its move has no line in any ledger yet.
            for state in self._stage.functions.aliases(function):
                if state.alias in declared.get(model, ()) or not is_declarable(state.alias):
                    continue
                if served_by(self._stage.functions.config(function, state.version)) != UNRELEASED:
                    missing.append(f"{model}@{state.alias}")
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            raise StillLiveError(
                f"the catalog no longer declares {names}, which still serves",
                hint="Put it back into models.toml, or take it out of service first with `yard retire`.",
            )

    def guard_endpoints(self, declared: Iterable[DeclaredVersions]) -> None:
        """Refuse a deploy that would delete the endpoint of a version that is needed (law 10)."""
        refuse_to_lose(self._stage, declared)

    def guard_reading(self, may_not_read: Iterable[str]) -> None:
        """Refuse a deploy that would shut a model out of the store while it reads what it serves there.

        A published version keeps its role, and the role is the template's: without the permission it would
        serve until its next cold start, and then no more. Asked for every alias, pins and shares included.
        """
        for model in may_not_read:
            function = self._stage.function(model)
            for state in self._stage.functions.aliases(function):
                for lambda_version in (state.version, *state.weights):
                    config = self._stage.functions.config(function, lambda_version)
                    if reads_at_start(config):
                        raise StillLiveError(
                            f"`{model}:{served_by(config)}` is read from S3 whenever it starts, `{model}@"
                            f"{state.alias}` leads to it, and the catalog gives `{model}` no `ephemeral_mb` "
                            "any more",
                            hint="Put `ephemeral_mb` back into models.toml, or first release versions that "
                            "travel as layers until no rollback needs this one.",
                        )

    def _prepare_rebase(self, model: DeployedModel, *, publish: bool) -> _Ready:
        base = self._base_for(model, publish=publish)
        if base is None:
            return _Ready(model.model)
        serving: list[tuple[Mover, Seen, int]] = []
        needed: list[int] = []
        warmed: list[int] = []
        for alias in model.aliases:
            mover = self._stage.mover(model.model, alias)
            seen = mover.look()
            live = in_force(seen.lines)
            if live is None:
                continue
            served = served_by(self._stage.functions.config(base.function, seen.state.version))
            version = served if served != UNRELEASED else live.version
            serving.append((mover, seen, version))
            before = step_before(seen.lines)
            warmed += [version]
            if before and model.can_serve(before.version):
                warmed += [before.version]
            needed += [
                version,
                *(
                    step.version
                    for step in standing(seen.lines)[-1 - model.rollback_depth : -1]
                    if model.can_serve(step.version)
                ),
            ]
        on_base = self._prepared_on(model.model, sorted(set(needed)), base, publish=publish)
        if publish:
            warm = [on_base[version].lambda_version for version in sorted(set(warmed))]
            self._stage.warm(model.model).ready(warm, base.provisioned)
        moves = tuple(
            _Rebase(mover, seen, on_base[version])
            for mover, seen, version in serving
            if version in on_base and not _stands_on(seen, on_base[version])
        )
        return _Ready(model.model, moves, tuple(on_base.values()), base, model.aliases)

    def _base_for(self, model: DeployedModel, *, publish: bool) -> Base | None:
        if not publish:
            return base_with_fingerprint(self._stage.store, model.model, model.fingerprint)
        base = current_base(self._stage.store, model.model)
        if base.fingerprint != model.fingerprint:
            raise DisagreementError(
                f"the last deploy of `{model.model}` left another configuration than this one expects",
                hint="Deploy all stacks of the stage together: `cdk deploy --all`.",
            )
        return base

    def _prepared_on(
        self, model: str, versions: list[int], base: Base, *, publish: bool
    ) -> dict[int, Prepared]:
        preparer = self._stage.preparer
        if not publish:
            found = {version: preparer.find(model, version, base) for version in versions}
            return {version: prepared for version, prepared in found.items() if prepared is not None}
        manifests = [load_manifest(self._stage.store, ByVersion(model, version)) for version in versions]
        return {prepared.version: prepared for prepared in preparer.prepare_all(manifests, base)}

    def _follow(self, ready: Iterable[_Ready], *, must: bool) -> None:
        """Lead gRPC calls where the aliases are, also those that had not to move.

        The fleets that they went to may be deleted next, so a deploy that cannot do it has failed.
        """
        for of_model in ready:
            for alias in of_model.aliases if of_model.base else ():
                for warning in self._stage.follow(of_model.model, alias, of_model.base):
                    if must:
                        raise DisagreementError(warning, hint="Deploy again.")
                    self._stage.say(warning)

    def _apply(self, move: _Rebase, *, reason: str) -> Line:
        return move.mover.move(move.seen, kind="rebase", to=move.prepared, reason=reason)

    def _take_back(self, moves: list[_Rebase]) -> None:
        """Undo the moves of a rebase that failed half way; what was moved by others since stays."""
        for move in reversed(moves):
            seen = move.mover.look()
            if move.done is None or seen.lines[-1].line != move.done.line:
                continue
            earlier = move.seen.state.version
            config = self._stage.functions.config(seen.state.function, earlier)
            if config is not None:
                before = Prepared.of(config, model=move.prepared.model)
                move.mover.move(seen, kind="rebase", to=before, reason="deploy failed: taken back")
                for warning in move.mover.followed:
                    self._stage.say(warning)
