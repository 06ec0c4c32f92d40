"""Which versions of a heavy model must keep their endpoints: what serves, and the way back from it.

An endpoint costs money for as long as it is there, so the catalog lists the versions that have one, and the
guard of a deploy asks here whether one of those that left the list is still needed (laws 6 and 10). What is
live always is. What it replaced is for ``keep_warm``: after that a rollback to it would have to be
provisioned again, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from model_store.contract import environment as env
from model_store.contract.endpoints import SAGEMAKER
from model_store.contract.names import ByVersion
from model_store.versions import load_manifest
from releases.endpoints import adopted_endpoint
from releases.errors import StillLiveError
from releases.ledger import in_force, line_of, standing
from releases.prepare import served_by
from releases.records import UNRELEASED, Line, moment
from releases.stage import Stage

LAMBDA = "lambda"


@dataclass(frozen=True, slots=True)
class DeclaredVersions:
    """What the catalog of a deploy says about the endpoints of one model; ``versions`` have one each."""

    model: str
    aliases: tuple[str, ...]
    target: str = LAMBDA
    versions: tuple[int, ...] = ()
    rollback_depth: int = 2
    keep_warm_s: int = 0
    adopted: tuple[str, ...] = ()
    """Endpoints that were there before and may be asked."""


@dataclass(frozen=True, slots=True)
class Needed:
    """A version whose endpoint may not go yet, and why. What serves has no ``left_s``: it never may."""

    ref: ByVersion
    alias: str
    why: str
    left_s: float | None = None


def needed(stage: Stage, declared: DeclaredVersions) -> list[Needed]:
    """Every version that an alias of ``declared`` serves or would go back to, each once for each alias."""
    found: dict[tuple[int, str], Needed] = {}
    for alias in declared.aliases:
        state = stage.functions.alias(stage.function(declared.model), alias)
        if state is None:
            continue
        served = served_by(stage.functions.config(state.function, state.version))
        lines = stage.mover(declared.model, alias).ledger.lines()
        live = in_force(lines)
        for version in {served, live.version if live else UNRELEASED} - {UNRELEASED}:
            ref = ByVersion(declared.model, version)
            found[version, alias] = Needed(ref, alias, f"`{declared.model}@{alias}` serves it")
        for version, left_s in _ways_back(lines, declared, stage.clock.now()):
            why = f"`{declared.model}@{alias}` would go back to it, and keeps it warm {_hours(left_s)} more"
            found.setdefault((version, alias), Needed(ByVersion(declared.model, version), alias, why, left_s))
    return list(found.values())


def refuse_to_lose(stage: Stage, declared: Iterable[DeclaredVersions]) -> None:
    """Refuse a catalog that takes the endpoint of a needed version away. Changes nothing."""
    lost: list[Needed] = []
    for model in declared:
        if model.target == LAMBDA:
            _refuse_to_leave(stage, model)
        else:
            lost += [item for item in needed(stage, model) if not _has_endpoint(stage, model, item.ref)]
    if lost:
        facts = "; ".join(f"`{item.ref}`: {item.why}" for item in lost)
        first = lost[0].ref
        raise StillLiveError(
            f"the catalog no longer lists a version whose endpoint is needed: {facts}",
            hint=f"Put {first.version} back into `models.{first.model}.versions`, or release another version "
            "first and wait for `keep_warm`.",
        )


def _has_endpoint(stage: Stage, model: DeclaredVersions, ref: ByVersion) -> bool:
    """Whether the catalog keeps what runs ``ref``: an endpoint, or the permission to ask an adopted one."""
    # What was adopted runs where it was adopted, also where an endpoint of ours stands beside it.
    adopted = adopted_endpoint(load_manifest(stage.store, ref)) if model.target == SAGEMAKER else ""
    return adopted in model.adopted if adopted else ref.version in model.versions


def _refuse_to_leave(stage: Stage, model: DeclaredVersions) -> None:
    """The endpoints would go before the alias could leave them."""
    for alias in model.aliases:
        state = stage.functions.alias(stage.function(model.model), alias)
        config = stage.functions.config(state.function, state.version) if state else None
        if config is not None and env.ENDPOINT in config.environment:
            raise StillLiveError(
                f"`{model.model}@{alias}` is served by an endpoint, and the catalog moves it to Lambda",
                hint="Publish it under another name for Lambda, or take it out of service first with "
                "`yard retire`.",
            )


def _ways_back(lines: list[Line], declared: DeclaredVersions, now: float) -> Iterable[tuple[int, float]]:
    """Versions that were in force before, and for how many seconds each stays warm."""
    steps = standing(lines)[-1 - declared.rollback_depth :]
    for step, successor in pairwise(steps):
        line = line_of(lines, successor.line)
        left_s = declared.keep_warm_s - (now - moment(line.plan.at)) if line else 0.0
        if left_s > 0 and step.version != UNRELEASED:
            yield step.version, left_s


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h"
