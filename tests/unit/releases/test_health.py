"""``releases.health``: what was seen of a version, and when that is reason to take it back."""

from __future__ import annotations

import pytest

from releases.adapters.memory_monitoring import MemoryMonitoring
from releases.health import Health, Served, health, latency_limit_ms, slowest_limit_ms, whole_periods_after
from tests.unit.releases.world import StillClock

WEIGHTED = Served("prod", "switchyard-prod-digits", "live", "7", "digits", 3, weighted=True)
ALONE = Served("prod", "switchyard-prod-digits", "live", "7", "digits", 3, weighted=False)


def test_while_an_alias_is_weighted_lambda_counts_each_version_apart() -> None:
    """Law 11: alarms that can undo a release look at the new version only."""
    alias = (("FunctionName", "switchyard-prod-digits"), ("Resource", "switchyard-prod-digits:live"))
    assert WEIGHTED.of_lambda("Errors").dimensions == (*alias, ("ExecutedVersion", "7"))
    assert ALONE.of_lambda("Errors").dimensions == alias


def test_a_stage_counts_in_its_own_namespace() -> None:
    """Two stages in one account must not take back each other's releases."""
    ours = WEIGHTED.of_ours("Faults")
    assert (ours.namespace, ours.dimensions) == ("Switchyard/prod", (("model", "digits"), ("version", "3")))


@pytest.mark.parametrize(
    ("found", "count"),
    [
        (Health(1000, errors=10, faults=10), 0),
        (Health(1000, errors=11), 1),
        (Health(1000, faults=11), 1),
        (Health(1, errors=1, faults=1), 2),
        (Health(), 0),
        (Health(100, latency_ms=101.0), 1),
        (Health(100, latency_ms=99.0), 0),
    ],
)
def test_more_than_one_in_a_hundred_or_too_slow_is_reason(found: Health, count: int) -> None:
    assert len(found.complaints(100.0)) == count


def test_latency_is_no_reason_where_no_limit_is_known() -> None:
    assert Health(10, latency_ms=1e6).complaints(None) == []


def test_the_source_that_has_arrived_says_how_many_requests_there_were() -> None:
    clock = StillClock()
    monitoring = MemoryMonitoring(clock)
    monitoring.record(WEIGHTED.of_lambda("Invocations"), *[1.0] * 3)
    monitoring.record(WEIGHTED.of_ours("Faults"), 1.0, *[0.0] * 9)
    (found,) = health(monitoring, [WEIGHTED], since=clock.now() - 60, until=clock.now() + 60, period_s=60)
    assert (found.requests, found.errors, found.faults, found.latency_ms) == (10, 0, 1, None)


def test_the_first_whole_period_after_a_moment() -> None:
    assert whole_periods_after(601, 60) == 660
    assert whole_periods_after(660, 60) == 660


def test_what_is_too_slow_follows_from_the_version_before() -> None:
    assert latency_limit_ms(Health(latency_ms=5.0), 10) == 105.0
    assert latency_limit_ms(Health(latency_ms=400.0), 10) == 1200.0
    assert latency_limit_ms(Health(), 10) == 8000.0
    assert slowest_limit_ms(Health(latency_ms=5.0, slowest_ms=300.0), 10) == 900.0


def test_the_slowest_hundredth_is_seen_and_is_no_reason() -> None:
    clock = StillClock()
    monitoring = MemoryMonitoring(clock)
    monitoring.record(ALONE.of_ours("Latency"), *[5.0] * 95, *[900.0] * 5)
    (found,) = health(monitoring, [ALONE], since=clock.now() - 60, until=clock.now() + 60, period_s=60)
    assert (found.latency_ms, found.slowest_ms) == (5.0, 900.0)
    assert found.complaints(100.0) == []
