"""``telemetry.fleet``: every model at a glance, with a bounded number of calls."""

from __future__ import annotations

from collections import Counter

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.environment import FAULTS_METRIC, LATENCY_METRIC
from model_store.contract.names import ByVersion
from telemetry.adapters.memory import MemoryNumbers
from telemetry.fleet import MOST_VERSIONS, Fleet, Share, model_of
from telemetry.ports import AlarmSeen
from telemetry.traffic import metric_of
from tests.unit.releases.world import STAGE, Around, World


@pytest.fixture
def numbers(world: World) -> MemoryNumbers:
    return MemoryNumbers(world.clock)


def fleet(world: World, numbers: MemoryNumbers, *models: str) -> Fleet:
    return Fleet(STAGE, models or ("digits",), world.functions, numbers, world.clock)


def count(numbers: MemoryNumbers, version: int, requests: int, *, faults: int = 0, ms: float = 5.0) -> None:
    numbers.record(
        metric_of(STAGE, "digits", version, FAULTS_METRIC), *[1.0] * faults, *[0.0] * (requests - faults)
    )
    numbers.record(metric_of(STAGE, "digits", version, LATENCY_METRIC), *[ms] * requests)


def test_what_serves_stands_there_with_or_without_traffic(world: World, numbers: MemoryNumbers) -> None:
    world.controller().release(ByVersion("digits", 1))
    (row,) = fleet(world, numbers).look(300).rows
    assert (row.model, row.version, row.shares) == ("digits", 1, (Share("live", 1.0),))
    assert (row.requests, row.p50_ms) == (0, None)


def test_a_shift_shows_both_versions_with_their_shares(world: World, numbers: MemoryNumbers) -> None:
    world.controller().release(ByVersion("digits", 1))
    seen = []

    def between(at: dict[str, object]) -> None:
        if at["next"] == "bake":
            world.traffic(40)
            count(numbers, 1, 60)
            count(numbers, 2, 20, faults=2, ms=50.0)
            seen.append(fleet(world, numbers).look(300))

    world.drive(world.begin(2, 0.25), between)
    old, new = seen[0].rows
    assert (old.shares, new.shares) == ((Share("live", 0.75),), (Share("live", 0.25),))
    assert (new.requests, new.faults, new.p99_ms) == (20, 2, 50.0)
    assert new.rate == pytest.approx(20 / seen[0].window_s)


def test_a_version_that_is_asked_by_number_is_seen_by_its_traffic(
    world: World, numbers: MemoryNumbers
) -> None:
    world.controller().release(ByVersion("digits", 1))
    world.controller().release(ByVersion("digits", 2))
    count(numbers, 1, 3)
    rows = fleet(world, numbers).look(300).rows
    assert [(row.version, row.shares, row.requests) for row in rows] == [
        (1, (), 3),
        (2, (Share("live", 1.0),), 0),
    ]


def test_a_model_that_serves_nothing_has_no_row(world: World, numbers: MemoryNumbers) -> None:
    assert fleet(world, numbers).look(300).rows == ()


def test_firing_alarms_are_told_by_model(world: World, numbers: MemoryNumbers) -> None:
    for name in (f"switchyard/{STAGE}/digits/live/abc/faults", f"switchyard/{STAGE}/pain", "another/alarm"):
        numbers.put(AlarmSeen(name, "ALARM", world.clock.now()))
    numbers.put(AlarmSeen(f"switchyard/{STAGE}/digits/live/abc/errors", "OK", world.clock.now()))
    look = fleet(world, numbers).look(300)
    assert [alarm.name for alarm in look.firing] == [
        f"switchyard/{STAGE}/digits/live/abc/faults",
        f"switchyard/{STAGE}/pain",
    ]
    assert look.firing_on("digits") == 1
    assert model_of("another/alarm") is None


def test_a_look_asks_cloudwatch_three_times_and_lambda_once_a_model(
    world: World, numbers: MemoryNumbers
) -> None:
    world.deploy("bert")
    world.controller().release(ByVersion("digits", 1))
    calls: Counter[str] = Counter()
    watched = Around(world.functions, before=lambda name: calls.update([name]))
    looking = Fleet(STAGE, ("digits", "bert"), watched, numbers, world.clock)
    looking.look(300)
    calls.clear()
    numbers.readings = 0
    looking.look(300)
    assert dict(calls) == {"aliases": 2}
    assert numbers.readings == 3


def test_more_versions_than_one_reading_holds_are_left_out_oldest_first(
    world: World, numbers: MemoryNumbers
) -> None:
    world.controller().release(ByVersion("digits", 1))
    for version in range(2, MOST_VERSIONS + 4):
        count(numbers, version, 1)
    look = fleet(world, numbers).look(300)
    versions = [row.version for row in look.rows]
    assert look.unread == 3
    assert versions == [1, *range(5, MOST_VERSIONS + 4)]


def test_nothing_deployed_is_an_empty_look(world: World, numbers: MemoryNumbers) -> None:
    assert world.functions.aliases(function_name(STAGE, "none")) == []
    assert fleet(world, numbers, "none").look(300).rows == ()
