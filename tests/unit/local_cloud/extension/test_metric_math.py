"""``local_cloud.extension.metric_math``: what expressions of dashboards and alarms give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from local_cloud.extension.metric_math import MathError, Series, Value, evaluate, every


def series(*values: float | None) -> Series:
    """Values of the minutes 0, 60, 120 …, without those that are ``None``."""
    return Series({number * 60.0: value for number, value in enumerate(values) if value is not None})


@dataclass
class Given:
    """Queries that are already answered."""

    queries: dict[str, Series] = field(default_factory=dict)
    moments: Sequence[float] = (0.0, 60.0, 120.0)
    period_s: float = 60.0

    def named(self, name: str) -> Value:
        if name not in self.queries:
            raise MathError(f"there is no query `{name}`")
        return self.queries[name]

    def metrics(self, within: str) -> list[Series]:
        return [one for name, one in self.queries.items() if within in name]

    def search(self, expression: str, statistic: str, period_s: float) -> list[Series]:
        return [Series({0.0: period_s}, f"{expression} {statistic}")]

    def band(self, name: str, width: float) -> list[Series]:
        one = every(self.named(name))[0]
        return [Series({at: value + sign * width for at, value in one.points.items()}) for sign in (-1, 1)]


SOURCES = Given({"m1": series(1, 2, 4), "m2": series(10, None, 0), "e3": series(3, 3, 3)})


def points(expression: str) -> list[tuple[float, float]]:
    (one,) = every(evaluate(expression, SOURCES))
    return sorted(one.points.items())


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        pytest.param("m1 * 2 + 1", [3, 5, 9], id="precedence"),
        pytest.param("(m1 + 1) * 2", [4, 6, 10], id="parentheses"),
        pytest.param("2 ^ m1", [2, 4, 16], id="power"),
        pytest.param("-m1", [-1, -2, -4], id="sign"),
        pytest.param("m1 > 1", [0, 1, 1], id="comparison"),
        pytest.param("m1 > 1 AND m1 < 4", [0, 1, 0], id="and"),
        pytest.param("m1 > 3 || m1 < 2", [1, 0, 1], id="or"),
        pytest.param("IF(m1 >= 2, m1, 0)", [0, 2, 4], id="if"),
        pytest.param("FILL(m2, 7)", [10, 7, 0], id="fill-number"),
        pytest.param("FILL(m2, REPEAT)", [10, 10, 0], id="fill-repeat"),
        pytest.param("m1 - AVG(m1)", [-4 / 3, -1 / 3, 5 / 3], id="scalar-of-one-series"),
        pytest.param("SUM([m1, e3])", [4, 5, 7], id="series-of-several"),
        pytest.param('SUM(METRICS("m"))', [11, 2, 4], id="metrics-by-part-of-id"),
        pytest.param("RUNNING_SUM(m1)", [1, 3, 7], id="running-sum"),
        pytest.param("m1 / PERIOD(m1)", [1 / 60, 2 / 60, 4 / 60], id="period"),
    ],
)
def test_an_expression_gives_what_the_user_guide_says(expression: str, values: list[float]) -> None:
    assert [value for _, value in points(expression)] == pytest.approx(values)


def test_what_one_series_lacks_the_result_lacks_and_so_does_a_division_by_zero() -> None:
    assert points("m1 / m2") == [(0.0, 0.1)]


def test_a_difference_needs_two_moments() -> None:
    assert points("DIFF(m1)") == [(60.0, 1.0), (120.0, 2.0)]
    assert [value for _, value in points("RATE(m1)")] == pytest.approx([1 / 60, 2 / 60])


def test_a_search_and_a_band_are_asked_of_the_cloud() -> None:
    (found,) = every(evaluate("SEARCH('{N,a} x', 'Sum', 300)", SOURCES))
    assert (found.label, found.points) == ("{N,a} x Sum", {0.0: 300.0})
    low, high = every(evaluate("ANOMALY_DETECTION_BAND(m1, 2)", SOURCES))
    assert (low.points[0.0], high.points[0.0]) == (-1.0, 3.0)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        pytest.param("m9", "no query `m9`", id="unknown-query"),
        pytest.param("m1 +", "missing", id="half"),
        pytest.param("TIME_SERIES_OF(m1)", "function TIME_SERIES_OF is not known", id="unknown-function"),
        pytest.param("m1 $ 2", "cannot be read", id="sign"),
        pytest.param("m1 m2", "unexpected `m2`", id="two"),
        pytest.param("[m1] + [m2]", "two lists", id="lists"),
    ],
)
def test_what_cannot_be_worked_out_says_why(expression: str, why: str) -> None:
    with pytest.raises(MathError, match=why):
        evaluate(expression, SOURCES)
