"""``dashboards.asked``: a deployed page, read back as what it asks of CloudWatch."""

from __future__ import annotations

import json

import pytest

from dashboards.asked import MOST_POINTS, PageError, period_for, read
from dashboards.boards import Cost, Shown, model_board

SHOWN = Shown("prod", "digits", ("live",), Cost(0.1, 0.2), ("switchyard/prod/digits/p99",))
BODY = model_board(
    SHOWN, region="eu-central-1", alarm_arn="arn:aws:cloudwatch:r:1:alarm:", marks_arn="arn:marks"
)


def test_every_chart_of_the_page_is_asked_for_in_its_order() -> None:
    page = read(json.dumps(BODY), span_s=3_600)
    titles = [one["properties"]["title"] for one in BODY["widgets"] if one["type"] == "metric"]
    assert [chart.title for chart in page.charts] == titles
    assert page.alarms == ("switchyard/prod/digits/p99",)
    assert page.left_out == ()
    assert page.tells_moves
    assert page.words[0].startswith("# digits")


def test_a_row_becomes_a_query_with_what_only_helps_hidden() -> None:
    page = read(json.dumps(BODY), span_s=3_600)
    cost = next(chart for chart in page.charts if chart.title == "Cost of 1000 requests")
    ran, calls, dollars = cost.queries
    assert cost.visible == {"cost"}
    assert (ran["ReturnData"], calls["ReturnData"], dollars["ReturnData"]) == (False, False, True)
    assert ran["MetricStat"]["Metric"] == {
        "Namespace": "AWS/Lambda",
        "MetricName": "Duration",
        "Dimensions": [{"Name": "FunctionName", "Value": "switchyard-prod-digits"}],
    }
    assert dollars["Period"] == cost.period_s == 60


@pytest.mark.parametrize(
    ("span_s", "period_s"), [(3_600, 60), (6 * 3_600, 300), (86_400, 300), (7 * 86_400, 3_600)]
)
def test_a_longer_time_has_longer_periods(span_s: float, period_s: int) -> None:
    assert period_for(span_s, 60) == period_s
    assert span_s / period_for(span_s, 60) <= MOST_POINTS


def test_what_is_not_drawn_here_is_named() -> None:
    log = {"type": "log", "x": 0, "y": 90, "properties": {"title": "Errors"}}
    theirs = {"type": "custom", "x": 0, "y": 96, "properties": {"title": "Weather", "endpoint": "arn:sky"}}
    body = {"widgets": [log, theirs]}
    page = read(json.dumps(body), span_s=3_600)
    assert page.left_out == ("log `Errors`", "custom `Weather`")
    assert not page.tells_moves


@pytest.mark.parametrize("body", ["no json", "{}", '{"widgets": [{"type": "text"}]}'])
def test_what_is_no_page_is_refused_with_a_way_out(body: str) -> None:
    with pytest.raises(PageError) as refused:
        read(body, span_s=3_600)
    assert refused.value.hint
