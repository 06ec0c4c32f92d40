"""What stands ready costs money whether anybody calls or not: environments kept started, snapshots, machines.

From what AWS reports now. What answers no alias is there for a rollback: its share is the price of warmth.
A Lambda version without snapshot and without started environments costs nothing while nobody calls it.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_store.contract.deployment import is_declarable
from model_store.contract.environment import ENDPOINT
from planning.prices import Prices
from releases.bases import current_base
from releases.endpoints import KeptWarm, kept_warm
from releases.ports import FunctionConfig
from releases.prepare import served_by
from releases.records import UNRELEASED, Base
from releases.stage import Stage
from telemetry.window import HOUR_S


@dataclass(frozen=True, slots=True)
class Standing:
    """One thing that stands. ``per_hour`` in US dollars, ``None`` where no table has its price."""

    version: int
    what: str
    per_hour: float | None
    serves: bool


def standing(stage: Stage, model: str, prices: Prices) -> list[Standing]:
    """Everything of ``model`` that is paid for by the hour, by version."""
    base = current_base(stage.store, model)
    configs, serving = _versions(stage, base)
    found = _environments(stage, model, configs, serving, prices)
    found += _snapshots(configs, serving, prices)
    endpoints = stage.endpoints_of(base)
    if endpoints is not None:
        found += _machines(kept_warm(endpoints, stage.name, model), configs, serving)
    return sorted(found, key=lambda one: (one.version, one.what))


def per_hour(found: list[Standing], *, serves: bool | None = None) -> float:
    """What they cost together, those whose price is known: all, those that serve, or those that do not."""
    return sum(one.per_hour or 0.0 for one in found if serves in (None, one.serves))


def _versions(stage: Stage, base: Base) -> tuple[dict[str, FunctionConfig], set[str]]:
    """The Lambda versions that any alias leads to, pins too; and those that answer for an alias."""
    configs: dict[str, FunctionConfig] = {}
    serving: set[str] = set()
    for state in stage.functions.aliases(base.function):
        leading = {state.version, *state.weights}
        if is_declarable(state.alias):
            serving |= leading
        for number in leading - set(configs):
            config = stage.functions.config(base.function, number)
            if config is not None and served_by(config) != UNRELEASED:
                configs[number] = config
    return configs, serving


def _environments(
    stage: Stage, model: str, configs: dict[str, FunctionConfig], serving: set[str], prices: Prices
) -> list[Standing]:
    found = []
    for number, kept in stage.warm(model).present().items():
        config = configs.get(number) or stage.functions.config(stage.function(model), number)
        if config is None:
            continue
        gigabytes = config.memory_mb / 1024 * kept.requested
        cost = gigabytes * HOUR_S * prices.lambda_.provisioned_gb_second
        what = f"{kept.requested} environments of {config.memory_mb} MB kept started"
        found.append(Standing(served_by(config), what, cost, number in serving))
    return found


def _snapshots(configs: dict[str, FunctionConfig], serving: set[str], prices: Prices) -> list[Standing]:
    """Lambda charges for the snapshot of every published version as long as it is active."""
    return [
        Standing(
            served_by(config),
            f"a snapshot of {config.memory_mb} MB",
            config.memory_mb / 1024 * HOUR_S * prices.lambda_.snapstart_cache_gb_second,
            number in serving,
        )
        for number, config in configs.items()
        if config.snap_start != "None" and config.state == "Active"
    ]


def _machines(warm: list[KeptWarm], configs: dict[str, FunctionConfig], serving: set[str]) -> list[Standing]:
    asked = {configs[number].environment.get(ENDPOINT) for number in serving if number in configs}
    return [
        Standing(
            one.version,
            f"{one.instances} x {one.instance_type} ({one.status})",
            one.per_hour,
            one.endpoint in asked,
        )
        for one in warm
    ]
