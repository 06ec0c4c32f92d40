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
