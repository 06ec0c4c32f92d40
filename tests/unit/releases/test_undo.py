"""``releases.undo``: what an alarm that fires takes back, and what it never does."""

from __future__ import annotations

from typing import Any

import pytest

from model_store.contract.deployment import UNDOING_ALARMS, alarms_prefix, function_name
from model_store.contract.names import ByVersion
from releases.alarms import ARMED_S
from releases.shifting import Shifting
from releases.undo import undo
from tests.unit.releases.world import STAGE, Around, World

FUNCTION = function_name(STAGE, "digits")
PREFIX = alarms_prefix(STAGE, "digits", "live")


@pytest.fixture
def released(world: World) -> World:
    """``digits:2`` serves since a moment, ``digits:1`` served before."""
    for version in (1, 2):
        world.controller().release(ByVersion("digits", version))
        world.clock.sleep(600)
    world.controller().release(ByVersion("digits", 3))
    return world


def alarm(world: World, what: str) -> str:
    (name,) = [name for name in world.monitoring.alarms(PREFIX) if name.endswith(f"/{what}")]
    return name


def fire(world: World, what: str) -> str:
    return undo(world.stage(by="alarms"), alarm(world, what), "Threshold Crossed")


def test_a_release_is_watched_by_alarms_of_its_own_version(released: World) -> None:
    """Law 11: alarms that can undo a release look at the new version only, and their number is bounded."""
    found = {name.rsplit("/", 1)[1] for name in released.monitoring.alarms(PREFIX)}
    assert found & {*UNDOING_ALARMS} == {"errors", "faults", "latency"}
    assert found - {*UNDOING_ALARMS} == {"p99", "start-failures"}
    faults = released.monitoring.alarm(alarm(released, "faults"))
    assert dict(faults.metric.dimensions) == {"model": "digits", "version": "3"}
    assert (faults.needed, faults.of, faults.period_s) == (2, 3, 60)


@pytest.mark.parametrize("what", ["errors", "faults"])
def test_an_alarm_takes_its_release_back_within_three_periods(released: World, what: str) -> None:
    told: list[str] = []
    released.monitoring.tell = lambda name, reason: told.append(undo(released.stage(), name, reason))
    began = released.clock.now()
    while not any("took digits@live back" in said for said in told):
        released.traffic(10, **{what: 10}, weighted=False)
        released.clock.sleep(15)
        released.monitoring.evaluate()
        assert released.clock.now() <= began + 3 * 60, told
    assert released.ask() == (200, "digits:2")
    line = released.controller().history("digits")[-1]
    assert line.plan.kind == "alarm"
    assert released.controller().rollback("digits").ref == ByVersion("digits", 1)


@pytest.mark.parametrize("what", ["p99", "start-failures"])
def test_what_only_tells_takes_nothing_back(released: World, what: str) -> None:
    """ADR 51: of a hundred requests one decides p99, and a start that fails may be nobody's fault here."""
    released.clock.sleep(60)
    released.traffic(100, faults=50, latency_ms=9_000.0, weighted=False)
    released.clock.sleep(5)
    assert "tells people, and takes nothing back" in fire(released, what)
    assert released.ask() == (200, "digits:3")


def test_a_slow_version_is_taken_back_by_its_latency(released: World) -> None:
    released.clock.sleep(60)
    released.traffic(100, latency_ms=9_000.0, weighted=False)
    released.clock.sleep(5)
    assert "p90 latency is 9000 ms" in fire(released, "latency")
    assert released.ask() == (200, "digits:2")


def test_an_alarm_that_was_firing_for_the_old_version_blocks_nothing(world: World) -> None:
    """The failure of aws/serverless-application-model#716: the fix is taken back for the fault it fixes."""
    world.controller().release(ByVersion("digits", 1))
    world.controller().release(ByVersion("digits", 2))
    told: list[str] = []
    world.monitoring.tell = lambda name, reason: told.append(undo(world.stage(), name, reason))
    for _ in range(8):
        world.traffic(10, errors=10, weighted=False)
        world.clock.sleep(30)
    world.controller().flip(ByVersion("digits", 2), reason="keep it, a fix comes")
    world.controller().release(ByVersion("digits", 3))  # the fix
    for _ in range(20):
        world.monitoring.evaluate()
        world.traffic(10, weighted=False)
        world.clock.sleep(15)
    assert world.ask() == (200, "digits:3")
    assert told
    assert all("armed again" in said for said in told)


