"""``releases.kept``: the endpoints that a deploy may not take away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_store.contract import environment as env
from model_store.contract.deployment import function_name
from model_store.contract.names import ByVersion
from releases.deploy import Deploy
from releases.errors import StillLiveError
from releases.kept import DeclaredVersions, needed, refuse_to_lose
from tests.unit.releases.world import STAGE, World

DAY_S = 86_400
FUNCTION = function_name(STAGE, "digits")
DECLARED = DeclaredVersions(
    "digits", ("live",), target="sagemaker", versions=(1, 2, 3), rollback_depth=2, keep_warm_s=DAY_S
)


def release(world: World, *versions: int) -> None:
    for version in versions:
        world.controller().release(ByVersion("digits", version))


def versions_needed(world: World) -> set[int]:
    return {item.ref.version for item in needed(world.stage(), DECLARED)}


def test_before_the_first_release_nothing_is_needed(world: World) -> None:
    assert versions_needed(world) == set()
    refuse_to_lose(world.stage(), [replace(DECLARED, versions=())])


def test_what_is_live_may_not_leave_the_list_however_long_ago_it_was_released(world: World) -> None:
    """Law 10."""
    release(world, 1)
    world.clock.sleep(400 * DAY_S)
    with pytest.raises(StillLiveError, match="`digits:1`: `digits@live` serves it") as caught:
        refuse_to_lose(world.stage(), [replace(DECLARED, versions=(2, 3))])
    assert "`models.digits.versions`" in str(caught.value.hint)


def test_what_was_live_before_is_needed_until_it_is_not_kept_warm_any_more(world: World) -> None:
    """Law 6: the previous endpoint is kept for a stated window."""
    release(world, 1, 2)
    assert versions_needed(world) == {1, 2}
    without = [replace(DECLARED, versions=(2, 3))]
    world.clock.sleep(DAY_S - 3_600)
    with pytest.raises(StillLiveError, match=r"`digits:1`: .* keeps it warm 1\.0 h more"):
        refuse_to_lose(world.stage(), without)
    world.clock.sleep(3_600)
    assert versions_needed(world) == {2}
    refuse_to_lose(world.stage(), without)


def test_how_long_a_way_back_is_kept_is_told_and_what_serves_has_no_end(world: World) -> None:
    release(world, 1, 2)
    world.clock.sleep(3_600)
    left = {item.ref.version: item.left_s for item in needed(world.stage(), DECLARED)}
    assert left[2] is None
    assert left[1] == pytest.approx(DAY_S - 3_600)


def test_the_window_begins_when_a_version_was_replaced_not_when_it_was_released(world: World) -> None:
    release(world, 1)
    world.clock.sleep(30 * DAY_S)
    release(world, 2)
    assert versions_needed(world) == {1, 2}


def test_a_rollback_makes_the_version_that_was_left_needless(world: World) -> None:
    release(world, 1, 2)
    world.controller().rollback("digits")
    assert versions_needed(world) == {1}


def test_no_more_steps_back_are_needed_than_a_rollback_is_prepared_for(world: World) -> None:
    release(world, 1, 2, 3)
    shallow = replace(DECLARED, rollback_depth=1)
    assert {item.ref.version for item in needed(world.stage(), shallow)} == {2, 3}


def test_a_retired_alias_needs_nothing(world: World) -> None:
    release(world, 1, 2)
    world.controller().retire("digits")
    assert versions_needed(world) == set()


def test_every_alias_keeps_its_own(world: World) -> None:
    both = replace(DECLARED, aliases=("live", "candidate"))
    world.deploy(aliases=("live", "candidate"))
    release(world, 1)
    world.controller().release(ByVersion("digits", 2), alias="candidate")
    found = {(item.alias, item.ref.version) for item in needed(world.stage(), both)}
    assert found == {("live", 1), ("candidate", 2)}


def test_an_alias_that_was_never_made_needs_nothing(world: World) -> None:
    assert needed(world.stage(), replace(DECLARED, aliases=("candidate",))) == []


def test_a_model_on_lambda_is_asked_for_no_endpoints(world: World) -> None:
    release(world, 1)
    refuse_to_lose(world.stage(), [DeclaredVersions("digits", ("live",))])


def test_a_model_does_not_leave_its_endpoints_for_lambda_while_one_serves(world: World) -> None:
    """Law 10: its endpoints would be deleted before the alias could move."""
    environment = {env.MODEL: "digits", env.STAGE: STAGE, env.ENDPOINT: "switchyard-test-digits-1"}
    world.functions.deploy(FUNCTION, memory_mb=512, layers=(), environment=environment)
    Deploy(world.stage()).declare(world.declared(), layers=(), environment=environment)
    release(world, 1)
    with pytest.raises(StillLiveError, match="is served by an endpoint"):
        refuse_to_lose(world.stage(), [DeclaredVersions("digits", ("live",))])
