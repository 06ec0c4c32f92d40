"""CloudWatch Logs through boto3: ``telemetry.ports.Lines``.

Insights answers what has an order (the newest, the slowest) without reading everything here; it costs by the
bytes it scans and sees a line some seconds after it was written. ``FilterLogEvents`` follows.
Source: CloudWatch Logs user guide, "CloudWatch Logs Insights language query syntax", and API reference.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3

from releases.adapters.translated import CONFIG, translated
from releases.errors import NotDeployedError, ServiceError
from telemetry.ports import FAILURES, NOISE, Line, Wanted
from telemetry.reading import read_line

PATIENCE_S = 60.0
_PAUSE_S = 0.25
_MOST_PAGES = 10
_RUNNING = frozenset({"Scheduled", "Running"})


class CloudWatchLines:
    """``telemetry.ports.Lines`` on CloudWatch Logs."""

    def __init__(self, client: Any = None, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._logs: Any = client or boto3.client("logs", config=CONFIG)
        self._sleep = sleep

    def newest(self, group: str, wanted: Wanted, *, since: float, until: float, most: int) -> list[Line]:
        query = f"{_asked(wanted)} | sort @timestamp desc | limit {most}"
        return self._query(group, query, since, until, wanted)[::-1]

    def slowest(self, group: str, wanted: Wanted, *, since: float, until: float, most: int) -> list[Line]:
        query = f"{_asked(wanted)} | filter ispresent(Latency) | sort Latency desc | limit {most}"
        return self._query(group, query, since, until, wanted)

    def after(self, group: str, wanted: Wanted, *, since: float, most: int) -> list[Line]:
        asked: dict[str, Any] = {"logGroupName": group, "startTime": round(since * 1000)}
        if wanted.version is not None and not wanted.errors:
            asked["filterPattern"] = f'{{ $.version = "{wanted.version}" }}'
        found: list[Line] = []
        try:
            with translated(f"the log `{group}`"):
                pages = self._logs.get_paginator("filter_log_events").paginate(**asked)
                for _, page in zip(range(_MOST_PAGES), pages, strict=False):
                    read = (
                        read_line(
                            event["timestamp"] / 1000,
                            event["eventId"],
                            event.get("logStreamName", ""),
                            event["message"],
                        )
                        for event in page["events"]
                    )
                    found += (line for line in read if wanted.admits(line))
                    if len(found) >= most:
                        break
        except NotDeployedError:
            return []
        return found[:most]

    def _query(self, group: str, query: str, since: float, until: float, wanted: Wanted) -> list[Line]:
        try:
            with translated(f"the log `{group}`"):
                started = self._logs.start_query(
                    logGroupName=group, startTime=int(since), endTime=int(until) + 1, queryString=query
                )
        except NotDeployedError:
            return []
        lines = (_line(row) for row in self._results(group, started["queryId"]))
        return [line for line in lines if wanted.admits(line)]

    def _results(self, group: str, query: str) -> list[list[dict[str, str]]]:
        """Wait for the answer. Raises ``ServiceError`` if there is none in a minute."""
        end = time.monotonic() + PATIENCE_S
        while True:
            with translated(f"the log `{group}`"):
                answer = self._logs.get_query_results(queryId=query)
            if answer["status"] == "Complete":
                return list(answer["results"])
            if answer["status"] not in _RUNNING or time.monotonic() > end:
                raise ServiceError(
                    f"the query of the log `{group}` is {answer['status']} and has no answer",
                    hint="Ask for a shorter time, then repeat.",
                )
            self._sleep(_PAUSE_S)


def _asked(wanted: Wanted) -> str:
    """The conditions as Insights has them. Lines that are not ours have no ``status`` and no ``version``."""
    conditions = [f"@message not like /^({'|'.join(NOISE)})/"]
    if wanted.version is not None:
        conditions.append(f'(version = "{wanted.version}" or not ispresent(status))')
    if wanted.alias is not None:
        conditions.append(f'alias = "{wanted.alias}"')
    if wanted.errors:
        words = "|".join(word.replace("[", r"\[").replace("]", r"\]") for word in FAILURES)
        conditions.append(f"(status >= 500 or (not ispresent(status) and @message like /{words}/))")
    return f"fields @timestamp, @message, @logStream | filter {' and '.join(conditions)}"


def _line(row: list[dict[str, str]]) -> Line:
    cells = {cell["field"]: cell["value"] for cell in row}
    at = datetime.strptime(cells["@timestamp"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
    return read_line(at, cells.get("@ptr", ""), cells.get("@logStream", ""), cells["@message"])
