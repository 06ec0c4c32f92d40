"""Rebase: the same model versions on another base. A deploy does it with all models at once, waves with some.

Two phases, as for a release: what serves and what a rollback needs is prepared and checked on the base first;
only then aliases move, each to the model version that it serves already.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from model_store.contract.deployment import DEFAULT_ALIAS
from model_store.contract.names import ByVersion
from model_store.versions import load_manifest
from releases.endpoints import adopted_endpoint
from releases.ledger import in_force, standing, step_before
from releases.move import Mover, Seen, already_serves, shadow_in
from releases.prepare import served_by
from releases.records import DEFAULT_ROLLBACK_DEPTH, UNRELEASED, Base, Line, Prepared
from releases.stage import Stage


@dataclass(frozen=True, slots=True)
class DeployedModel:
    """A model as a deploy declares it."""

    model: str
    fingerprint: str
    aliases: tuple[str, ...] = (DEFAULT_ALIAS,)
    rollback_depth: int = DEFAULT_ROLLBACK_DEPTH
    provisioned: int = 0
    versions: tuple[int, ...] | None = None
    """Those that have an endpoint; ``None`` where a version needs none."""
    waves: bool = False
    """The deploy is to leave it where it is; it moves in a wave of a rebase."""
    adopted: tuple[str, ...] = ()
    """Endpoints that were there before, of versions that need none of ours."""


@dataclass(slots=True)
class Rebased:
    """A move that will be made once everything is prepared; ``done`` when it was."""

    mover: Mover
    seen: Seen
    prepared: Prepared
    done: Line | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Needed:
    """What of a model must stand on a base: what its aliases serve, and the versions a rollback needs."""

    serving: tuple[tuple[Mover, Seen, int], ...]
    versions: tuple[int, ...]
    warmed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """A model whose every needed version stands on the base, and the moves that are left to make."""

    model: str
    moves: tuple[Rebased, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    base: Base | None = None
    aliases: tuple[str, ...] = ()


def can_serve(stage: Stage, model: DeployedModel, version: int) -> bool:
    """Whether something runs this version: always on Lambda, else an endpoint of ours or an adopted one."""
    if model.versions is None or version in model.versions:
        return True
    ref = ByVersion(model.model, version)
    return bool(model.adopted) and adopted_endpoint(load_manifest(stage.store, ref)) in model.adopted


def needed(stage: Stage, model: DeployedModel, base: Base) -> Needed:
    """What ``model`` serves by any alias, and the steps back that are to be kept ready."""
    serving: list[tuple[Mover, Seen, int]] = []
    versions: list[int] = []
    warmed: list[int] = []
    for alias in model.aliases:
        mover = stage.mover(model.model, alias)
        seen = mover.look()
        live = in_force(seen.lines)
        if live is None:
            continue
        served = served_by(stage.functions.config(base.function, seen.state.version))
        version = served if served != UNRELEASED else live.version
        serving.append((mover, seen, version))
        before = step_before(seen.lines)
        warmed += [version]
        if before and can_serve(stage, model, before.version):
            warmed += [before.version]
        steps = standing(seen.lines)[-1 - model.rollback_depth : -1]
        versions += [version, *(step.version for step in steps if can_serve(stage, model, step.version))]
    return Needed(tuple(serving), tuple(sorted(set(versions))), tuple(sorted(set(warmed))))


def prepare_rebase(stage: Stage, model: DeployedModel, base: Base, *, publish: bool = True) -> Ready:
    """Prepare and check on ``base`` what ``model`` needs there; nothing that serves has moved then.

    ``publish=False`` publishes nothing: only what was prepared before is used. Safe to repeat.
    """
    needs = needed(stage, model, base)
    on_base = _prepared_on(stage, model.model, needs.versions, base, publish=publish)
    if publish:
        warm = [on_base[version].lambda_version for version in needs.warmed]
        stage.warm(model.model).ready(warm, base.provisioned)
    moves = tuple(
        Rebased(mover, seen, on_base[version])
        for mover, seen, version in needs.serving
        if version in on_base and not _stands_on(seen, on_base[version])
    )
    return Ready(model.model, moves, tuple(on_base.values()), base, model.aliases)


def carry_out(stage: Stage, move: Rebased, *, reason: str) -> Line:
    """Move one alias to the same model version on the new base."""
    if shadow := shadow_in(move.seen):
        plan = shadow.plan
        stage.say(f"the shadow of {plan.model}:{plan.toward} ends: it stood on the base before")
    move.done = move.mover.move(move.seen, kind="rebase", to=move.prepared, reason=reason)
    return move.done


def put_back(stage: Stage, mover: Mover, done: Line, *, reason: str) -> Line | None:
    """Undo a move of a rebase; ``None`` where others have moved the alias since, or nothing is left of it."""
    seen = mover.look()
    if not seen.lines or seen.lines[-1].line != done.line:
        return None
    config = stage.functions.config(seen.state.function, done.plan.from_lambda_version)
    if config is None:
        return None
    before = Prepared.of(config, model=done.plan.model)
    return mover.move(seen, kind="rebase", to=before, reason=reason)


def _stands_on(seen: Seen, prepared: Prepared) -> bool:
    """Whether the alias needs no move: it serves exactly this, or would without a shift or shadow."""
    return already_serves(seen, prepared) or (
        bool(seen.state.weights)
        and seen.state.version == prepared.lambda_version
        and seen.lines[-1].plan.kind in ("shift", "shadow")
    )


def _prepared_on(
    stage: Stage, model: str, versions: tuple[int, ...], base: Base, *, publish: bool
) -> dict[int, Prepared]:
    preparer = stage.preparer
    if not publish:
        found = {version: preparer.find(model, version, base) for version in versions}
        return {version: prepared for version, prepared in found.items() if prepared is not None}
    manifests = [load_manifest(stage.store, ByVersion(model, version)) for version in versions]
    return {prepared.version: prepared for prepared in preparer.prepare_all(manifests, base)}
