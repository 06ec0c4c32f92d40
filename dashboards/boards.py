"""What the pages show. Pure: from names and prices to a dashboard body.

Which versions there are no template knows (law 4): whatever is by version is a SEARCH over {model, version},
so a new version appears with its first request, and the one before it stays as long as it has data. Both then
lie in one chart. Source: CloudWatch API reference, "Dashboard body structure and syntax".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from model_store.contract.deployment import (
    alias_alarm_name,
    cannot_answer_alarm_name,
    function_name,
    metrics_namespace,
    model_alarm_name,
)
from model_store.contract.environment import (
    ACCURACY_METRIC,
    CATEGORY_SHIFT_METRIC,
    COLD_STARTS_METRIC,
    DRIFT_KS_METRIC,
    DRIFT_PSI_METRIC,
    FAULTS_METRIC,
    INVOCATIONS_METRIC,
    LATENCY_METRIC,
    MISSING_RATE_METRIC,
    OUT_OF_RANGE_RATE_METRIC,
    OUTPUT_DRIFT_METRIC,
    START_FAILURES_METRIC,
)

LAMBDA = "AWS/Lambda"
WIDTH, HEIGHT, ACROSS = 8, 6, 3
"""A page is 24 wide: three charts side by side."""

MOVES = "Releases"
"""The widget that marks moves: a function of ours draws it from the ledger (ADR 45)."""

MOVES_HEIGHT = 9
"""A row of charts and some lines of the table under it; what is more scrolls."""

Widget = dict[str, Any]
Row = list[Any]
Axis = Literal["Requests", "Milliseconds", "Percent", "Count", "US dollars", "Distance", "Share"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model's function is billed: dollars for each second it runs and for each call.

    ``fixed_hour`` are dollars an hour for machines that wait, whatever is asked of them.
    """

    second: float
    call: float
    fixed_hour: float = 0.0


@dataclass(frozen=True, slots=True)
class Shown:
    """One model, as far as a page needs to know it. ``alarms`` are those that exist, by their names."""

    stage: str
    model: str
    aliases: tuple[str, ...]
    cost: Cost
    alarms: tuple[str, ...] = ()


def alarms_shown(stage: str, model: str, aliases: Sequence[str], kinds: Sequence[str]) -> tuple[str, ...]:
    """Names of the alarms that say something by themselves, of those ``kinds``; by model, then by alias."""
    of_a_model = ("faults", "p99", "start-failures", "latency-band")
    names = [model_alarm_name(stage, model, kind) for kind in of_a_model if kind in kinds]
    of_an_alias = ("user-pain", "errors", "throttles", "no-traffic", "traffic-band")
    names += [
        alias_alarm_name(stage, model, alias, kind)
        for alias in aliases
        for kind in of_an_alias
        if kind in kinds
    ]
    return (*names, cannot_answer_alarm_name(stage, model))


def marked_charts(stage: str, model: str) -> list[Widget]:
    """What is drawn once more, by us, with marks in it: where a move shows first."""

    def by_version(name: str, statistic: str) -> Row:
        return _by_version(stage, model, name, statistic)

    return [
        chart("Traffic by version", [by_version(INVOCATIONS_METRIC, "Sum")], "Requests", stacked=True),
        chart("Latency, p99", [by_version(LATENCY_METRIC, "p99")], "Milliseconds"),
        chart("Server faults by version", [by_version(FAULTS_METRIC, "Sum")], "Count"),
    ]


