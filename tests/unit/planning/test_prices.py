"""``planning.prices``: the table in the repository, and tables of others."""

from pathlib import Path

import pytest

from planning.prices import HOURS, TABLE, PricesError, read_prices
from releases.prices import AS_OF, PER_HOUR, REGION


def test_the_table_of_the_repository_says_where_and_when() -> None:
    prices = read_prices()
    assert prices.where == "list prices of us-east-1 as of 2025-11"
    assert prices.lambda_.gb_second("arm64") < prices.lambda_.gb_second("x86_64")
    assert {price.target for price in prices.instances.values()} == {"sagemaker", "ec2"}
    assert prices.instances["g5.xlarge"].month == pytest.approx(1.006 * HOURS)


def test_sagemaker_costs_more_than_the_same_instance_bare() -> None:
    """A slip of the pen in the table would show here."""
    prices = read_prices().instances
    both = [name for name in prices if f"ml.{name}" in prices]
    assert both
    assert all(prices[name].hour < prices[f"ml.{name}"].hour < 2 * prices[name].hour for name in both)


def test_status_and_plan_name_the_same_price_of_the_same_month() -> None:
    prices = read_prices()
    assert (AS_OF[:7], REGION) == (prices.as_of, prices.region)
    both = prices.instances.keys() & PER_HOUR.keys()
    assert len(both) > 5
    assert {name: prices.instances[name].hour for name in both} == {name: PER_HOUR[name] for name in both}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("0.20", '"free"'), "lambda.million_requests"),
        (("as_of", "as_off"), "as_of"),
        (('as_of = "2025-11"', 'as_of = "lately"'), "as_of"),
        (("vcpus = 4", "vcpus = 0"), "vcpus"),
        (("[lambda]", "[lambda"), "no table of prices"),
    ],
)
def test_a_table_that_is_none_is_refused_with_the_place(
    tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(TABLE.read_text("utf-8").replace(*change, 1), "utf-8")
    with pytest.raises(PricesError, match=complaint) as refused:
        read_prices(path)
    assert refused.value.hint is not None


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PricesError, match="no table of prices"):
        read_prices(tmp_path / "nowhere.toml")
