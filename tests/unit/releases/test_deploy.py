"""``releases.deploy`` on the shipped fakes: no deploy moves an alias to another model version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from model_store.contract import environment as env
from model_store.contract.deployment import function_name
from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.deploy import Deploy
from releases.errors import (
    DisagreementError,
    LostRaceError,
    NothingToRollBackError,
    ShiftRunningError,
    StillLiveError,
    UnfitVersionError,
)
from releases.ports import FunctionConfig
from tests.unit.releases.world import STAGE, Around, World, honest

FUNCTION = function_name(STAGE, "digits")


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


def test_a_deploy_after_a_rollback_keeps_the_model_version(world: World) -> None:
    """Law 4: a changed configuration re-releases the live model version on it, and moves no other."""
    for version in (1, 2):
        world.controller().release(ref(version))
    world.controller().rollback("digits")
    world.memory_mb = 1024
    world.deploy()
    assert world.ask() == (200, "digits:1")
    assert world.live_memory_mb() == 1024
    assert [line.plan.kind for line in world.controller().history("digits")] == [
        "release",
        "release",
        "rollback",
        "rebase",
    ]


def test_an_unchanged_deploy_moves_nothing(world: World) -> None:
    """Law 4."""
    world.controller().release(ref(1))
    world.deploy()
    assert len(world.controller().history("digits")) == 1


def test_a_deploy_prepares_the_rollback_targets_on_the_new_base(world: World) -> None:
    """Law 6: after a deploy a rollback lands on today's configuration, and still counts model versions."""
    for version in (1, 2, 3):
        world.controller().release(ref(version))
    world.memory_mb = 1024
    world.deploy()
    for expected in (2, 1):
        moved = world.controller().rollback("digits")
        assert moved.ref == ref(expected)
        assert moved.warnings == ()
        assert world.live_memory_mb() == 1024


def test_a_deploy_prepares_no_rollback_target_that_has_no_endpoint(world: World) -> None:
    for version in (1, 2, 3):
        world.controller().release(ref(version))
    world.memory_mb = 1024
    world.deploy(versions=(2, 3), provisioned=1)
    assert world.ask() == (200, "digits:3")
    on_new_base = {
        config.environment[env.VERSION]
        for number in range(1, 12)
        if (config := world.functions.config(FUNCTION, str(number))) and config.memory_mb == 1024
    }
    assert on_new_base == {"2", "3"}


def test_a_rollback_beyond_what_a_deploy_prepared_uses_the_older_base_and_says_so(world: World) -> None:
    for version in (1, 2, 3):
        world.controller().release(ref(version))
    world.memory_mb = 1024
    world.deploy(rollback_depth=1)
    world.controller().rollback("digits")
    moved = world.controller().rollback("digits")
    assert moved.ref == ref(1)
    assert "older base" in moved.warnings[0]
    assert world.live_memory_mb() == 512


def test_if_one_model_cannot_be_prepared_no_alias_moves(new_world: Callable[..., World]) -> None:
    """Law 4 and 5 across models: prepare everything first, then flip."""

    def picky(config: FunctionConfig, event: dict[str, Any]) -> dict[str, Any]:
        if config.memory_mb == 1024 and "words" in config.function:
            raise MemoryError("words no longer fits")
        return honest(config, event)

    world = new_world(picky)
    world.deploy("digits", "words")
    for model in ("digits", "words"):
        world.publish(1, model)
        world.controller().release(ByVersion(model, 1))
    world.memory_mb = 1024
    with pytest.raises(UnfitVersionError, match="words no longer fits"):
        world.deploy("digits", "words")
    assert world.live_memory_mb("digits") == 512
    assert world.live_memory_mb("words") == 512
    assert [line.plan.kind for line in world.controller().history("digits")] == ["release"]


def test_a_move_that_fails_during_a_deploy_takes_the_earlier_moves_back(
    new_world: Callable[..., World],
) -> None:
    world = new_world()
    world.deploy("digits", "words")
    for model in ("digits", "words"):
        world.publish(1, model)
        world.controller().release(ByVersion(model, 1))
    world.memory_mb = 1024
    world.deploy("digits", "words", rebase=False)

    moves: list[str] = []

    def contend(call: str) -> None:
        """Somebody moves the second model at the very moment the deploy does."""
        if call == "move_alias":
            moves.append(call)
            if len(moves) == 2:
                world.functions.meddle(function_name(STAGE, "words"), "live", note="by hand")

    view = Around(world.functions, before=contend)
    with pytest.raises(LostRaceError):
        Deploy(world.stage(by="cdk", functions=view)).rebase(
            [world.declared("digits"), world.declared("words")]
        )
    assert world.live_memory_mb("digits") == 512
    assert world.ask("digits") == (200, "digits:1")
    assert world.ask("words") == (200, "words:1")


def test_a_stack_that_rolls_back_publishes_nothing_and_flips_back(world: World) -> None:
    """Law 4: the recorded Lambda versions are used again."""
    world.controller().release(ref(1))
    old = world.declared()
    world.memory_mb = 1024
    world.deploy()
    assert world.live_memory_mb() == 1024
    before = world.functions.config(FUNCTION)
    Deploy(world.stage(by="cdk")).rebase([old], publish=False)
    assert world.live_memory_mb() == 512
    assert world.functions.config(FUNCTION) == before


def test_a_rollout_for_another_configuration_than_the_deployed_one_is_refused(world: World) -> None:
    world.controller().release(ref(1))
    expected = world.declared()
    world.memory_mb = 1024
    world.deploy(rebase=False)
    with pytest.raises(DisagreementError, match="another configuration"):
        Deploy(world.stage()).rebase([expected])


