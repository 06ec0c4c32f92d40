"""``telemetry.traffic``: what each version did, from the numbers that were counted."""

from __future__ import annotations

import pytest

from model_store.contract.environment import (
    COLD_STARTS_METRIC,
    FAULTS_METRIC,
    LATENCY_METRIC,
    MODEL_LATENCY_METRIC,
    PAYLOAD_BYTES_METRIC,
    ROWS_METRIC,
)
from releases.health import LAMBDA
from releases.ports import Metric
from telemetry.adapters.memory import MemoryNumbers
from telemetry.ports import Point
from telemetry.traffic import metric_of, traffic, versions_counted, weighed
from telemetry.window import window
from tests.unit.releases.world import STAGE, StillClock


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def numbers(clock: StillClock) -> MemoryNumbers:
    """Version 1 answered a hundred requests two minutes ago, version 2 twenty now, five of them badly."""
    made = MemoryNumbers(clock)
    for version, count, faults, at in ((1, 100, 0, clock.now() - 120), (2, 20, 5, clock.now())):
        for whom in (version, None):
            made.record(metric_of(STAGE, "digits", whom, FAULTS_METRIC), *[0.0] * (count - faults), at=at)
            made.record(metric_of(STAGE, "digits", whom, FAULTS_METRIC), *[1.0] * faults, at=at)
            times = [float(number) for number in range(1, count + 1)]
            made.record(metric_of(STAGE, "digits", whom, LATENCY_METRIC), *times, at=at)
    made.record(metric_of(STAGE, "digits", 2, MODEL_LATENCY_METRIC), 3.0)
    made.record(metric_of(STAGE, "digits", 2, COLD_STARTS_METRIC), 1.0)
    made.record(metric_of(STAGE, "digits", 2, ROWS_METRIC), 4.0, 6.0)
    made.record(metric_of(STAGE, "digits", 2, PAYLOAD_BYTES_METRIC), 700.0, 300.0)
    return made


def test_each_version_has_its_own_numbers(numbers: MemoryNumbers, clock: StillClock) -> None:
    found = traffic(numbers, STAGE, "digits", window(clock.now(), 600))
    first, second = found.versions
    assert (first.version, first.requests, first.faults) == (1, 100, 0)
    assert (second.version, second.requests, second.faults) == (2, 20, 5)
    assert (second.cold_starts, second.rows, second.payload_bytes) == (1, 10, 1000)
    assert first.latency is not None
    assert (first.latency.p50, first.latency.p99) == pytest.approx((50.5, 99.01))
    assert second.model_latency is not None
    assert second.model_latency.p95 == 3.0
    assert first.model_latency is None
    assert first.rate == pytest.approx(100 / found.window.seconds)


def test_the_model_as_a_whole_is_counted_and_not_added_up(numbers: MemoryNumbers, clock: StillClock) -> None:
    found = traffic(numbers, STAGE, "digits", window(clock.now(), 600))
    assert (found.all.version, found.all.requests, found.all.faults) == (None, 120, 5)


def test_the_series_tells_when_what_happened(numbers: MemoryNumbers, clock: StillClock) -> None:
    found = traffic(numbers, STAGE, "digits", window(clock.now(), 600, 60))
    (moment,) = found.versions[1].series
    assert moment.at <= clock.now() < moment.at + 60
    assert (moment.requests, moment.faults, moment.p50_ms) == (20, 5, 10.5)
    assert [moment.requests for moment in found.all.series] == [100, 20]


def test_one_version_can_be_asked_for_alone(numbers: MemoryNumbers, clock: StillClock) -> None:
    found = traffic(numbers, STAGE, "digits", window(clock.now(), 600), version=2)
    assert [one.version for one in found.versions] == [2]


def test_what_answered_nothing_in_the_window_is_left_out(numbers: MemoryNumbers, clock: StillClock) -> None:
    found = traffic(numbers, STAGE, "digits", window(clock.now(), 30, 60))
    assert [one.version for one in found.versions] == [2]
    nothing = traffic(numbers, STAGE, "bert", window(clock.now(), 600))
    assert (nothing.versions, nothing.all.requests, nothing.all.latency) == ((), 0, None)


def test_what_lambda_counts_stands_beside_the_versions(numbers: MemoryNumbers, clock: StillClock) -> None:
    function = (("FunctionName", f"switchyard-{STAGE}-digits"),)
    numbers.record(Metric(LAMBDA, "Errors", function), 1.0, 1.0, 0.0)
    numbers.record(Metric(LAMBDA, "Throttles", function), 1.0)
    found = traffic(numbers, STAGE, "digits", window(clock.now(), 600))
    assert (found.failed, found.throttled) == (2, 1)


def test_reading_a_model_takes_three_calls(numbers: MemoryNumbers, clock: StillClock) -> None:
    traffic(numbers, STAGE, "digits", window(clock.now(), 600))
    assert numbers.readings == 3


def test_only_versions_of_models_are_counted(numbers: MemoryNumbers) -> None:
    numbers.record(Metric(f"Switchyard/{STAGE}", FAULTS_METRIC, (("model", "x"), ("version", "odd"))), 1.0)
    numbers.record(Metric(f"Switchyard/{STAGE}", FAULTS_METRIC, (("somebody", "else"),)), 1.0)
    assert versions_counted(numbers, STAGE) == {"digits": [1, 2]}


def test_percentiles_of_several_periods_are_weighed_by_their_requests() -> None:
    points = [Point(0, 10.0), Point(60, 40.0)]
    assert weighed(points, [Point(0, 3.0), Point(60, 1.0)]) == 17.5
    assert weighed([], []) is None
