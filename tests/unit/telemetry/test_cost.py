"""``telemetry.cost``: what a model cost, line by line."""

from __future__ import annotations

import pytest

from model_store.contract.environment import COLD_STARTS_METRIC, FAULTS_METRIC
from model_store.contract.names import ByVersion
from planning.prices import HOURS, read_prices
from planning.sizing import LOG_BYTES
from releases.health import LAMBDA
from releases.ports import Metric
from telemetry.adapters.memory import MemoryNumbers
from telemetry.cost import Cost, cost
from telemetry.ports import AlarmSeen
from telemetry.traffic import metric_of
from telemetry.window import window
from tests.unit.releases.heavy import HeavyWorld
from tests.unit.releases.world import STAGE, World

PRICES = read_prices()


@pytest.fixture
def numbers(world: World) -> MemoryNumbers:
    """A thousand requests of 20 ms each to version 1."""
    made = MemoryNumbers(world.clock)
    of_lambda = (("FunctionName", f"switchyard-{STAGE}-digits"),)
    made.record(Metric(LAMBDA, "Invocations", of_lambda), *[1.0] * 1000)
    made.record(Metric(LAMBDA, "Duration", of_lambda), *[20.0] * 1000)
    for version in (1, None):
        made.record(metric_of(STAGE, "digits", version, FAULTS_METRIC), *[0.0] * 1000)
    made.record(metric_of(STAGE, "digits", None, COLD_STARTS_METRIC), 1.0, 1.0)
    return made


def worked_out(world: World, numbers: MemoryNumbers, seconds: float = 3_600) -> Cost:
    return cost(world.stage(), numbers, "digits", window(world.clock.now(), seconds), PRICES)


def dollars(found: Cost) -> dict[str, float]:
    return {item.what: item.dollars for item in found.items}


def test_a_function_costs_requests_duration_api_log_and_metrics(world: World, numbers: MemoryNumbers) -> None:
    world.controller().release(ByVersion("digits", 1))
    found = worked_out(world, numbers)
    month = found.hours / HOURS
    assert dollars(found) == pytest.approx(
        {
            "Lambda requests": 1000 * 0.2 / 1e6,
            "Lambda duration": 20 * 0.5 * PRICES.lambda_.x86_64_gb_second,
            "API": 1000 / 1e6,
            "log": 1000 * LOG_BYTES / 1e9 * PRICES.front.log_gb,
            "metrics": 8 * 2 * PRICES.front.metric_month * month,
        }
    )
    assert (found.target, found.requests) == ("lambda", 1000)
    assert found.per_thousand == pytest.approx(found.dollars)


def test_a_rest_api_is_charged_as_one(world: World, numbers: MemoryNumbers) -> None:
    over = window(world.clock.now(), 3_600)
    found = cost(world.stage(), numbers, "digits", over, PRICES, api="rest")
    assert dollars(found)["API"] == pytest.approx(1000 * PRICES.front.rest_api_million_requests / 1e6)
    assert PRICES.front.rest_api_million_requests > PRICES.front.http_api_million_requests


def test_the_log_is_charged_by_the_bytes_that_cloudwatch_tells(world: World, numbers: MemoryNumbers) -> None:
    group = (("LogGroupName", f"/aws/lambda/switchyard-{STAGE}-digits"),)
    numbers.record(Metric("AWS/Logs", "IncomingBytes", group), 2e9)
    (log,) = [item for item in worked_out(world, numbers).items if item.what == "log"]
    assert (log.quantity, log.dollars, log.estimated) == (2.0, 2 * PRICES.front.log_gb, False)


def test_environments_kept_started_are_paid_by_the_hour_and_make_duration_cheaper(
    world: World, numbers: MemoryNumbers
) -> None:
    world.deploy(provisioned=2)
    for version in (1, 2):
        world.controller().release(ByVersion("digits", version))
    of_lambda = (("FunctionName", f"switchyard-{STAGE}-digits"),)
    numbers.record(Metric(LAMBDA, "ProvisionedConcurrencyInvocations", of_lambda), *[1.0] * 750)
    found = worked_out(world, numbers)
    spent = dollars(found)
    assert spent["Lambda duration"] == pytest.approx(20 * 0.5 * 0.25 * PRICES.lambda_.x86_64_gb_second)
    assert spent["Lambda duration, kept started"] == pytest.approx(
        20 * 0.5 * 0.75 * PRICES.lambda_.provisioned_duration_gb_second
    )
    each = 2 * 0.5 * 3600 * PRICES.lambda_.provisioned_gb_second * found.hours
    assert spent["version 1: 2 environments of 512 MB kept started"] == pytest.approx(each)
    assert found.warmth == pytest.approx(each)


def test_an_alarm_is_paid_for_while_it_exists(world: World, numbers: MemoryNumbers) -> None:
    for what in ("faults", "errors"):
        numbers.put(AlarmSeen(f"switchyard/{STAGE}/digits/live/abc/{what}", "OK", 0.0))
    found = worked_out(world, numbers)
    assert dollars(found)["alarms"] == pytest.approx(2 * PRICES.front.alarm_month * found.hours / HOURS)


def test_a_model_that_nobody_called_cost_nothing_and_has_no_price_for_a_thousand(world: World) -> None:
    found = worked_out(world, MemoryNumbers(world.clock))
    assert (found.items, found.per_thousand) == ((), None)


def test_snapshots_are_paid_when_they_are_restored(world: World, numbers: MemoryNumbers) -> None:
    world.functions.deploy(world.stage().function("digits"), snap_start="PublishedVersions")
    world.code = "code-2"
    world.deploy()
    restored = dollars(worked_out(world, numbers))["snapshots restored"]
    assert restored == pytest.approx(2 * 0.5 * PRICES.lambda_.snapstart_restore_gb)


def test_what_no_table_prices_is_named_and_not_in_the_sum(world: World) -> None:
    heavy = HeavyWorld()
    heavy.deploy()
    heavy.publish(1)
    heavy.provision(1, instance_type="ml.z9.large")
    heavy.controller().release(ByVersion("digits", 1))
    found = worked_out(heavy, MemoryNumbers(heavy.clock))
    assert found.target == "sagemaker"
    assert found.unpriced == ("version 1: 1 x ml.z9.large (InService)",)
    assert found.dollars == 0