def model_board(shown: Shown, *, region: str, alarm_arn: str, marks_arn: str) -> dict[str, Any]:
    """The page of one model. ``alarm_arn`` is what stands before the name of an alarm in its ARN.

    ``marks_arn`` is the function that marks moves. It is told the model and nothing that changes (law 4).
    """
    ours = metrics_namespace(shown.stage)
    function = function_name(shown.stage, shown.model)

    def by_version(name: str, statistic: str) -> Row:
        return _by_version(shown.stage, shown.model, name, statistic)

    def by_version_named(name: str, statistic: str) -> Row:
        row = by_version(name, statistic)
        row[0]["label"] = f"{name} v${{PROP('Dim.version')}}"
        return row

    def by_alias(name: str, statistic: str) -> list[Row]:
        return [
            _metric(LAMBDA, name, statistic, alias, FunctionName=function, Resource=f"{function}:{alias}")
            for alias in shown.aliases
        ]

    charts = [
        chart("Traffic by version", [by_version(INVOCATIONS_METRIC, "Sum")], "Requests", stacked=True),
        chart("Latency, median", [by_version(LATENCY_METRIC, "p50")], "Milliseconds"),
        chart("Latency, p95", [by_version(LATENCY_METRIC, "p95")], "Milliseconds"),
        chart("Latency, p99", [by_version(LATENCY_METRIC, "p99")], "Milliseconds"),
        chart("Server faults by version", [by_version(FAULTS_METRIC, "Sum")], "Count"),
        chart("Failed invocations by alias", by_alias("Errors", "Sum"), "Count"),
        chart(
            "Cold starts by version, and failed starts",
            [
                by_version(COLD_STARTS_METRIC, "Sum"),
                _metric(ours, START_FAILURES_METRIC, "Sum", "failed", model=shown.model),
            ],
            "Count",
        ),
        chart("Throttled calls by alias", by_alias("Throttles", "Sum"), "Count"),
        chart(
            "Requests answered at once",
            [_metric(LAMBDA, "ConcurrentExecutions", "Maximum", "most", FunctionName=function)],
            "Count",
        ),
        chart("Cost of 1000 requests", _cost_rows(shown.cost, function), "US dollars"),
        chart(
            "Drift of inputs by version",
            [
                by_version_named(DRIFT_PSI_METRIC, "Maximum"),
                by_version_named(DRIFT_KS_METRIC, "Maximum"),
                by_version_named(CATEGORY_SHIFT_METRIC, "Maximum"),
            ],
            "Distance",
        ),
        chart("Drift of outputs by version", [by_version(OUTPUT_DRIFT_METRIC, "Maximum")], "Distance"),
        chart(
            "Missing and out of range, accuracy",
            [
                by_version_named(MISSING_RATE_METRIC, "Maximum"),
                by_version_named(OUT_OF_RANGE_RATE_METRIC, "Maximum"),
                by_version_named(ACCURACY_METRIC, "Average"),
            ],
            "Share",
        ),
    ]
    return page(
        f"# {shown.model}, stage {shown.stage}\n`yard status {shown.model}` says what is live and why; "
        f"`yard dash {shown.model} --out page.html` draws this page.",
        charts,
        [f"{alarm_arn}{name}" for name in shown.alarms],
        region=region,
        moves=_moves_widget(marks_arn, shown.model),
    )


def fleet_board(stage: str, models: Sequence[Shown], *, region: str, alarm_arn: str) -> dict[str, Any]:
    """The page of all models: by model, and their pains."""
    ours = metrics_namespace(stage)

    def by_model(name: str, statistic: str) -> Row:
        return _search(f'{{{ours},model}} MetricName="{name}"', statistic, "${PROP('Dim.model')}")

    def by_function(name: str, statistic: str) -> list[Row]:
        functions = {one.model: function_name(stage, one.model) for one in models}
        return [
            _metric(LAMBDA, name, statistic, model, FunctionName=function)
            for model, function in functions.items()
        ]

    charts = [
        chart("Requests by model", [by_model(INVOCATIONS_METRIC, "Sum")], "Requests", stacked=True),
        chart("Latency, p99", [by_model(LATENCY_METRIC, "p99")], "Milliseconds"),
        chart("Server faults by model", [by_model(FAULTS_METRIC, "Sum")], "Count"),
        chart("Failed invocations by model", by_function("Errors", "Sum"), "Count"),
        chart("Throttled calls by model", by_function("Throttles", "Sum"), "Count"),
        chart("Cold starts by model", [by_model(COLD_STARTS_METRIC, "Sum")], "Count"),
        chart("Requests answered at once", by_function("ConcurrentExecutions", "Maximum"), "Count"),
    ]
    pains = [name for one in models for name in one.alarms if name.endswith(("/user-pain", "/cannot-answer"))]
    said = f"# Stage {stage}\n{len(models)} models; each has its own page: `yard dash NAME --out page.html`."
    return page(said, charts, [f"{alarm_arn}{name}" for name in pains], region=region)


