"""CloudWatch through boto3: ``dashboards.ports.BoardReader``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dashboards.ports import Line
from model_store.contract.errors import SwitchyardError

CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4})
AT_ONCE = 100
"""Alarms in one DescribeAlarms. Source: CloudWatch API reference."""


class ReadError(SwitchyardError):
    """CloudWatch did not answer, or refused."""


class CloudWatchBoards:
    """Reads, and changes nothing."""

    def __init__(self, client: Any = None) -> None:
        self._cloudwatch: Any = client or boto3.client("cloudwatch", config=CONFIG)

    def body(self, name: str) -> str | None:
        with _translated(f"the dashboard `{name}`"):
            try:
                return str(self._cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
            except ClientError as error:
                if "NotFound" in error.response["Error"]["Code"]:
                    return None
                raise

    def lines(self, queries: Sequence[Mapping[str, Any]], *, since: float, until: float) -> list[Line]:
        found: dict[tuple[str, str], list[tuple[float, float]]] = {}
        with _translated("the metrics"):
            pages = self._cloudwatch.get_paginator("get_metric_data").paginate(
                MetricDataQueries=[dict(query) for query in queries],
                StartTime=datetime.fromtimestamp(since, UTC),
                EndTime=datetime.fromtimestamp(until, UTC),
                ScanBy="TimestampAscending",
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    points = found.setdefault((result["Id"], result.get("Label", "")), [])
                    moments = (at.timestamp() for at in result.get("Timestamps", []))
                    points += zip(moments, result.get("Values", []), strict=True)
        order = {str(query["Id"]): number for number, query in enumerate(queries)}
        return [
            Line(id_, label, tuple(points))
            for (id_, label), points in sorted(found.items(), key=lambda item: order[item[0][0]])
        ]

    def states(self, alarms: Sequence[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        with _translated("the alarms"):
            for start in range(0, len(alarms), AT_ONCE):
                pages = self._cloudwatch.get_paginator("describe_alarms").paginate(
                    AlarmNames=list(alarms[start : start + AT_ONCE]),
                    AlarmTypes=["CompositeAlarm", "MetricAlarm"],
                )
                for page in pages:
                    for alarm in [*page.get("MetricAlarms", []), *page.get("CompositeAlarms", [])]:
                        found[alarm["AlarmName"]] = alarm["StateValue"]
        return found


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise ReadError(
            f"CloudWatch does not give {what}: {error}",
            hint="Check the credentials and the region, and that reading CloudWatch is allowed, then repeat.",
        ) from error
