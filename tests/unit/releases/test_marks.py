"""``releases.marks``: what of a ledger a chart should show."""

from __future__ import annotations

from model_store.contract.deployment import function_name
from model_store.contract.names import ByVersion
from releases.marks import marks, marks_of
from tests.unit.releases.world import STAGE, World


def test_every_move_that_changes_who_answers_is_a_mark(world: World) -> None:
    controller = world.controller()
    for version in (1, 2):
        controller.release(ByVersion("digits", version))
    controller.rollback("digits", reason="worse")
    found = marks(controller.history("digits"), since=0.0)
    assert [one.label for one in found] == ["live: v1", "live: v2", "live: rollback, back to v1"]
    assert (found[-1].why, found[-1].by) == ("worse", controller.history("digits")[-1].plan.by)
    assert marks(controller.history("digits"), since=world.clock.now() + 1) == []


def test_a_broken_glass_is_marked_as_such(world: World) -> None:
    controller = world.controller()
    for version in (1, 2):
        controller.release(ByVersion("digits", version))
    controller.flip(ByVersion("digits", 1), reason="pages")
    assert marks_of(world.store, "digits", since=0.0)[-1].label == "live: v1, forced"


def test_the_marks_of_a_model_are_those_of_all_its_aliases(world: World) -> None:
    function = function_name(STAGE, "digits")
    live = world.functions.alias(function, "live")
    assert live is not None
    world.functions.create_alias(function, "candidate", version=live.version, note="")
    controller = world.controller()
    controller.release(ByVersion("digits", 1))
    controller.release(ByVersion("digits", 2), alias="candidate")
    assert {one.label for one in marks_of(world.store, "digits", since=0.0)} == {
        "live: v1",
        "candidate: v2",
    }
    assert marks_of(world.store, "never-released", since=0.0) == []