def test_an_alarm_that_was_armed_again_still_takes_back_what_then_fails(world: World) -> None:
    world.controller().release(ByVersion("digits", 1))
    for _ in range(8):
        world.traffic(10, errors=10, weighted=False)
        world.clock.sleep(30)
    world.controller().release(ByVersion("digits", 2))
    world.monitoring.tell = lambda name, reason: world.said.append(undo(world.stage(), name, reason))
    for _ in range(16):
        world.monitoring.evaluate()
        world.traffic(10, errors=10, weighted=False)
        world.clock.sleep(15)
    assert world.ask() == (200, "digits:1")


def test_being_told_twice_takes_back_once(released: World) -> None:
    released.clock.sleep(60)
    released.traffic(10, faults=10, weighted=False)
    released.clock.sleep(5)
    name = alarm(released, "faults")
    assert "took digits@live back" in undo(released.stage(), name, "crossed")
    assert "not there to take back" in undo(released.stage(), name, "crossed")
    assert released.ask() == (200, "digits:2")


def test_an_alarm_of_a_superseded_release_changes_nothing(released: World) -> None:
    name = alarm(released, "faults")
    released.controller().rollback("digits")
    released.traffic(10, faults=10, weighted=False)
    assert "not there to take back" in undo(released.stage(), name, "crossed")
    assert released.ask() == (200, "digits:2")


def test_a_rollback_is_undone_by_no_alarm(released: World) -> None:
    """Law 6: what serves after a rollback was released minutes ago, and still nothing moves it."""
    released.controller().rollback("digits")
    assert released.monitoring.alarms(PREFIX) == {}


def test_what_the_glass_was_broken_for_is_undone_by_no_alarm(released: World) -> None:
    name = alarm(released, "faults")
    released.controller().flip(ByVersion("digits", 2), reason="pages")
    assert released.monitoring.alarms(PREFIX) == {}
    assert "not there to take back" in undo(released.stage(), name, "crossed")
    assert released.ask() == (200, "digits:2")


def test_after_an_hour_an_alarm_only_tells(released: World) -> None:
    released.clock.sleep(ARMED_S)
    released.traffic(10, faults=10, weighted=False)
    released.clock.sleep(5)
    assert "not there to take back" in fire(released, "faults")
    assert released.ask() == (200, "digits:3")


def test_a_first_release_has_nothing_to_be_taken_back_to(world: World) -> None:
    world.controller().release(ByVersion("digits", 1))
    world.clock.sleep(61)
    world.traffic(10, faults=10, weighted=False)
    world.clock.sleep(5)
    assert "no earlier release to go back to" in fire(world, "faults")
    assert world.ask() == (200, "digits:1")


def test_while_a_shift_runs_an_alarm_takes_its_share_back(released: World) -> None:
    released.controller().rollback("digits")
    shift = released.begin(3, 0.25)
    step = Shifting(released.stage()).step
    at: dict[str, Any] = step("weigh", step("prepare", {"shift": shift.where, "step": 0}))
    released.traffic(10, errors=10)
    released.clock.sleep(5)
    assert "took the share of digits:3 back" in fire(released, "errors-while-shifting")
    assert released.ask() == (200, "digits:2")
    assert released.controller().history("digits")[-1].plan.kind == "alarm"
    assert step("look", at)["next"] == "superseded"


def test_an_alarm_that_meets_another_move_decides_again(released: World) -> None:
    released.clock.sleep(60)
    released.traffic(10, faults=10, weighted=False)
    released.clock.sleep(5)
    name = alarm(released, "faults")
    crossed: list[str] = []

    def before(call: str) -> None:
        if call == "move_alias" and not crossed:
            crossed.append(call)
            released.controller().rollback("digits", to=1)

    stage = released.stage(functions=Around(released.functions, before=before))
    assert "not there to take back" in undo(stage, name, "crossed")
    assert released.ask() == (200, "digits:1")


@pytest.mark.parametrize(
    "name", ["cpu-high", "switchyard/other/digits/live/abc/faults", "switchyard/test/digits"]
)
def test_other_alarms_are_none_of_its_business(released: World, name: str) -> None:
    assert "is no alarm of a release" in undo(released.stage(), name, "crossed")
