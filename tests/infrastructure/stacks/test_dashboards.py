"""The deployed pages: that they are the ones of ``dashboards.boards``, for every model and for the stage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def board(stage: Deployed, concern: str) -> tuple[str, dict[str, Any]]:
    page = stage.only(concern, "AWS::CloudWatch::Dashboard")["Properties"]
    body: dict[str, Any] = json.loads(text_of(page["DashboardBody"]))
    return page["DashboardName"], body


@pytest.mark.parametrize("model", ["digits", "fraud-eu", "bert", "clip"])
def test_every_model_has_a_page_with_every_chart(stage: Deployed, model: str) -> None:
    name, body = board(stage, f"Model-{model}")
    assert name == f"switchyard-{stage.stage}-{model}"
    titles = [one["properties"]["title"] for one in body["widgets"] if one["type"] == "metric"]
    assert titles == [
        "Traffic by version",
        "Latency, median",
        "Latency, p95",
        "Latency, p99",
        "Server faults by version",
        "Failed invocations by alias",
        "Cold starts by version, and failed starts",
        "Throttled calls by alias",
        "Requests answered at once",
        "Cost of 1000 requests",
        "Drift of inputs by version",
        "Drift of outputs by version",
        "Missing and out of range, accuracy",
    ]
    assert {one["properties"].get("region") for one in body["widgets"] if one["type"] == "metric"} == {
        "<AWS::Region>"
    }


@pytest.mark.parametrize("model", ["digits", "fraud-eu", "bert", "clip"])
def test_every_model_s_page_asks_the_stage_s_function_who_moved_what(stage: Deployed, model: str) -> None:
    """Law 4: the function is told the model; what it draws is in the ledger."""
    _, body = board(stage, f"Model-{model}")
    (widget,) = (one for one in body["widgets"] if one["type"] == "custom")
    assert widget["properties"]["params"] == {"model": model}
    assert widget["properties"]["endpoint"].endswith(f":function:switchyard-{stage.stage}-Marks")
    assert (widget["x"], widget["width"]) == (0, 24)


def test_the_alarms_of_a_page_are_alarms_of_the_template(stage: Deployed) -> None:
    _, body = board(stage, "Model-fraud-eu")
    (widget,) = (one["properties"] for one in body["widgets"] if one["type"] == "alarm")
    shown = {arn.rpartition(":alarm:")[2] for arn in widget["alarms"]}
    made = {
        one["Properties"]["AlarmName"]
        for concern in ("Model-fraud-eu", "Operations")
        for type_ in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
        for one in stage.resources(concern, type_).values()
    }
    assert shown <= made
    assert len(shown) == 4 + 2 * 5 + 1


def test_the_stage_has_one_page_of_all_models(stage: Deployed) -> None:
    name, body = board(stage, "Operations")
    assert name == f"switchyard-{stage.stage}"
    errors = next(
        one["properties"]["metrics"]
        for one in body["widgets"]
        if one["properties"].get("title") == "Failed invocations by model"
    )
    assert [row[-1]["label"] for row in errors] == ["digits", "fraud-eu", "bert", "clip"]


def test_no_page_names_a_version(stage: Deployed) -> None:
    """Law 4: the template does not know what is live, so it searches."""
    for concern in ("Operations", "Model-digits", "Model-bert"):
        _, body = board(stage, concern)
        for one in body["widgets"]:
            for row in one["properties"].get("metrics", []):
                assert "version" not in row
                assert 'version="' not in row[-1].get("expression", "")
