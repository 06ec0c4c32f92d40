"""Following: gRPC calls go where the alias goes.

API Gateway carries no gRPC, so callers of an ``ec2`` model ask its load balancer, which knows no alias. After
every move of an alias its rule is set to the endpoints that the alias's Lambda versions pin, with the same
shares. The alias is what serves, and this follows: it is never read to decide anything, and a failure takes
no move back. It comes before the ledger's line, so a command that died before it is completed by itself
again, or by whoever looks next. No template holds the rule, so no deploy can move it (law 4, ADR 33).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from model_store.contract import environment as env
from model_store.contract.deployment import DEFAULT_ALIAS
from model_store.contract.endpoints import EC2, version_of_endpoint
from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByAlias
from releases.ports import AliasState
from releases.prepare import served_by
from releases.records import UNRELEASED, Base

if TYPE_CHECKING:
    from releases.stage import Stage

ROUNDS = 5
"""So often an alias that others move meanwhile is followed once more."""

NEAR = 0.005
"""Weights of a load balancer are whole numbers up to 999."""


def follow(stage: Stage, model: str, alias: str, base: Base) -> tuple[str, ...]:
    """Lead gRPC calls where the alias leads now. Warnings, since the move is done; nothing to do is nothing.

    Whoever follows an older move than another looks again afterwards, so the last one to look is right.
    """
    if stage.grpc is None or base.environment.get(env.TARGET) != EC2:
        return ()
    try:
        state = stage.functions.alias(base.function, alias)
        for _ in range(ROUNDS):
            if state is None:
                return ()
            shares = led_by(stage, base, state)
            led = stage.grpc.led(model, alias)
            if led is None:
                return ()
            if not agree(led, shares):
                stage.grpc.lead(model, alias, shares)
            now = stage.functions.alias(base.function, alias)
            if now is not None and (now.version, now.weights) == (state.version, state.weights):
                return ()
            state = now
    except SwitchyardError as error:
        said = f"gRPC calls of `{ByAlias(model, alias)}` may not go where its alias is: {error}"
        return (f"{said}; `yard status {model}` says if so, and what to type",)
    return (f"others keep moving `{ByAlias(model, alias)}`; `yard status {model}` says where gRPC calls go",)


def led_by(stage: Stage, base: Base, state: AliasState) -> dict[str, float]:
    """The endpoints that an alias leads to, each with its share; none before the first release."""
    shares: dict[str, float] = {}
    for version, share in {state.version: 1 - sum(state.weights.values()), **state.weights}.items():
        config = stage.functions.config(base.function, version)
        if config is not None and served_by(config) != UNRELEASED and env.ENDPOINT in config.environment:
            endpoint = config.environment[env.ENDPOINT]
            shares[endpoint] = shares.get(endpoint, 0.0) + share
    return shares


def disagreement(stage: Stage, model: str, base: Base, state: AliasState) -> str | None:
    """What is to be said if gRPC calls go elsewhere than the alias, and what to type."""
    if stage.grpc is None or base.environment.get(env.TARGET) != EC2:
        return None
    led = stage.grpc.led(model, state.alias)
    shares = led_by(stage, base, state)
    if led is None or agree(led, shares):
        return None
    served = served_by(stage.functions.config(base.function, state.version))
    at = f" --alias {state.alias}" if state.alias != DEFAULT_ALIAS else ""
    if state.weights:
        way = f"`yard stop {model}{at}` ends the shift and puts them right"
    elif served == UNRELEASED:
        way = f"`yard retire {model}{at}` again ends that"
    else:
        way = f"`yard release {model}:{served}{at}` again moves them"
    return (
        f"gRPC calls go to {_named(stage, model, led)}, and the alias leads to "
        f"{_named(stage, model, shares)}: {way}"
    )


def agree(led: Mapping[str, float], shares: Mapping[str, float]) -> bool:
    """Whether calls go where they should, as near as weights can say it."""
    return led.keys() == shares.keys() and all(abs(led[name] - shares[name]) <= NEAR for name in led)


def _named(stage: Stage, model: str, shares: Mapping[str, float]) -> str:
    if not shares:
        return "nobody"
    said = []
    for name, share in shares.items():
        version = version_of_endpoint(stage.name, model, name)
        what = f"version {version} (`{name}`)" if version else f"`{name}`"
        said.append(what if len(shares) == 1 else f"{what}: {share:.0%}")
    return ", ".join(said)
