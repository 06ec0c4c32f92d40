"""What a deployed page asks of CloudWatch: its charts, and each chart as queries of GetMetricData."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboards.boards import MOVES
from model_store.contract.errors import SwitchyardError

MOST_POINTS = 300
"""About so many periods a chart; more cannot be told apart on a page."""

_PERIODS = (60, 300, 900, 3_600, 21_600, 86_400)


class PageError(SwitchyardError):
    """This is not a dashboard body that can be drawn here."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment that all charts show, and who made it one and why. ``at`` is seconds since 1970."""

    at: float
    label: str
    by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart over time. ``queries`` are its rows, ``visible`` which of their ids show."""

    title: str
    axis: str
    stacked: bool
    queries: tuple[Mapping[str, Any], ...]
    visible: frozenset[str]
    period_s: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page, in the order in which it is read. What of it is not drawn here is named in ``left_out``.

    ``tells_moves``: who moved an alias when and why is told on it, which nobody asks of CloudWatch.
    """

    words: tuple[str, ...]
    charts: tuple[Chart, ...]
    alarms: tuple[str, ...]
    left_out: tuple[str, ...] = field(default=())
    tells_moves: bool = False


def read(body: str, *, span_s: float) -> Page:
    """Read a dashboard body for a page of the last ``span_s`` seconds. Raises ``PageError``."""
    try:
        widgets = json.loads(body)["widgets"]
        words, charts, alarms, left_out = [], [], [], []
        tells_moves = False
        for widget in sorted(widgets, key=lambda one: (one.get("y", 0), one.get("x", 0))):
            properties = widget["properties"]
            if widget["type"] == "text":
                words.append(str(properties["markdown"]))
            elif widget["type"] == "alarm":
                alarms += [str(arn).rpartition(":alarm:")[2] for arn in properties["alarms"]]
            elif widget["type"] == "metric" and properties.get("view", "timeSeries") == "timeSeries":
                charts.append(_chart(properties, span_s))
            elif widget["type"] == "custom" and properties.get("title") == MOVES:
                tells_moves = True
            else:
                left_out.append(f"{widget['type']} `{properties.get('title', '')}`")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise PageError(
            f"the dashboard cannot be read: {type(error).__name__} at {error}",
            hint="Deploy again: `cdk deploy` puts the page back as the stacks have it.",
        ) from error
    return Page(tuple(words), tuple(charts), tuple(alarms), tuple(left_out), tells_moves)


def asked_by(widgets: Sequence[Mapping[str, Any]], *, span_s: float) -> tuple[Chart, ...]:
    """What charts of ours ask of CloudWatch, for the last ``span_s`` seconds."""
    return tuple(_chart(widget["properties"], span_s) for widget in widgets)


def period_for(span_s: float, least: int) -> int:
    """The shortest period, in seconds, with which a chart of that span can still be read."""
    wanted = max(least, math.ceil(span_s / MOST_POINTS))
    return next((period for period in _PERIODS if period >= wanted), _PERIODS[-1])


def _chart(properties: Mapping[str, Any], span_s: float) -> Chart:
    period_s = period_for(span_s, int(properties.get("period", 60)))
    rows = [_row(row, properties, period_s, number) for number, row in enumerate(properties["metrics"])]
    left = (properties.get("yAxis") or {}).get("left") or {}
    return Chart(
        title=str(properties.get("title", "")),
        axis=str(left.get("label", "")),
        stacked=bool(properties.get("stacked")),
        queries=tuple(query for query, _ in rows),
        visible=frozenset(str(query["Id"]) for query, visible in rows if visible),
        period_s=period_s,
    )


def _row(
    row: list[Any], properties: Mapping[str, Any], period_s: int, number: int
) -> tuple[dict[str, Any], bool]:
    """A row of a chart as a query, and whether it shows."""
    *parts, last = row
    options = last if isinstance(last, dict) else {}
    parts = parts if isinstance(last, dict) else [*parts, last]
    query: dict[str, Any] = {"Id": str(options.get("id", f"q{number}")), "ReturnData": True}
    if "label" in options:
        query["Label"] = options["label"]
    if "expression" in options:
        query |= {"Expression": options["expression"], "Period": period_s}
        return query, options.get("visible", True)
    namespace, name, *pairs = parts
    named = list(_pairs(pairs))
    query["MetricStat"] = {
        "Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": named},
        "Period": period_s,
        "Stat": options.get("stat", properties.get("stat", "Average")),
    }
    visible = options.get("visible", True)
    query["ReturnData"] = visible
    return query, visible


def _pairs(parts: list[Any]) -> Iterator[dict[str, str]]:
    for key, value in zip(parts[::2], parts[1::2], strict=True):
        yield {"Name": str(key), "Value": str(value)}
