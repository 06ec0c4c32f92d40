"""Which versions the release room needs, and why: what garbage collection must leave alone (law 10).

Everything that is asked here errs towards keeping: a version that is named by what serves, by the newest
steps and lines of a ledger, by a plan that may still be carried out, or that stands behind a release that
runs right now. Where Lambda does not answer, nothing is known and the error goes through.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from model_store.contract.keys import all_prepared_prefix, plans_prefix
from model_store.contract.names import ByVersion
from model_store.versions import models, versions
from releases.bases import current_base
from releases.endpoints import refs_with_endpoints
from releases.errors import NotDeployedError
from releases.lease import holder
from releases.ledger import Ledger, aliases_with_history, standing
from releases.prepare import served_by
from releases.records import UNRELEASED, Line, Plan, Prepared
from releases.stage import Stage

KEPT_RELEASES = 10
"""How many of an alias's newest releases are kept where nobody asks for another number."""

DEEPEST_ROLLBACK = 10
"""Steps back that a deploy may be told to keep ready (``rollback_depth``): it reads their manifests."""

PLAN_SECONDS = 24 * 3600.0
"""A plan that is older and has no line in the ledger was given up, or its alias says that it was not."""


def needed(stage: Stage, *, keep: int = KEPT_RELEASES) -> dict[ByVersion, str]:
    """Every version that releases need, each with one reason as a sentence."""
    found: dict[ByVersion, str] = {}
    for model in models(stage.store):
        for version, why in _of_model(stage, model, keep):
            if version != UNRELEASED:
                found.setdefault(ByVersion(model, version), why)
    return found


def _of_model(stage: Stage, model: str, keep: int) -> Iterator[tuple[int, str]]:
    carried_out: set[str] = set()
    for alias in aliases_with_history(stage.store, model):
        lines = Ledger(stage.store, model, alias).lines()
        carried_out.update(line.plan.id for line in lines)
        yield from _of_alias(stage, model, alias, lines, keep)
    yield from _planned(stage, model, carried_out)
    for ref in _provisioned(stage, model):
        yield ref.version, "an endpoint is made from it, and may read it again"
    yield from _read_at_start(stage, model)
    busy = holder(stage.store, stage.clock, model)
    if busy is not None:
        for version in versions(stage.store, model):
            yield version, f"`{model}` is being prepared by {busy}"


def _provisioned(stage: Stage, model: str) -> set[ByVersion]:
    try:
        endpoints = stage.endpoints_of(current_base(stage.store, model))
    except NotDeployedError:
        return set()
    return refs_with_endpoints(endpoints, stage.name, model) if endpoints else set()


def _of_alias(
    stage: Stage, model: str, alias: str, lines: list[Line], keep: int
) -> Iterator[tuple[int, str]]:
    name = f"{model}@{alias}"
    for version in _serving(stage, model, alias):
        yield version, f"`{name}` serves it"
    if lines and lines[-1].plan.kind == "shadow" and lines[-1].plan.toward:
        yield lines[-1].plan.toward, f"requests of `{name}` are mirrored to it"
    for step in standing(lines)[-1 - max(keep, DEEPEST_ROLLBACK) :]:
        yield step.version, f"`{name}` can roll back to it"
    shift = stage.shifts(model, alias).running(lines, stage.clock.now())
    if shift is not None:
        for version in (shift.version, shift.from_version):
            yield version, f"`{name}` is being shifted from `{shift.from_version}` to `{shift.version}`"
    for line in lines[-keep:]:
        yield line.version, f"it is one of the last {keep} releases of `{name}`"


def _serving(stage: Stage, model: str, alias: str) -> Iterator[int]:
    """What Lambda says, whatever the ledger thinks: also a version that takes a share of the traffic."""
    function = stage.function(model)
    state = stage.functions.alias(function, alias)
    if state is None:
        return
    for lambda_version in (state.version, *state.weights):
        version = served_by(stage.functions.config(function, lambda_version))
        if version != UNRELEASED:
            yield version


def _read_at_start(stage: Stage, model: str) -> Iterator[tuple[int, str]]:
    """What published Lambda versions have no copy of: they read it from the store whenever they start.

    Also those that nothing leads to but a pin, or a person who breaks the glass. A release that is being
    checked has no record yet; before it moves anything it asks whether its version was taken away.
    """
    function = stage.function(model)
    for key in stage.store.keys(all_prepared_prefix(model)):
        prepared = Prepared.from_json(stage.store.get(key))
        if not prepared.model_layer and stage.preparer.holds(function, prepared):
            why = f"Lambda version {prepared.lambda_version} reads it from S3 when it starts"
            yield prepared.version, why


def _planned(stage: Stage, model: str, carried_out: set[str]) -> Iterator[tuple[int, str]]:
    """Plans without a line: a move that is about to happen, or happened and was interrupted."""
    for key in stage.store.keys(plans_prefix(model)):
        if key.rsplit("/", 1)[1].removesuffix(".json") in carried_out:
            continue
        plan = Plan.from_json(stage.store.get(key))
        if stage.clock.now() - datetime.fromisoformat(plan.at).timestamp() < PLAN_SECONDS:
            yield plan.version, f"a {plan.kind} of it by {plan.by} was about to happen at {plan.at}"
