"""``releases.candidates``: what a pipeline made goes live by a shift, and never over somebody's head."""

from __future__ import annotations

import pytest

from model_store.contract.names import ByVersion
from releases.candidates import Steps, go_live, live_version
from releases.errors import ReleaseError
from tests.unit.releases.world import World

ONE, TWO = ByVersion("digits", 1), ByVersion("digits", 2)
STEPS = Steps(percents=(10.0, 50.0), bake_s=60.0)


def kinds(world: World) -> list[str]:
    return [line.plan.kind for line in world.controller().history("digits")]


def test_a_first_release_is_at_once_and_the_next_one_a_shift(world: World) -> None:
    stage = world.stage()
    assert live_version(stage, "digits") is None
    assert go_live(stage, ONE, against=None, steps=STEPS) is None
    assert live_version(stage, "digits") == ONE

    shift = go_live(stage, TWO, against=ONE, steps=STEPS, reason="better")
    begun = stage.shifts("digits", "live").newest()
    assert begun is not None
    assert (begun.id, begun.shares, begun.reason) == (shift, (0.1, 0.5), "better")
    # Until it is through, what was live is live; asked again it is the same shift.
    assert live_version(stage, "digits") == ONE
    assert go_live(stage, TWO, against=ONE, steps=STEPS, reason="better") == shift

    assert world.drive(begun, lambda at: world.traffic(100) if at["next"] == "bake" else None) == "done"
    assert kinds(world) == ["release", "shift", "shift", "release"]
    assert go_live(stage, TWO, against=ONE, steps=STEPS) is None
    assert kinds(world)[-1] == "release"


def test_without_steps_it_is_released_at_once(world: World) -> None:
    world.controller().release(ONE)
    assert go_live(world.stage(), TWO, against=ONE, steps=Steps()) is None
    assert kinds(world) == ["release", "release"]


def test_what_went_live_meanwhile_wins(world: World) -> None:
    world.controller().release(ONE)
    world.controller().release(TWO)
    before = kinds(world)
    with pytest.raises(ReleaseError, match="serves digits:2 by now, and digits:3 was compared with digits:1"):
        go_live(world.stage(), ByVersion("digits", 3), against=ONE, steps=STEPS)
    assert kinds(world) == before
