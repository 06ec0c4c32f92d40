"""``releases.pins``: what is released anywhere answers to its number, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model_store.contract.deployment import function_name, pin_alias
from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.errors import NotDeployedError, ServiceError
from releases.lease import LEASE_SECONDS
from tests.unit.releases.test_crashes import Fuse, ProcessDied
from tests.unit.releases.world import STAGE, Around, World

FUNCTION = function_name(STAGE, "digits")


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


def pinned(world: World) -> dict[int, str]:
    """Which version answers under each pin, asked for like a caller would."""
    present = world.stage().pins("digits").present()
    return {version: world.ask(qualifier=pin_alias(version))[1] for version in sorted(present)}


def release(world: World, *versions: int, alias: str = "live") -> None:
    for version in versions:
        world.controller().release(ref(version), alias=alias)


def test_before_the_first_release_nothing_answers_to_a_number(world: World) -> None:
    assert pinned(world) == {}
    with pytest.raises(NotDeployedError):
        world.ask(qualifier="v1")


def test_what_serves_and_what_a_rollback_goes_back_to_answer_to_their_numbers(world: World) -> None:
    release(world, 1, 2)
    assert pinned(world) == {1: "digits:1", 2: "digits:2"}


def test_a_version_that_was_rolled_back_no_longer_answers_to_its_number(world: World) -> None:
    release(world, 1, 2)
    world.controller().rollback("digits")
    assert pinned(world) == {1: "digits:1"}


def test_a_version_released_under_any_alias_answers_to_its_number(world: World) -> None:
    world.deploy(aliases=("live", "candidate"))
    release(world, 1)
    release(world, 2, alias="candidate")
    assert pinned(world) == {1: "digits:1", 2: "digits:2"}
    world.controller().retire("digits", alias="candidate")
    assert pinned(world) == {1: "digits:1"}


def test_a_version_that_stands_in_two_ledgers_is_kept_while_either_keeps_it(world: World) -> None:
    world.deploy(aliases=("live", "candidate"))
    release(world, 1, 2)
    release(world, 2, alias="candidate")
    world.controller().rollback("digits")
    assert pinned(world) == {1: "digits:1", 2: "digits:2"}


def test_a_deploy_moves_the_pins_to_the_new_base(world: World) -> None:
    release(world, 1, 2)
    before = world.stage().pins("digits").present()
    world.memory_mb = 1024
    world.deploy()
    after = world.stage().pins("digits").present()
    assert pinned(world) == {1: "digits:1", 2: "digits:2"}
    for version in (1, 2):
        assert after[version] != before[version]
        config = world.functions.config(FUNCTION, after[version])
        assert config is not None
        assert config.memory_mb == 1024


def test_a_version_that_somebody_deleted_is_not_pinned_and_stops_nothing(world: World) -> None:
    release(world, 1)
    first = world.controller().history("digits")[0].plan.lambda_version
    release(world, 2)
    world.functions.delete(FUNCTION, first)
    moved = world.controller().release(ref(3))
    assert moved.warnings == ()
    assert world.ask(qualifier="v3") == (200, "digits:3")


def test_a_pin_that_cannot_be_set_does_not_undo_the_move_and_is_named(world: World) -> None:
    release(world, 1)

    def down(call: str) -> None:
        if call == "create_alias":
            raise ServiceError("Lambda answered TooManyRequestsException")

    stage = world.stage(functions=Around(world.functions, before=down))
    moved = Controller(stage).release(ref(2))
    assert moved.line is not None
    assert "not up to date" in moved.warnings[0]
    assert world.ask() == (200, "digits:2")
    (said,) = world.stage().pins("digits").differences()
    assert "`digits:2` is released and cannot be asked for by number" in said
    release(world, 2)
    assert world.stage().pins("digits").differences() == []
    assert pinned(world) == {1: "digits:1", 2: "digits:2"}


def test_a_pin_made_by_hand_is_named_and_parked(world: World) -> None:
    release(world, 1)
    version = world.controller().history("digits")[0].plan.lambda_version
    world.functions.create_alias(FUNCTION, "v9", version=version, note="")
    (said,) = world.stage().pins("digits").differences()
    assert "`digits:9` is released nowhere" in said
    release(world, 1)
    assert world.stage().pins("digits").present() == {1: version}


def test_a_parked_pin_leads_to_another_version_and_comes_back_with_a_release(world: World) -> None:
    """Law 10: nothing is deleted; what is released nowhere is not reached by its number either."""
    release(world, 1, 2)
    world.controller().rollback("digits")
    assert world.ask(qualifier="v2") == (200, "digits:1")
    release(world, 2)
    assert pinned(world) == {1: "digits:1", 2: "digits:2"}


def test_with_nothing_in_service_a_parked_pin_leads_to_the_version_that_answers_503(world: World) -> None:
    release(world, 1)
    world.controller().retire("digits")
    assert pinned(world) == {}
    assert world.ask(qualifier="v1") == (503, "")


def test_a_move_meanwhile_is_seen(world: World) -> None:
    """Bob releases 2 again while Ann, who rolled it back, is about to park its pin."""
    release(world, 1, 2)

    def interrupt(call: str) -> None:
        if call == "move_alias" and world.ask()[1] == "digits:1":
            world.controller(by="bob").release(ref(2))

    stage = world.stage(functions=Around(world.functions, before=interrupt))
    Controller(stage).rollback("digits")
    assert world.ask() == (200, "digits:2")
    assert pinned(world) == {1: "digits:1", 2: "digits:2"}


@pytest.mark.parametrize("after_effect", [False, True], ids=["before its effect", "after its effect"])
def test_after_a_crash_at_any_call_the_next_command_puts_the_pins_right(
    new_world: Callable[..., World], *, after_effect: bool
) -> None:
    """Law 3: releasing what is live moves nothing and completes what a crash left."""

    def made() -> World:
        world = new_world()
        world.deploy()
        for version in (1, 2, 3):
            world.publish(version)
        release(world, 1, 2, 3)
        return world

    def rollback(world: World, fuse: Fuse) -> None:
        Controller(
            world.stage(
                store=Around(world.store, before=fuse.before, after=fuse.after),
                functions=Around(world.functions, before=fuse.before, after=fuse.after),
            )
        ).rollback("digits", to=1)

    counting = Fuse(at=-1, after_effect=False)
    rollback(made(), counting)
    for at in range(1, counting.calls + 1):
        world = made()
        with pytest.raises(ProcessDied):
            rollback(world, Fuse(at=at, after_effect=after_effect))
        world.clock.sleep(LEASE_SECONDS)
        release(world, int(world.ask()[1].removeprefix("digits:")))
        steps = {1: {1: "digits:1"}, 3: {1: "digits:1", 2: "digits:2", 3: "digits:3"}}
        assert pinned(world) == steps[world.status().version], f"crash at call {at}"
        assert world.stage().pins("digits").differences() == []
