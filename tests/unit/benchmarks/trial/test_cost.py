"""An upper bound for a trial, from the table of list prices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.trial.cost import estimate
from planning.prices import read_prices


def test_it_grows_with_the_time_and_has_a_floor() -> None:
    prices = read_prices()
    half, whole, day = (estimate(prices, minutes) for minutes in (30, 90, 1440))
    assert 0 < half < whole < day
    # An hour and a half of everything: some dollars at most, or the default cap of five would refuse it.
    assert whole < 5


def test_snapshots_are_charged_for_three_hours_at_least() -> None:
    """Lambda pricing: the cache of SnapStart has a minimum."""
    prices = read_prices()
    uncached = prices.lambda_.model_copy(update={"snapstart_cache_gb_second": 0.0})
    free = replace(prices, lambda_=uncached)
    at_once, an_hour, a_day = (estimate(prices, m) - estimate(free, m) for m in (0, 60, 1440))
    assert at_once == pytest.approx(an_hour)
    assert an_hour < a_day
