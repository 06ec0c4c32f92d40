"""``releases.status`` on the shipped fakes: what disagrees is named, and healed by the next command."""

from __future__ import annotations

from collections.abc import Callable

from model_store.contract.deployment import function_name
from model_store.contract.names import ByVersion
from tests.unit.releases.world import STAGE, World

FUNCTION = function_name(STAGE, "digits")


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


def test_status_is_silent_when_all_agrees(world: World) -> None:
    for version in (1, 2):
        world.controller().release(ref(version), reason="better")
    status = world.status()
    assert (status.version, status.rollback_to, status.rollback_ready) == (2, 1, True)
    assert (status.by, status.reason, status.on_current_base) == ("ann", "better", True)
    assert status.disagreements == ()


def test_status_names_an_alias_that_was_moved_by_hand(world: World) -> None:
    """Law 3."""
    for version in (1, 2):
        world.controller().release(ref(version))
    first = world.controller().history("digits")[0].plan.lambda_version
    world.functions.meddle(FUNCTION, "live", version=first)
    (said,) = world.status().disagreements
    assert "moved past the ledger" in said


def test_a_rollback_after_a_move_by_hand_returns_to_what_the_ledger_says(world: World) -> None:
    for version in (1, 2):
        world.controller().release(ref(version))
    first = world.controller().history("digits")[0].plan.lambda_version
    world.functions.meddle(FUNCTION, "live", version=first)
    assert world.controller().rollback("digits").ref == ref(2)
    assert world.ask() == (200, "digits:2")
    assert world.status().disagreements == ()


def test_every_move_clears_weights_that_somebody_set(world: World) -> None:
    """Law 3: every flip sets the routing weights explicitly (none)."""
    for version in (1, 2):
        world.controller().release(ref(version))
    first = world.controller().history("digits")[0].plan.lambda_version
    world.functions.meddle(FUNCTION, "live", weights={first: 0.5})
    assert any("splits its traffic" in said for said in world.status().disagreements)
    world.controller().release(ref(2))
    assert world.status().weights == {}


def test_the_bad_day_of_settling_updates_changes_nothing(new_world: Callable[..., World]) -> None:
    """Law 9: the revision changes again when an update settles; the release reads it again."""
    world = new_world(settle_reads=3)
    world.deploy()
    for version in (1, 2):
        world.publish(version)
        world.controller().release(ref(version))
    assert world.ask() == (200, "digits:2")
