"""``telemetry.window``: whole periods, and only such as CloudWatch has."""

from __future__ import annotations

import pytest

from telemetry.window import DAY_S, HOUR_S, WindowError, window

NOW = 1_790_000_030.5


@pytest.mark.parametrize("seconds", [90.0, 3_600.0, 86_400.0, 30 * 86_400.0])
def test_a_window_holds_what_was_asked_for_in_whole_periods(seconds: float) -> None:
    found = window(NOW, seconds)
    assert found.since <= NOW - seconds
    assert found.since > NOW - seconds - found.period_s
    assert NOW < found.until <= NOW + found.period_s
    assert found.since % found.period_s == found.until % found.period_s == 0
    assert found.whole_s == min(found.until - found.since, DAY_S)


@pytest.mark.parametrize(
    ("seconds", "period_s"), [(600, 60), (3 * HOUR_S, 300), (7 * DAY_S, 6 * HOUR_S), (300 * DAY_S, DAY_S)]
)
def test_without_a_period_a_person_can_still_read_the_series(seconds: int, period_s: int) -> None:
    assert window(NOW, seconds).period_s == period_s


@pytest.mark.parametrize(
    ("seconds", "period_s", "why"),
    [
        (3_600, 90, "whole number of minutes"),
        (3_600, 2 * DAY_S, "up to a day"),
        (20 * DAY_S, 60, "keeps periods of 60 s for less than 20 days"),
        (2 * DAY_S, 60, "more than the 1,440"),
        (500 * DAY_S, None, "keeps no metrics for 500 days"),
    ],
)
def test_what_cloudwatch_does_not_have_is_refused_with_a_way_out(
    seconds: int, period_s: int | None, why: str
) -> None:
    with pytest.raises(WindowError, match=why) as refused:
        window(NOW, seconds, period_s)
    assert refused.value.hint
