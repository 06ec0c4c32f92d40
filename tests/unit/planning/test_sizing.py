"""``planning.sizing``: arithmetic, checked against sums made by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.alarms import Alarms
from planning.measure import Measured, Run
from planning.prices import read_prices
from planning.sizing import (
    HANDLING_MS,
    LEAST_INSTANCES,
    Captured,
    Function,
    Load,
    Option,
    Watched,
    front_costs,
    function_latency_ms,
    options,
    recommended,
)

PRICES = read_prices()
RUNS = (Run(1, 1, 99, 8.5, 10.0, 8.0), Run(1, 8, 99, 40.0, 44.0, 32.0), Run(2, 1, 99, 5.0, 6.0, 9.0))
MEASURED = Measured(RUNS, 300.0, 200.0, rows=True, cores=2)
PLAIN = Function(snapstart=False)


def named(found: list[Option], size: str) -> Option:
    return next(option for option in found if option.size == size)


def plan(load: Load, *, measured: Measured = MEASURED, function: Function = PLAIN) -> list[Option]:
    return options(measured, load, PRICES, size_bytes=1_000_000, function=function)


@pytest.mark.parametrize(
    ("memory_mb", "p50", "p95"),
    [
        (1769, 8.5 + HANDLING_MS, 10 + HANDLING_MS),
        (1769 / 2, (8.5 + HANDLING_MS) * 2, (10 + HANDLING_MS) * 2),
        (3538, 5 + HANDLING_MS, 6 + HANDLING_MS),
        (10_240, 5 + HANDLING_MS, 6 + HANDLING_MS),
    ],
)
def test_a_share_of_a_cpu_takes_longer_and_whole_ones_are_threads(
    memory_mb: int, p50: float, p95: float
) -> None:
    assert function_latency_ms(MEASURED, memory_mb) == pytest.approx((p50, p95))


def test_a_slower_core_takes_longer() -> None:
    assert function_latency_ms(MEASURED, 1769, 0.5)[0] == pytest.approx(2 * (8.5 + HANDLING_MS))


def test_a_function_costs_its_gigabyte_seconds_and_its_requests() -> None:
    """2.628 million requests of 10 ms on 1,769 MB: by hand."""
    option = named(plan(Load(1.0, 4.0)), "1769 MB")
    assert option.costs["computing"] == pytest.approx(2_628_000 * 0.010 * 1769 / 1024 * 0.0000166667)
    assert option.costs["invocations"] == pytest.approx(2.628 * 0.20)
    assert option.costs["API"] == pytest.approx(2.628)
    assert "snapshots" not in option.costs
    assert option.month == pytest.approx(sum(option.costs.values()))


def test_snapshots_of_every_kept_version_are_paid_for() -> None:
    found = plan(Load(1.0, 1.0, kept=3), function=Function())
    assert named(found, "1024 MB").costs["snapshots"] == pytest.approx(3 * 2_628_000 * 0.0000015046)


def test_metrics_are_those_of_the_model_and_of_each_kept_version() -> None:
    """Law 11, in dollars."""
    assert front_costs(Load(1.0, 1.0, kept=3), PRICES)["metrics"] == pytest.approx(8 * 4 * 0.30)


def test_alarms_are_billed_by_the_metrics_they_look_at_and_a_band_as_three() -> None:
    watched = Watched(on_metrics=10, composites=2, bands=2, released=3)
    costs = front_costs(Load(1.0, 1.0, kept=3, watched=watched), PRICES)
    assert costs["alarms"] == pytest.approx((10 + 3 + 3 * 2) * 0.10 + 2 * 0.50)
    assert costs["dashboard"] == pytest.approx(3.00)
    off = Load(1.0, 1.0, kept=3, watched=Watched(1, 0, 0, 0))
    assert front_costs(off, PRICES)["alarms"] == pytest.approx(0.10)


@pytest.mark.parametrize(
    ("rate", "requests", "puts"),
    [
        pytest.param(0.05, 100_000, 5_000, id="one for each request that is kept"),
        pytest.param(1.0, 100_000_000, 2 * 262_800, id="every ten seconds from two at once"),
    ],
)
def test_what_is_captured_is_paid_for_by_metrics_alarms_the_monitor_and_puts(
    rate: float, requests: float, puts: float
) -> None:
    standing = 2 * 6 * 0.30 + 5 * 0.10 + 730 * 2 * 5 * 0.0000166667
    assert Captured(rate).month(requests, 2.0, PRICES) == pytest.approx(standing + puts / 1000 * 0.005)
    labelled = Captured(rate, labelled=True).month(requests, 2.0, PRICES)
    assert labelled - Captured(rate).month(requests, 2.0, PRICES) == pytest.approx(2 * 0.30 + 0.10)


def test_a_model_that_keeps_nothing_pays_nothing_for_it() -> None:
    assert "drift" not in front_costs(Load(1.0, 1.0), PRICES)
    assert front_costs(Load(1.0, 1.0, captured=Captured(0.01)), PRICES)["drift"] > 4


def test_what_is_assumed_without_a_catalog_is_the_catalogs_default() -> None:
    billed = Alarms().billed(aliases=1)
    assert Watched() == Watched(billed.on_metrics, billed.composites, billed.bands)


def test_instances_are_counted_at_the_peak_and_never_one() -> None:
    quiet, busy = Load(1.0, 1.0), Load(100.0, 3000.0)
    assert named(plan(quiet), "c6i.xlarge").count == LEAST_INSTANCES
    # 4 ms of processor time per row in batches of 8, four vCPUs busy to 60 %: 600 rows a second each.
    assert named(plan(busy), "c6i.xlarge").count == 5


def test_a_batch_that_would_take_too_long_is_not_planned_with() -> None:
    strict = named(plan(Load(1.0, 300.0, p95_ms=20.0)), "c6i.xlarge")
    assert strict.p95_ms == pytest.approx(10 + HANDLING_MS)
    assert strict.count == 2


@pytest.mark.parametrize(
    ("load", "measured", "size", "size_bytes", "why"),
    [
        (Load(1, 1, p95_ms=5), MEASURED, "1769 MB", 1, "p95 about 11.5 ms, and 5 ms are wanted"),
        (Load(1, 1), replace(MEASURED, memory_mb=900.0), "1024 MB", 1, "needs 1,125 MB"),
        (Load(1, 200_000), MEASURED, "1769 MB", 1, "2,000 environments at the peak"),
        (Load(1, 1), MEASURED, "1769 MB", 11 * 2**30, "`/tmp` has at most 10,240 MB"),
        (Load(1, 1), replace(MEASURED, memory_mb=7000.0), "c6i.xlarge", 1, "needs 8.5 GB"),
    ],
)
def test_what_cannot_serve_says_why(
    load: Load, measured: Measured, size: str, size_bytes: int, why: str
) -> None:
    """Law 8."""
    found = options(measured, load, PRICES, size_bytes=size_bytes, function=PLAIN)
    assert why in named(found, size).why_not


def test_little_traffic_belongs_on_functions_and_much_on_instances() -> None:
    """A run of 85 ms: a function is paid for all of it, a gateway for a quarter of a gigabyte that waits."""
    heavy = replace(MEASURED, runs=(Run(1, 1, 99, 85.0, 100.0, 80.0),))
    best = [recommended(plan(Load(rate, 1.25 * rate, p95_ms=150.0), measured=heavy)) for rate in (0.1, 400.0)]
    assert [option.target for option in best if option] == ["lambda", "ec2"]


def test_nothing_is_recommended_where_nothing_works() -> None:
    assert recommended(plan(Load(1.0, 1.0, p95_ms=0.5))) is None


def test_a_gpu_is_priced_and_never_recommended_unmeasured() -> None:
    found = plan(Load(1.0, 1.0, p95_ms=0.5))
    gpu = named(found, "g5.xlarge")
    assert gpu.p95_ms is None
    assert "not measured here" in gpu.remark
    assert gpu.costs["instances"] == pytest.approx(2 * 1.006 * 730)


@given(
    rate=st.floats(0.01, 2000),
    factor=st.floats(1, 20),
    p95=st.none() | st.floats(1, 500),
    kept=st.integers(1, 11),
)
def test_the_recommendation_is_the_cheapest_of_those_that_work(
    rate: float, factor: float, p95: float | None, kept: int
) -> None:
    found = plan(Load(rate, rate * factor, p95, kept))
    best = recommended(found)
    working = [option for option in found if not option.why_not and option.p95_ms is not None]
    assert (best is None) == (not working)
    if best is not None:
        assert best.month == min(option.month for option in working)
        assert p95 is None or (best.p95_ms or 0) <= p95


@given(rate=st.floats(0.01, 1000), more=st.floats(1, 10))
def test_more_requests_never_cost_less(rate: float, more: float) -> None:
    few, many = plan(Load(rate, rate)), plan(Load(rate * more, rate * more))
    for option in few:
        assert named(many, option.size).month >= option.month * 0.999999
