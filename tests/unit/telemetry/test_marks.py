"""``telemetry.marks``: what of a ledger a chart should show."""

from __future__ import annotations

from model_store.contract.names import ByVersion
from telemetry.marks import marks
from tests.unit.releases.world import World


def test_every_move_that_changes_who_answers_is_a_mark(world: World) -> None:
    controller = world.controller()
    for version in (1, 2):
        controller.release(ByVersion("digits", version))
    controller.rollback("digits", reason="worse")
    found = marks(controller.history("digits"), since=0.0)
    assert [one.label for one in found] == ["live: v1", "live: v2", "live: rollback, back to v1"]
    assert marks(controller.history("digits"), since=world.clock.now() + 1) == []
