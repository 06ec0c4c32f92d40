"""What CloudWatch tells a topic: the schemas of its user guide ("Notifying users on alarm changes"), filled in."""

from __future__ import annotations

import json
from typing import Any

ACCOUNT, REGION = "123456789012", "eu-central-1"

SHARE_REASON = (
    "Threshold Crossed: 2 out of the last 3 datapoints [12.5 (22/11/26 16:02:00), 8.25 (22/11/26 16:01:00)] "
    "were greater than the threshold (1.0) (minimum 2 datapoints for OK -> ALARM transition)."
)
BAND_REASON = (
    "Thresholds Crossed: 3 out of the last 3 datapoints [504.0 (22/11/26 16:00:00), 498.0 (22/11/26 15:55:00), "
    "511.0 (22/11/26 15:50:00)] were less than the lower thresholds [90.5, 88.0, 91.0] or greater than the upper "
    "thresholds [130.25, 131.0, 129.0] (minimum 3 datapoints for OK -> ALARM transition)."
)


def arn(name: str) -> str:
    return f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"


def told(name: str, *, state: str = "ALARM", before: str = "OK", reason: str, **more: Any) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "AlarmDescription": "what it is about",
        "AWSAccountId": ACCOUNT,
        "AlarmConfigurationUpdatedTimestamp": "2026-11-22T10:00:00.000+0000",
        "NewStateValue": state,
        "NewStateReason": reason,
        "StateChangeTime": "2026-11-22T16:02:11.640+0000",
        "Region": "EU (Frankfurt)",
        "AlarmArn": arn(name),
        "OldStateValue": before,
        "OKActions": [],
        "AlarmActions": [f"arn:aws:sns:{REGION}:{ACCOUNT}:switchyard-prod-Alarms"],
        "InsufficientDataActions": [],
        **more,
    }


def on_a_release() -> dict[str, Any]:
    """An alarm of the release controller: one version, by Lambda's or our own dimensions."""
    return told(
        "switchyard/prod/digits/live/5f0c2a9be1d44c07/faults",
        reason="Threshold Crossed: 2 out of the last 3 datapoints [7.0 (22/11/26 16:02:00), "
        "4.0 (22/11/26 16:01:00)] were greater than or equal to the threshold (1.0).",
        Trigger={
            "MetricName": "Faults",
            "Namespace": "Switchyard/prod",
            "StatisticType": "Statistic",
            "Statistic": "SUM",
            "Unit": None,
            "Dimensions": [{"value": "4", "name": "version"}, {"value": "digits", "name": "model"}],
            "Period": 60,
            "EvaluationPeriods": 3,
            "DatapointsToAlarm": 2,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "Threshold": 1.0,
            "TreatMissingData": "notBreaching",
            "EvaluateLowSampleCountPercentile": "",
        },
    )


def on_a_band() -> dict[str, Any]:
    metric = {
        "Dimensions": [{"value": "switchyard-prod-digits", "name": "FunctionName"}],
        "MetricName": "Invocations",
        "Namespace": "AWS/Lambda",
    }
    return told(
        "switchyard/prod/digits/Alias/candidate/traffic-band",
        reason=BAND_REASON,
        Trigger={
            "Period": 300,
            "EvaluationPeriods": 3,
            "DatapointsToAlarm": 3,
            "ComparisonOperator": "LessThanLowerOrGreaterThanUpperThreshold",
            "ThresholdMetricId": "band",
            "TreatMissingData": "notBreaching",
            "EvaluateLowSampleCountPercentile": "",
            "Metrics": [
                {
                    "Id": "seen",
                    "MetricStat": {"Metric": metric, "Period": 300, "Stat": "Sum"},
                    "ReturnData": True,
                },
                {"Id": "band", "Expression": "ANOMALY_DETECTION_BAND(seen, 3)", "ReturnData": True},
            ],
        },
    )


def on_pain(*, state: str = "ALARM", before: str = "OK") -> dict[str, Any]:
    """A composite names what set it off, and no numbers."""
    name = "switchyard/prod/digits/Alias/live/user-pain"
    child = arn("switchyard/prod/digits/faults")
    return told(
        name,
        state=state,
        before=before,
        reason=f"{child} transitioned to {state} at Sunday 22 November, 2026 16:02:11 UTC",
        AlarmRule='ALARM("switchyard/prod/digits/faults") OR ALARM("switchyard/prod/digits/p99")',
        TriggeringChildren=[
            {"Arn": child, "State": {"Value": state, "Timestamp": "2026-11-22T16:02:11.640+0000"}}
        ],
    )


def event(*messages: Any) -> dict[str, Any]:
    """What SNS invokes a function with."""
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "Sns": {"Type": "Notification", "Message": one if isinstance(one, str) else json.dumps(one)},
            }
            for one in messages
        ]
    }
