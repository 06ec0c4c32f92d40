"""A bad day in memory: what it does is what it says, and releases get through it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.environment import MODEL_HEADER
from model_store.contract.names import ByVersion
from releases.adapters.bad_day import BadDayFunctions, Fault
from releases.controller import Controller
from releases.errors import DisagreementError, ServiceError
from releases.ports import Functions
from tests.unit.releases.world import STAGE, World

FUNCTION = function_name(STAGE, "digits")
ASK = {"rawPath": "/v2/models/digits/infer"}


def controller(world: World, functions: Functions) -> Controller:
    return Controller(world.stage(functions=functions))


@pytest.fixture
def world(new_world: Callable[..., World]) -> World:
    made = new_world(settle_reads=2)
    made.deploy()
    for version in (1, 2):
        made.publish(version)
    return made


def test_a_release_waits_for_a_version_that_is_long_pending(world: World) -> None:
    """Law 5: the alias moves only to a version that was Active and passed its checks."""
    bad = BadDayFunctions(world.functions, pending_reads=40)
    started = world.clock.now()
    controller(world, bad).release(ByVersion("digits", 1))
    assert world.clock.now() - started > 60
    assert world.ask() == (200, "digits:1")


def test_a_version_that_is_pending_refuses_to_run(world: World) -> None:
    bad = BadDayFunctions(world.functions, pending_reads=1)
    latest = world.functions.config(FUNCTION)
    assert latest is not None
    published = bad.publish(
        FUNCTION, description="", code_sha256=latest.code_sha256, revision=latest.revision
    )
    assert published.state == "Pending"
    assert bad.invoke(FUNCTION, published.version, ASK).error is not None
    read = bad.config(FUNCTION, published.version)
    assert read is not None
    assert read.state == "Pending"
    assert bad.invoke(FUNCTION, published.version, ASK).error is None


def test_a_moved_alias_reaches_the_old_version_for_so_many_calls(world: World) -> None:
    bad = BadDayFunctions(world.functions, lagging_calls=2)
    controller(world, bad).release(ByVersion("digits", 1))
    controller(world, bad).release(ByVersion("digits", 2))
    seen = [bad.invoke(FUNCTION, "live", ASK).payload["headers"][MODEL_HEADER] for _ in range(4)]
    assert seen == ["digits:1", "digits:1", "digits:2", "digits:2"]


def test_an_update_that_is_not_there_is_named_and_nothing_moves(world: World) -> None:
    """Law 9: what AWS reports after a change is compared with what was asked for."""
    world.controller().release(ByVersion("digits", 1))
    bad = BadDayFunctions(world.functions, undone_updates=1)
    with pytest.raises(DisagreementError, match="not what was asked for"):
        controller(world, bad).release(ByVersion("digits", 2))
    assert world.ask() == (200, "digits:1")
    controller(world, bad).release(ByVersion("digits", 2))
    assert world.ask() == (200, "digits:2")


@pytest.mark.parametrize(
    ("fault", "effect"), [(Fault.THROTTLED, 1), (Fault.FAILED, 1), (Fault.ANSWER_LOST, 2)]
)
def test_a_failed_call_had_its_effect_only_if_its_answer_was_lost(
    world: World, fault: Fault, effect: int
) -> None:
    world.controller().release(ByVersion("digits", 1))
    two = world.controller().release(ByVersion("digits", 2))
    world.controller().rollback("digits")
    bad = BadDayFunctions(world.functions, faults=lambda name: fault if name == "move_alias" else None)
    state = bad.alias(FUNCTION, "live")
    with pytest.raises(ServiceError, match="move_alias"):
        bad.move_alias(
            FUNCTION, "live", version=two.lambda_version, note="", revision=state.revision if state else ""
        )
    assert world.ask() == (200, f"digits:{effect}")


def test_calls_that_this_day_knows_nothing_of_are_answered_too(world: World) -> None:
    bad = BadDayFunctions(world.functions)
    assert bad.layer_exists("arn:layer:none:1") is False
    broken = BadDayFunctions(world.functions, faults=lambda _: Fault.FAILED)
    with pytest.raises(ServiceError, match="layer_exists"):
        broken.layer_exists("arn:layer:none:1")
