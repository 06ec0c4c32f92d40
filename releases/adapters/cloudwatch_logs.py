"""CloudWatch Logs through boto3: ``releases.ports.Journal`` on the log groups of functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3

from releases.adapters.translated import CONFIG, translated
from releases.errors import NotDeployedError

MOST_PAGES = 50
"""A page is what CloudWatch scans at once, a megabyte or so; whoever asks has a terminal open."""


class CloudWatchJournal:
    """``releases.ports.Journal`` on CloudWatch Logs."""

    def __init__(self, client: Any = None) -> None:
        self._logs: Any = client or boto3.client("logs", config=CONFIG)

    def lines(
        self, function: str, wanted: Mapping[str, str | bool], *, since: float, until: float, most: int
    ) -> list[dict[str, Any]]:
        pattern = "{ " + " && ".join(_condition(name, value) for name, value in wanted.items()) + " }"
        found: list[dict[str, Any]] = []
        asked = {
            "logGroupName": f"/aws/lambda/{function}",
            "filterPattern": pattern,
            "startTime": round(since * 1000),
            "endTime": round(until * 1000),
        }
        try:
            with translated(f"the log of `{function}`"):
                pages = self._logs.get_paginator("filter_log_events").paginate(**asked)
                for _, page in zip(range(MOST_PAGES), pages, strict=False):
                    found += (line for event in page["events"] if (line := _read(event["message"], wanted)))
        except NotDeployedError:
            return []
        return found[-most:]


def _condition(name: str, value: str | bool) -> str:
    """Source: CloudWatch Logs user guide, "Filter pattern syntax", on JSON events."""
    if isinstance(value, bool):
        return f"($.{name} IS {'TRUE' if value else 'FALSE'})"
    return f"($.{name} = {json.dumps(value)})"


def _read(message: str, wanted: Mapping[str, str | bool]) -> dict[str, Any] | None:
    """The line if it is what was asked for: a pattern is a hint, and may let others through."""
    try:
        line = json.loads(message)
    except ValueError:
        return None
    if not isinstance(line, dict) or any(line.get(name) != value for name, value in wanted.items()):
        return None
    return line
