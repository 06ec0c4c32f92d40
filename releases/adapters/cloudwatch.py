"""CloudWatch through boto3: ``releases.ports.Monitoring``. Alarms report to one topic of the stage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import boto3

from releases.adapters.translated import CONFIG, translated
from releases.errors import NotDeployedError
from releases.ports import Alarm, AlarmState, Metric, Statistic

AT_ONCE = 100
"""Most alarms of one DeleteAlarms call. Source: CloudWatch API reference."""


class CloudWatchMonitoring:
    """``releases.ports.Monitoring`` on CloudWatch."""

    def __init__(self, *, topic: str, client: Any = None) -> None:
        self._topic = topic
        self._cloudwatch: Any = client or boto3.client("cloudwatch", config=CONFIG)

    def read(
        self, asked: Sequence[tuple[Metric, Statistic]], *, since: float, until: float, period_s: int
    ) -> list[list[float]]:
        queries: list[Any] = [
            {
                "Id": f"m{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": metric.namespace,
                        "MetricName": metric.name,
                        "Dimensions": _dimensions(metric),
                    },
                    "Period": period_s,
                    "Stat": statistic,
                },
            }
            for number, (metric, statistic) in enumerate(asked)
        ]
        found: dict[str, list[float]] = {query["Id"]: [] for query in queries}
        with translated("the metrics"):
            pages = self._cloudwatch.get_paginator("get_metric_data").paginate(
                MetricDataQueries=queries,
                StartTime=datetime.fromtimestamp(since, UTC),
                EndTime=datetime.fromtimestamp(until, UTC),
                ScanBy="TimestampAscending",
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    found[result["Id"]] += result.get("Values", [])
        return [found[query["Id"]] for query in queries]

    def put_alarm(self, alarm: Alarm) -> None:
        statistic: dict[str, Any] = (
            {"ExtendedStatistic": alarm.statistic}
            if alarm.statistic.startswith("p")
            else {"Statistic": alarm.statistic}
        )
        with translated(f"the alarm `{alarm.name}`"):
            self._cloudwatch.put_metric_alarm(
                AlarmName=alarm.name,
                AlarmDescription=alarm.description,
                AlarmActions=[self._topic],
                Namespace=alarm.metric.namespace,
                MetricName=alarm.metric.name,
                Dimensions=_dimensions(alarm.metric),
                Period=alarm.period_s,
                EvaluationPeriods=alarm.of,
                DatapointsToAlarm=alarm.needed,
                Threshold=alarm.threshold,
                ComparisonOperator="GreaterThanOrEqualToThreshold",
                TreatMissingData="notBreaching",
                **statistic,
            )

    def alarms(self, prefix: str) -> dict[str, AlarmState]:
        with translated("the alarms of a release"):
            pages = self._cloudwatch.get_paginator("describe_alarms").paginate(
                AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"]
            )
            return {
                # An alarm on a band has no threshold of its own.
                alarm["AlarmName"]: AlarmState(
                    alarm["StateValue"] == "ALARM", float(alarm.get("Threshold", 0.0))
                )
                for page in pages
                for alarm in page["MetricAlarms"]
            }

    def delete_alarms(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), AT_ONCE):
            some = list(names[start : start + AT_ONCE])
            try:
                self._delete(some)
            except NotDeployedError:
                # "no alarms are deleted" if one of them is gone already (API reference): one by one.
                for name in some:
                    with suppress(NotDeployedError):
                        self._delete([name])

    def _delete(self, names: list[str]) -> None:
        with translated("the alarms of a release"):
            self._cloudwatch.delete_alarms(AlarmNames=names)

    def rearm(self, name: str, reason: str) -> None:
        with translated(f"the alarm `{name}`"):
            self._cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason=reason)


def _dimensions(metric: Metric) -> list[Any]:
    return [{"Name": name, "Value": value} for name, value in metric.dimensions]
