"""``releases.check``: what a version has to show before an alias may point at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from model_store.contract.names import ByVersion
from releases.errors import UnfitVersionError
from releases.ports import FunctionConfig
from tests.unit.releases.world import World, honest, respond, tensor


def answering(status: int, body: dict[str, Any], where: str) -> Callable[..., Any]:
    def play(config: FunctionConfig, event: dict[str, Any]) -> Any:
        released = "SWITCHYARD_VERSION" in config.environment
        return (
            respond(config, status, body)
            if released and event["rawPath"].endswith(where)
            else honest(config, event)
        )

    return play


def garbage(config: FunctionConfig, event: dict[str, Any]) -> Any:
    return ["not", "http"] if "SWITCHYARD_VERSION" in config.environment else honest(config, event)


CASES: dict[str, tuple[Callable[..., Any], str]] = {
    "not ready": (answering(503, {"error": "still loading"}, "/ready"), "readiness with 503: still loading"),
    "an error for the sample": (answering(400, {"error": "too wide"}, "/infer"), "400: too wide"),
    "no outputs": (answering(200, {}, "/infer"), "output `y` is missing"),
    "one output too many": (
        answering(200, {"outputs": [tensor("y", 1.0).as_json(), tensor("z", 1.0).as_json()]}, "/infer"),
        "output `z`",
    ),
    "not even HTTP": (garbage, "not JSON over HTTP"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_version_that_does_not_do_as_it_should_is_unfit(new_world: Callable[..., World], name: str) -> None:
    """Law 5."""
    play, reason = CASES[name]
    world = new_world(play)
    world.deploy()
    with pytest.raises(UnfitVersionError, match=reason):
        world.controller().release(world.publish(1))
    assert world.ask() == (503, "")


def test_small_differences_within_the_tolerance_pass(new_world: Callable[..., World]) -> None:
    world = new_world(answering(200, {"outputs": [tensor("y", 1.000001).as_json()]}, "/infer"))
    world.deploy()
    world.publish(1)
    assert world.controller().release(ByVersion("digits", 1)).line is not None


def test_a_golden_sample_that_is_queued_is_asked_for_until_it_is_answered(
    new_world: Callable[..., World],
) -> None:
    """Behind an endpoint without a machine it takes minutes; one that never comes is unfit."""
    looks = [0]

    def later(config: FunctionConfig, event: dict[str, Any]) -> Any:
        path = event["rawPath"]
        if "SWITCHYARD_VERSION" in config.environment and path.endswith("/infer"):
            return respond(config, 202, {"id": "abc", "status": "waiting"})
        if path.endswith("/results/abc"):
            looks[0] -= 1
            if looks[0] >= 0:
                return respond(config, 202, {"id": "abc", "status": "waiting"})
            return respond(config, 200, {"outputs": [tensor("y", 1.0).as_json()]})
        return honest(config, event)

    world = new_world(later)
    world.deploy()
    looks[0] = 40
    world.publish(1)
    assert world.controller().release(ByVersion("digits", 1)).line is not None
    looks[0] = 10_000
    with pytest.raises(UnfitVersionError, match="output `y` is missing"):
        world.controller().release(world.publish(2))


def test_an_endpoint_that_is_woken_by_its_golden_sample_is_waited_for(
    new_world: Callable[..., World],
) -> None:
    refusals = [0]

    def sleeping(config: FunctionConfig, event: dict[str, Any]) -> Any:
        if "SWITCHYARD_VERSION" in config.environment and event["rawPath"].endswith("/infer"):
            refusals[0] -= 1
            if refusals[0] >= 0:
                said = respond(config, 503, {"error": "one is being started"})
                return {**said, "headers": {**said["headers"], "retry-after": "30"}}
        return honest(config, event)

    world = new_world(sleeping)
    world.deploy()
    refusals[0] = 40
    world.publish(1)
    assert world.controller().release(ByVersion("digits", 1)).line is not None
    refusals[0] = 10_000
    with pytest.raises(UnfitVersionError, match="got no machine in 30 minutes"):
        world.controller().release(world.publish(2))
