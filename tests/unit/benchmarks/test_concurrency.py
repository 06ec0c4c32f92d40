"""``benchmarks.concurrency``: Lambda's documented numbers hold in the simulator, and the rules keep callers whole."""

from __future__ import annotations

import pytest

from benchmarks.concurrency import STEP_S, Function, fine_steps, headroom, scenarios
from releases.headroom import BURST

SECOND = round(1 / STEP_S)


def flood(function: Function, seconds: int, a_second: int = 100_000) -> None:
    for _ in range(seconds * SECOND):
        function.tick({"1": a_second // SECOND})


@pytest.mark.parametrize(("seconds", "environments"), [(1, 1_100), (10, 2_000), (20, 3_000)])
def test_a_function_starts_a_thousand_environments_and_a_thousand_more_every_ten_seconds(
    seconds: int, environments: int
) -> None:
    function = Function(100_000, duration_s=60)
    flood(function, seconds)
    assert function.in_flight == pytest.approx(environments, abs=2)


def test_what_was_not_started_is_not_saved_up() -> None:
    function = Function(100_000, duration_s=60)
    for _ in range(60 * SECOND):
        function.tick({})
    assert function.tokens == BURST


def test_an_account_answers_so_many_requests_at_once_and_no_more() -> None:
    function = Function(1_000, duration_s=60)
    flood(function, 5)
    assert function.in_flight == 1_000
    assert function.throttled == 5 * 100_000 - 1_000


def test_an_environment_that_has_to_start_is_in_flight_meanwhile() -> None:
    function = Function(1_000, duration_s=0.05, start_s=2)
    function.tick({"1": 10})
    for _ in range(2 * SECOND):
        function.tick({})
    assert function.in_flight == 10
    for _ in range(round(0.05 / STEP_S)):
        function.tick({})
    assert (function.in_flight, function.versions["1"].idle) == (0, 10)


def test_ten_times_as_many_requests_a_second_as_executions() -> None:
    function = Function(100, duration_s=0.01, start_s=0)
    flood(function, 1, 10_000)
    assert function.throttled == 10_000 - 1_000


def test_what_is_provisioned_starts_nothing_and_the_rest_is_started_on_demand() -> None:
    function = Function(1_000, duration_s=60)
    function.provision("1", 5)
    function.tick({"1": 8})
    assert function.tokens == pytest.approx(BURST - 3)
    assert function.throttled == 0


def test_with_the_rules_on_nothing_is_throttled_and_without_them_it_is() -> None:
    """At 10,000 requests a second: flips, shifts and rollbacks."""
    played = scenarios()
    assert {each.throttled for each in played if each.rules == "on"} == {0}
    assert sum(each.said == "done" for each in played if each.rules == "on") >= 3
    assert all(each.throttled for each in played if each.rules == "off" and "kept" not in each.name)


def test_the_steps_that_a_refusal_names_are_the_largest_that_fit() -> None:
    found = headroom()
    assert found.suffices_for(fine_steps(found))
    assert found.to_start_for((found.largest_step + 1) / 100) > BURST
