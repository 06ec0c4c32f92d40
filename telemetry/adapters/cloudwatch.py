"""CloudWatch through boto3: ``telemetry.ports.Numbers``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import boto3

from releases.adapters.translated import CONFIG, translated
from releases.ports import Metric
from telemetry.ports import AlarmSeen, Asked, Point

AT_ONCE = 500
"""Most queries of one GetMetricData call. Source: CloudWatch API reference."""


class CloudWatchNumbers:
    """``telemetry.ports.Numbers`` on CloudWatch."""

    def __init__(self, client: Any = None) -> None:
        self._cloudwatch: Any = client or boto3.client("cloudwatch", config=CONFIG)

    def series(
        self, asked: Sequence[Asked], *, since: float, until: float, period_s: int
    ) -> list[list[Point]]:
        found: list[list[Point]] = []
        for start in range(0, len(asked), AT_ONCE):
            found += self._read(asked[start : start + AT_ONCE], since, until, period_s)
        return found

    def _read(
        self, asked: Sequence[Asked], since: float, until: float, period_s: int
    ) -> Iterator[list[Point]]:
        queries = [
            {
                "Id": f"m{number}",
                "MetricStat": {"Metric": _metric(metric), "Period": period_s, "Stat": statistic},
            }
            for number, (metric, statistic) in enumerate(asked)
        ]
        found: dict[str, list[Point]] = {str(query["Id"]): [] for query in queries}
        with translated("the metrics"):
            pages = self._cloudwatch.get_paginator("get_metric_data").paginate(
                MetricDataQueries=queries,
                StartTime=datetime.fromtimestamp(since, UTC),
                EndTime=datetime.fromtimestamp(until, UTC),
                ScanBy="TimestampAscending",
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    times = (at.timestamp() for at in result.get("Timestamps", []))
                    found[result["Id"]] += map(Point, times, result.get("Values", []))
        return iter(found.values())

    def counted(self, namespace: str, name: str) -> list[dict[str, str]]:
        with translated("the metrics"):
            pages = self._cloudwatch.get_paginator("list_metrics").paginate(
                Namespace=namespace, MetricName=name
            )
            return [
                {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}
                for page in pages
                for metric in page["Metrics"]
            ]

    def alarms(self, prefix: str, *, only_firing: bool = False) -> list[AlarmSeen]:
        asked: dict[str, Any] = {"AlarmNamePrefix": prefix, "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
        if only_firing:
            asked["StateValue"] = "ALARM"
        with translated("the alarms"):
            pages = self._cloudwatch.get_paginator("describe_alarms").paginate(**asked)
            found = [
                AlarmSeen(
                    name=alarm["AlarmName"],
                    state=alarm["StateValue"],
                    since=alarm["StateUpdatedTimestamp"].timestamp(),
                    description=alarm.get("AlarmDescription", ""),
                    reason=alarm.get("StateReason", ""),
                    tells=bool(alarm.get("AlarmActions")),
                )
                for page in pages
                for alarm in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ()))
            ]
        return sorted(found, key=lambda alarm: alarm.name)


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
    }
