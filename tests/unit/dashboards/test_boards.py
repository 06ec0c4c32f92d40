"""``dashboards.boards``: every widget of both pages, and what none of them may do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from dashboards.boards import Cost, Shown, alarms_shown, fleet_board, marked_charts, model_board
from model_store.contract.deployment import alias_alarm_name

ARN = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:"
ALARMS = alarms_shown("prod", "digits", ("live", "candidate"), ("faults", "user-pain"))
SHOWN = Shown("prod", "digits", ("live", "candidate"), Cost(second=0.0000166667, call=0.0000002), ALARMS)
MODEL = model_board(SHOWN, region="eu-central-1", alarm_arn=ARN, marks_arn="arn:marks")
FLEET = fleet_board("prod", [SHOWN], region="eu-central-1", alarm_arn=ARN)


def charts(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        widget["properties"]["title"]: widget["properties"]
        for widget in board["widgets"]
        if widget["type"] == "metric"
    }


def searched(board: dict[str, Any], title: str) -> list[tuple[str, str, str]]:
    """Metric, statistic and label of each search of a chart."""
    found = []
    for row in charts(board)[title]["metrics"]:
        expression = row[-1].get("expression", "")
        if match := re.search(r'MetricName="(\w+)".*, \'(\w+)\'\)$', expression):
            found.append((match[1], match[2], row[-1]["label"]))
    return found


V = "v${PROP('Dim.version')}"


@pytest.mark.parametrize(
    ("title", "metric", "statistic"),
    [
        pytest.param("Traffic by version", "Invocations", "Sum", id="traffic"),
        pytest.param("Latency, median", "Latency", "p50", id="p50"),
        pytest.param("Latency, p95", "Latency", "p95", id="p95"),
        pytest.param("Latency, p99", "Latency", "p99", id="p99"),
        pytest.param("Server faults by version", "Faults", "Sum", id="faults"),
        pytest.param("Cold starts by version, and failed starts", "ColdStarts", "Sum", id="cold-starts"),
        pytest.param("Drift of outputs by version", "OutputDrift", "Maximum", id="output-drift"),
    ],
)
def test_old_and_new_versions_lie_in_one_chart(title: str, metric: str, statistic: str) -> None:
    """Law 4: no template knows which versions there are, so they are searched for."""
    assert searched(MODEL, title) == [(metric, statistic, V)]


@pytest.mark.parametrize(
    ("title", "metrics"),
    [
        pytest.param("Drift of inputs by version", ["DriftPsi", "DriftKs", "CategoryShift"], id="drift"),
        pytest.param(
            "Missing and out of range, accuracy", ["MissingRate", "OutOfRangeRate", "Accuracy"], id="quality"
        ),
    ],
)
def test_drift_is_shown_by_version(title: str, metrics: list[str]) -> None:
    found = searched(MODEL, title)
    assert [metric for metric, _, _ in found] == metrics
    assert [label for _, _, label in found] == [f"{metric} {V}" for metric in metrics]


@pytest.mark.parametrize(
    ("title", "metric"),
    [("Failed invocations by alias", "Errors"), ("Throttled calls by alias", "Throttles")],
)
def test_what_lambda_counts_is_shown_by_alias(title: str, metric: str) -> None:
    rows = charts(MODEL)[title]["metrics"]
    assert [(row[1], row[5], row[-1]["label"], row[-1]["stat"]) for row in rows] == [
        (metric, f"switchyard-prod-digits:{alias}", alias, "Sum") for alias in ("live", "candidate")
    ]


def test_concurrency_is_the_most_at_once() -> None:
    (row,) = charts(MODEL)["Requests answered at once"]["metrics"]
    assert (row[1], row[3], row[-1]["stat"]) == ("ConcurrentExecutions", "switchyard-prod-digits", "Maximum")


def test_cost_is_what_ran_and_what_was_called_at_list_prices() -> None:
    ran, calls, cost = charts(MODEL)["Cost of 1000 requests"]["metrics"]
    assert (ran[1], ran[-1]["visible"], calls[1], calls[-1]["visible"]) == (
        "Duration",
        False,
        "Invocations",
        False,
    )
    assert cost[-1]["expression"] == ("1000 * (ran / 1000 * 0.000016666700 + calls * 0.000000200000) / calls")


def test_machines_that_wait_cost_by_the_hour() -> None:
    heavy = Shown("prod", "bert", ("live",), Cost(0.1, 0.2, fixed_hour=1.408))
    rows = charts(model_board(heavy, region="r", alarm_arn=ARN, marks_arn="arn:marks"))[
        "Cost of 1000 requests"
    ]["metrics"]
    assert "PERIOD(calls) / 3600 * 1.408000" in rows[-1][-1]["expression"]


def test_the_alarms_that_exist_are_shown() -> None:
    (widget,) = (one for one in MODEL["widgets"] if one["type"] == "alarm")
    names = [arn.removeprefix(ARN) for arn in widget["properties"]["alarms"]]
    assert alias_alarm_name("prod", "digits", "candidate", "user-pain") in names
    assert names == list(ALARMS)
    assert len(names) == 4


def test_moves_are_marked_by_a_function_that_is_told_the_model_and_nothing_that_changes() -> None:
    """Law 4: what was moved when is in the ledger and in no page."""
    (widget,) = (one for one in MODEL["widgets"] if one["type"] == "custom")
    assert widget["properties"] == {
        "title": "Releases",
        "endpoint": "arn:marks",
        "params": {"model": "digits"},
        "updateOn": {"refresh": True, "resize": False, "timeRange": True},
    }
    assert not [one for one in FLEET["widgets"] if one["type"] == "custom"]


def test_what_is_marked_are_charts_of_the_page() -> None:
    of_the_page = charts(MODEL)
    for marked in marked_charts("prod", "digits"):
        own = dict(of_the_page[marked["properties"]["title"]])
        assert own.pop("region") == "eu-central-1"
        assert own == marked["properties"]


@pytest.mark.parametrize(
    ("title", "metric", "statistic"),
    [
        ("Requests by model", "Invocations", "Sum"),
        ("Latency, p99", "Latency", "p99"),
        ("Server faults by model", "Faults", "Sum"),
        ("Cold starts by model", "ColdStarts", "Sum"),
    ],
)
def test_the_fleet_is_shown_by_model(title: str, metric: str, statistic: str) -> None:
    assert searched(FLEET, title) == [(metric, statistic, "${PROP('Dim.model')}")]


def test_the_fleet_shows_what_lambda_counts_for_each_model_and_their_pains() -> None:
    for title in ("Failed invocations by model", "Throttled calls by model", "Requests answered at once"):
        (row,) = charts(FLEET)[title]["metrics"]
        assert (row[0], row[3], row[-1]["label"]) == ("AWS/Lambda", "switchyard-prod-digits", "digits")
    (widget,) = (one for one in FLEET["widgets"] if one["type"] == "alarm")
    ends = {arn.rpartition("/")[2] for arn in widget["properties"]["alarms"]}
    assert ends == {"user-pain", "cannot-answer"}


@pytest.mark.parametrize("board", [MODEL, FLEET], ids=["model", "fleet"])
def test_a_page_is_what_cloudwatch_takes(board: dict[str, Any]) -> None:
    """ "Dashboard body structure": 24 wide, nothing on top of anything, ids that begin with a small letter."""
    taken: set[tuple[int, int]] = set()
    for widget in board["widgets"]:
        assert widget["x"] + widget["width"] <= 24
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken
        taken |= cells
    for properties in charts(board).values():
        assert properties["region"] == "eu-central-1"
        ids = [row[-1]["id"] for row in properties["metrics"]]
        assert len(set(ids)) == len(ids)
        assert all(id_[0].islower() for id_ in ids)
    assert len(json.dumps(board)) < 50_000


@pytest.mark.parametrize("board", [MODEL, FLEET], ids=["model", "fleet"])
def test_no_metric_gains_a_dimension(board: dict[str, Any]) -> None:
    """Law 11: ours are looked for by {model} and {model, version}, and nothing else."""
    seen = set()
    for properties in charts(board).values():
        for row in properties["metrics"]:
            if match := re.search(r"SEARCH\('\{Switchyard/prod,([^}]*)\}", row[-1].get("expression", "")):
                seen.add(match[1])
            elif row[0] == "Switchyard/prod":
                seen.add(",".join(row[2:-1:2]))
    assert seen <= {"model", "model,version"}
    assert seen
