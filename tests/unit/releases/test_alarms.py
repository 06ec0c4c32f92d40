"""``releases.alarms``: made with a release, deleted with the next one, never in the way of a move."""

from __future__ import annotations

import pytest

from model_store.contract.deployment import (
    ALARMS_OF_A_RELEASE,
    alarms_prefix,
    alias_alarm_name,
    model_alarm_name,
)
from model_store.contract.names import ByVersion
from releases.alarms import AlarmName
from releases.controller import Controller
from releases.errors import ServiceError
from tests.unit.releases.world import STAGE, Around, World

PREFIX = alarms_prefix(STAGE, "digits", "live")


def test_ten_releases_leave_the_alarms_of_one(world: World) -> None:
    """Law 11: bounded, whatever the history."""
    for version in (1, 2, 3) * 3:
        world.controller().release(ByVersion("digits", version))
    assert len(world.monitoring.alarms("")) == ALARMS_OF_A_RELEASE


def test_the_same_release_again_makes_the_alarms_that_a_crash_left_out(world: World) -> None:
    world.controller().release(ByVersion("digits", 1))
    world.monitoring.delete_alarms(list(world.monitoring.alarms(PREFIX)))
    assert world.controller().release(ByVersion("digits", 1)).line is None
    assert len(world.monitoring.alarms(PREFIX)) == ALARMS_OF_A_RELEASE


OF_LAMBDA = {"FunctionName": "switchyard-test-digits", "Resource": "switchyard-test-digits:live"}


@pytest.mark.parametrize(
    ("what", "name", "statistic", "judged"),
    [
        ("errors", "Errors", "Sum", (2, 3)),
        ("faults", "Faults", "Sum", (2, 3)),
        ("latency", "Latency", "p90", (2, 3)),
        ("p99", "Latency", "p99", (3, 5)),
        ("start-failures", "StartFailures", "Sum", (1, 1)),
    ],
)
def test_each_alarm_looks_at_the_released_version(
    world: World, what: str, name: str, statistic: str, judged: tuple[int, int]
) -> None:
    """Law 11. Once the alias is not weighted, Lambda's counts are the alias's."""
    for version in (1, 2):
        world.controller().release(ByVersion("digits", version))
    found = {key.rpartition("/")[2]: world.monitoring.alarm(key) for key in world.monitoring.alarms(PREFIX)}
    assert len(found) == ALARMS_OF_A_RELEASE
    alarm = found[what]
    assert (alarm.metric.name, alarm.statistic, (alarm.needed, alarm.of)) == (name, statistic, judged)
    ours = {"model": "digits", "version": "2"}
    assert dict(alarm.metric.dimensions) == (OF_LAMBDA if name == "Errors" else ours)


def test_what_is_too_slow_for_the_slowest_hundredth_follows_from_the_version_before(world: World) -> None:
    world.controller().release(ByVersion("digits", 1))
    world.traffic(97, latency_ms=10.0, weighted=False)
    world.traffic(3, latency_ms=400.0, weighted=False)
    world.clock.sleep(60)
    world.controller().release(ByVersion("digits", 2))
    limits = {
        name.rpartition("/")[2]: state.threshold for name, state in world.monitoring.alarms(PREFIX).items()
    }
    assert (limits["latency"], limits["p99"]) == (110.0, 1200.0)


@pytest.mark.parametrize("call", ["put_alarm", "alarms", "read"])
def test_a_release_without_its_alarms_is_a_release_and_says_so(world: World, call: str) -> None:
    def before(name: str) -> None:
        if name == call:
            raise ServiceError("CloudWatch is out")

    stage = world.stage(monitoring=Around(world.monitoring, before=before))
    world.controller().release(ByVersion("digits", 1))
    moved = Controller(stage).release(ByVersion("digits", 2))
    assert moved.line is not None
    assert "nothing takes it back by itself: CloudWatch is out" in moved.warnings[-1]
    assert world.ask() == (200, "digits:2")


def test_a_rollback_while_cloudwatch_is_out_is_a_rollback(world: World) -> None:
    def before(_: str) -> None:
        raise ServiceError("CloudWatch is out")

    for version in (1, 2):
        world.controller().release(ByVersion("digits", version))
    moved = Controller(world.stage(monitoring=Around(world.monitoring, before=before))).rollback("digits")
    assert "are still there" in moved.warnings[-1]
    assert world.ask() == (200, "digits:1")


def test_a_deploy_keeps_the_alarms_of_the_release_it_puts_on_a_new_base(world: World) -> None:
    world.controller().release(ByVersion("digits", 1))
    before = world.monitoring.alarms(PREFIX)
    world.memory_mb = 1024
    world.deploy()
    assert world.monitoring.alarms(PREFIX) == before


def test_a_name_is_taken_apart_as_it_was_put_together() -> None:
    name = AlarmName.parse(f"{alarms_prefix('prod', 'digits', 'live')}5f0c/faults")
    assert name == AlarmName("prod", "digits", "live", "5f0c", "faults")
    assert AlarmName.parse("somebody-elses") is None
    assert AlarmName.parse("switchyard/prod/digits/live/faults") is None


def test_an_alarm_that_a_deploy_makes_is_none_of_a_release() -> None:
    """Law 11: what can undo a release looks at its version only, and these look at whatever answers."""
    assert AlarmName.parse(alias_alarm_name("prod", "digits", "live", "user-pain")) is None
    assert AlarmName.parse(model_alarm_name("prod", "digits", "faults")) is None
    assert AlarmName.parse("switchyard/prod/bert/Endpoint/3-c0ffee/failing") is None
    assert not alias_alarm_name("prod", "digits", "live", "errors").startswith(
        alarms_prefix("prod", "digits", "live")
    )