def test_a_release_during_a_deploy_that_changed_the_code_is_refused(world: World) -> None:
    """The base that was recorded and the code on $LATEST belong to different deploys."""
    world.controller().release(ref(1))
    world.functions.deploy(FUNCTION, code_sha256="code-2")
    with pytest.raises(LostRaceError, match="not the one that its last deploy left"):
        world.controller().release(ref(2))
    assert world.ask() == (200, "digits:1")


def test_a_function_made_again_from_nothing_serves_what_the_ledger_says(world: World) -> None:
    """Lambda counts from 1 again: numbers recorded for the old function prove nothing."""
    for version in (1, 2):
        world.controller().release(ref(version))
    world.functions.delete(FUNCTION)
    world.deploy()
    assert world.ask() == (200, "digits:2")
    assert world.controller().rollback("digits").ref == ref(1)
    assert world.ask() == (200, "digits:1")


def test_a_deploy_that_forgets_a_live_model_is_refused(world: World) -> None:
    """Law 10: nothing live is deleted."""
    world.controller().release(ref(1))
    with pytest.raises(StillLiveError, match="digits@live"):
        Deploy(world.stage()).guard({"words": ("live",)}, ["digits"])
    Deploy(world.stage()).guard({"digits": ("live",)}, ["digits"])


def test_a_retired_model_answers_503_and_may_be_removed(world: World) -> None:
    world.controller().release(ref(1))
    world.controller().retire("digits", reason="replaced")
    assert world.ask() == (503, "")
    Deploy(world.stage()).guard({}, ["digits"])
    with pytest.raises(NothingToRollBackError):
        world.controller().rollback("digits")
    world.deploy()
    assert world.ask() == (503, "")


def test_the_guard_refuses_to_lose_what_serves_before_its_first_line_is_written(world: World) -> None:
    """Law 10: a first release that died right after its move serves, and no ledger says so yet."""

    class Died(BaseException):
        pass

    def die(call: str) -> None:
        if call == "move_alias":
            raise Died

    functions = Around(world.functions, after=die)
    with pytest.raises(Died):
        Controller(world.stage(functions=functions)).release(ref(1))
    assert world.controller().history("digits") == []
    with pytest.raises(StillLiveError, match="digits@live"):
        Deploy(world.stage()).guard({}, ["digits"])


def test_the_guard_refuses_to_shut_a_model_out_of_the_store_it_starts_from(world: World) -> None:
    """Law 10: a published version keeps the template's role; its next cold start would be its last."""
    world.ephemeral_mb = 512
    world.deploy()
    world.publish_large(4)
    for version in (4, 1):
        world.controller().release(ref(version))
    with pytest.raises(
        StillLiveError, match=r"`digits:4` is read from S3 whenever it starts, `digits@v4` leads"
    ):
        Deploy(world.stage()).guard_reading(["digits"])
    world.controller().retire("digits")
    Deploy(world.stage()).guard_reading(["digits"])


def test_the_guard_lets_go_of_a_permission_that_nothing_needs(world: World) -> None:
    world.ephemeral_mb = 512
    world.deploy()
    world.controller().release(ref(1))
    Deploy(world.stage()).guard_reading(["digits", "never-deployed"])


def test_a_version_on_its_way_by_a_share_keeps_its_permission(world: World) -> None:
    world.ephemeral_mb = 512
    world.deploy()
    world.controller().release(ref(1))
    world.publish_large(4)
    shift = world.begin(4, 0.5)
    world.shifting().step("weigh", world.shifting().step("prepare", {"shift": shift.where, "step": 0}))
    with pytest.raises(StillLiveError, match=r"`digits:4` is read from S3 .* `digits@live` leads"):
        Deploy(world.stage()).guard_reading(["digits"])


def test_a_deploy_that_changes_the_base_is_refused_while_a_shift_runs(world: World) -> None:
    """Law 4: the version that is tried stands on today's base."""
    world.controller().release(ByVersion("digits", 1))
    world.begin(2, 0.5)
    world.memory_mb = 1024
    with pytest.raises(ShiftRunningError, match="a deploy would change the ground under it"):
        world.deploy()
    assert world.live_memory_mb() == 512
    world.shifting().stop("digits")
    world.deploy()
    assert (world.ask(), world.live_memory_mb()) == ((200, "digits:1"), 1024)


def test_a_stack_that_rolls_back_is_never_refused_and_leaves_a_shift_alone(world: World) -> None:
    world.controller().release(ByVersion("digits", 1))
    shift = world.begin(2, 0.5)
    at = world.shifting().step("prepare", {"shift": shift.where, "step": 0})
    world.shifting().step("weigh", at)
    before = world.functions.alias(world.stage().function("digits"), "live")
    assert Deploy(world.stage(by="cdk")).rebase([world.declared()], publish=False) == []
    assert world.functions.alias(world.stage().function("digits"), "live") == before


def test_a_stack_that_rolls_back_to_another_base_ends_a_shift_that_stands_in_its_way(world: World) -> None:
    world.controller().release(ByVersion("digits", 1))
    old = world.declared()
    world.memory_mb = 1024
    world.deploy()
    shift = world.begin(2, 0.5)
    at = world.shifting().step("prepare", {"shift": shift.where, "step": 0})
    at = world.shifting().step("weigh", at)
    (line,) = Deploy(world.stage(by="cdk")).rebase([old], publish=False)
    assert line.plan.kind == "rebase"
    assert (world.ask(), world.live_memory_mb()) == ((200, "digits:1"), 512)
    assert world.shifting().step("look", at)["next"] == "superseded"
