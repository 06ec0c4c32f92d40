"""``releases.warm``: a rollback meets warm environments, and nobody pays for those of a third version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.errors import LostRaceError, NoHeadroomError, ServiceError, UnfitVersionError
from releases.lease import LEASE_SECONDS
from releases.ports import Concurrency, Provisioned
from releases.shifting import Shifting
from releases.warm import PATIENCE_S
from tests.unit.releases.test_crashes import Fuse, ProcessDied
from tests.unit.releases.world import STAGE, Around, World

FUNCTION = function_name(STAGE, "digits")


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


def warm(world: World) -> dict[int, int]:
    """How many environments are kept started, by model version."""
    found = {}
    for version, item in world.stage().warm("digits").present().items():
        config = world.functions.config(FUNCTION, version)
        assert config is not None
        found[int(config.environment["SWITCHYARD_VERSION"])] = item.requested
    return found


@pytest.fixture
def kept(new_world: Callable[..., World]) -> World:
    made = new_world()
    made.deploy(provisioned=5)
    for version in (1, 2, 3):
        made.publish(version)
    return made


def release(world: World, *versions: int) -> None:
    for version in versions:
        world.controller().release(ref(version))


def test_the_live_version_and_the_one_before_it_are_kept_warm(kept: World) -> None:
    """Law 6: no new capacity at a rollback."""
    release(kept, 1)
    assert warm(kept) == {1: 5}
    release(kept, 2, 3)
    assert warm(kept) == {2: 5, 3: 5}


def test_the_environments_stand_before_the_alias_moves(kept: World) -> None:
    release(kept, 1)
    seen: list[dict[int, int]] = []

    def look(call: str) -> None:
        if call == "move_alias":
            seen.append(warm(kept))

    Controller(kept.stage(functions=Around(kept.functions, before=look))).release(ref(2))
    assert seen[0] == {1: 5, 2: 5}


def test_a_rollback_goes_to_a_warm_version_and_keeps_the_next_way_back_warm(kept: World) -> None:
    release(kept, 1, 2, 3)
    calls: list[str] = []
    Controller(kept.stage(functions=Around(kept.functions, before=calls.append))).rollback("digits")
    assert "provision" not in calls[: calls.index("move_alias")]
    assert warm(kept) == {1: 5, 2: 5}


def test_without_it_nothing_is_asked_and_nothing_kept(world: World) -> None:
    calls: list[str] = []
    Controller(world.stage(functions=Around(world.functions, before=calls.append))).release(ref(1))
    assert not {"provision", "unprovision", "provisioned"} & set(calls)


def test_every_alias_keeps_its_own(new_world: Callable[..., World]) -> None:
    world = new_world()
    world.deploy(provisioned=2, aliases=("live", "candidate"))
    for version in (1, 2, 3):
        world.publish(version)
    release(world, 1)
    world.controller().release(ref(3), alias="candidate")
    assert warm(world) == {1: 2, 3: 2}
    world.controller().retire("digits", alias="candidate")
    assert warm(world) == {1: 2}


def test_a_deploy_warms_the_new_base_before_it_moves_and_lets_the_old_one_go(kept: World) -> None:
    release(kept, 1, 2)
    old = set(kept.stage().warm("digits").present())
    kept.memory_mb = 1024
    kept.deploy(provisioned=5)
    assert warm(kept) == {1: 5, 2: 5}
    assert not old & set(kept.stage().warm("digits").present())


@pytest.mark.parametrize(("number", "left"), [(7, {1: 7, 2: 7}), (0, {})])
def test_another_number_in_the_catalog_makes_no_new_version(
    kept: World, number: int, left: dict[int, int]
) -> None:
    release(kept, 1, 2)
    before = kept.functions.alias(FUNCTION, "live")
    kept.deploy(provisioned=number)
    assert kept.functions.alias(FUNCTION, "live") == before
    assert warm(kept) == left


def test_environments_that_cannot_start_refuse_the_release(kept: World) -> None:
    """Law 5: nothing moves, and what failed to start is not paid for after the next move."""
    release(kept, 1)
    kept.functions.limit(Concurrency(account=1_000, unreserved=4))
    with pytest.raises(UnfitVersionError, match="FUNCTION_ERROR_INIT_FAILURE"):
        kept.controller().release(ref(2))
    assert kept.ask() == (200, "digits:1")


def test_environments_that_never_become_ready_are_waited_for_and_given_up(kept: World) -> None:
    release(kept, 1)

    class Slow(Around):
        def provisioned(self, function: str) -> dict[str, Provisioned]:
            found = kept.functions.provisioned(function)
            return {key: Provisioned(key, item.requested, "IN_PROGRESS") for key, item in found.items()}

    before = kept.clock.now()
    with pytest.raises(UnfitVersionError, match="did not start within 15 minutes"):
        Controller(kept.stage(functions=Slow(kept.functions))).release(ref(2))
    assert kept.clock.now() - before >= PATIENCE_S
    assert kept.ask() == (200, "digits:1")


def test_the_loser_of_a_race_pays_for_nothing(kept: World) -> None:
    release(kept, 1)

    def interrupt(call: str) -> None:
        if call == "move_alias":
            kept.controller(by="bob").release(ref(3))

    with pytest.raises(LostRaceError):
        Controller(kept.stage(functions=Around(kept.functions, before=interrupt))).release(ref(2))
    assert warm(kept) == {1: 5, 3: 5}


def test_what_cannot_be_kept_warm_after_a_move_is_a_warning(kept: World) -> None:
    release(kept, 1, 2, 3)

    def down(call: str) -> None:
        if call == "unprovision":
            raise ServiceError("Lambda answered TooManyRequestsException")

    moved = Controller(kept.stage(functions=Around(kept.functions, before=down))).rollback("digits")
    assert any("kept started is not up to date" in said for said in moved.warnings)
    assert kept.ask() == (200, "digits:2")
    release(kept, 2)
    assert warm(kept) == {1: 5, 2: 5}


def test_it_goes_with_no_weighted_alias(kept: World) -> None:
    """Law 8: what AWS refuses beside weights is refused with one sentence, before anything is prepared."""
    release(kept, 1)
    with pytest.raises(NoHeadroomError, match="goes with no weighted alias"):
        Shifting(kept.stage()).begin(ref(2), shares=(0.5,), bake_s=60.0)


@pytest.mark.parametrize("after_effect", [False, True], ids=["before its effect", "after its effect"])
def test_after_a_crash_at_any_call_the_next_command_leaves_what_should_be_warm(
    new_world: Callable[..., World], *, after_effect: bool
) -> None:
    """Law 3."""

    def made() -> World:
        world = new_world()
        world.deploy(provisioned=5)
        for version in (1, 2, 3):
            world.publish(version)
        release(world, 1, 2)
        return world

    def third(world: World, fuse: Fuse) -> Any:
        stage = world.stage(
            store=Around(world.store, before=fuse.before, after=fuse.after),
            functions=Around(world.functions, before=fuse.before, after=fuse.after),
        )
        return Controller(stage).release(ref(3))

    counting = Fuse(at=-1, after_effect=False)
    third(made(), counting)
    for at in range(1, counting.calls + 1):
        world = made()
        with pytest.raises(ProcessDied):
            third(world, Fuse(at=at, after_effect=after_effect))
        world.clock.sleep(LEASE_SECONDS)
        release(world, 3)
        assert world.ask() == (200, "digits:3")
        assert warm(world) == {2: 5, 3: 5}, f"crash at call {at}"