def page(
    said: str,
    charts: Sequence[Widget],
    alarms: Sequence[str],
    *,
    region: str,
    moves: Widget | None = None,
) -> dict[str, Any]:
    """Lay widgets out: words across, then alarms and moves if there are any, charts three to a line."""
    placed: list[Widget] = [_at(0, 0, 24, 2, {"type": "text", "properties": {"markdown": said}})]
    y = 2
    if alarms:
        # Source: "Dashboard body structure": an alarm widget shows at most 100 alarms.
        named = {"title": "Alarms", "alarms": list(alarms)[:100]}
        placed.append(_at(0, y, 24, 3, {"type": "alarm", "properties": named}))
        y += 3
    if moves is not None:
        placed.append(_at(0, y, 24, MOVES_HEIGHT, moves))
        y += MOVES_HEIGHT
    for number, drawn in enumerate(charts):
        widget = {**drawn, "properties": {**drawn["properties"], "region": region}}
        x = number % ACROSS * WIDTH
        placed.append(_at(x, y + number // ACROSS * HEIGHT, WIDTH, HEIGHT, widget))
    return {"start": "-PT3H", "widgets": placed}


def chart(title: str, rows: Sequence[Row], axis: Axis, *, stacked: bool = False) -> Widget:
    """A chart over time; ids are numbered where a row has none."""
    for number, row in enumerate(rows):
        row[-1].setdefault("id", f"q{number}")
    return {
        "type": "metric",
        "properties": {
            "title": title,
            "view": "timeSeries",
            "stacked": stacked,
            "period": 60,
            "metrics": list(rows),
            "yAxis": {"left": {"label": axis, "showUnits": False, "min": 0}},
        },
    }


def _moves_widget(marks_arn: str, model: str) -> Widget:
    """Asked anew at each refresh and for each range of time. Source: what CDK's ``CustomWidget`` writes."""
    return {
        "type": "custom",
        "properties": {
            "title": MOVES,
            "endpoint": marks_arn,
            "params": {"model": model},
            "updateOn": {"refresh": True, "resize": False, "timeRange": True},
        },
    }


def _at(x: int, y: int, width: int, height: int, widget: Widget) -> Widget:
    return {"x": x, "y": y, "width": width, "height": height, **widget}


def _metric(namespace: str, name: str, statistic: str, label: str, /, **dimensions: str) -> Row:
    listed = [part for pair in dimensions.items() for part in pair]
    return [namespace, name, *listed, {"stat": statistic, "label": label}]


def _by_version(stage: str, model: str, name: str, statistic: str) -> Row:
    search = f'{{{metrics_namespace(stage)},model,version}} MetricName="{name}" model="{model}"'
    return _search(search, statistic, "v${PROP('Dim.version')}")


def _search(terms: str, statistic: str, label: str) -> Row:
    return [{"expression": f"SEARCH('{terms}', '{statistic}')", "label": label}]


def _cost_rows(cost: Cost, function: str) -> list[Row]:
    """Milliseconds that ran and calls, at list prices; machines that wait are shared by who called."""
    hidden: Mapping[str, Any] = {"visible": False, "stat": "Sum"}
    spent = f"ran / 1000 * {cost.second:.12f} + calls * {cost.call:.12f}"
    if cost.fixed_hour:
        spent += f" + PERIOD(calls) / 3600 * {cost.fixed_hour:.6f}"
    return [
        [LAMBDA, "Duration", "FunctionName", function, {"id": "ran", **hidden}],
        [LAMBDA, "Invocations", "FunctionName", function, {"id": "calls", **hidden}],
        [{"id": "cost", "label": "dollars", "expression": f"1000 * ({spent}) / calls"}],
    ]
