"""Alarms that look at their own metric, period by period, on a clock.

Stock: dimensions, ``DatapointsToAlarm`` and ``TreatMissingData`` are ignored; all points since the first
period make one value; alarms are looked at only when somebody puts data; no events.
AWS: CloudWatch user guide, "Alarm evaluation" (M out of N; the evaluation range is longer than N) and
"Configuring how CloudWatch alarms treat missing data" (the tables of both examples, and alarms that avoid
going off prematurely); "Alarm events and EventBridge" (``CloudWatch Alarm State Change``); API reference of
PutMetricAlarm: 10 and 30 seconds only make sense for a metric of ``StorageResolution`` 1, else "it does not
receive data for the attempts that do not correspond to a one-minute data resolution". A period counts when it
is over. Periods begin on the clock; one of several minutes slides by the minute.

``bad_day.minute_s`` says how long a minute lasts, so that a test need not wait for one.
"""

from __future__ import annotations

import json
import math
import threading
import time
from datetime import UTC, datetime
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import cloudwatch, eventbridge

from local_cloud.extension import bad_day, metrics
from local_cloud.extension.judgement import judge

LOOK_BACK = 2
"""So many periods more than ``EvaluationPeriods`` are looked at, for real points instead of missing ones."""

_TICKS_A_MINUTE = 60
_SHORTEST_TICK_S = 0.05

_BREACHES = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
_WORDS = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}

_lock = threading.RLock()
_stock_dispatch_alarm_actions = cloudwatch._dispatch_alarm_actions


def _evaluate(alarm: dict[str, Any]) -> None:
    operator = alarm.get("ComparisonOperator")
    if not alarm.get("Namespace") or not alarm.get("MetricName") or operator not in _BREACHES:
        return
    with _lock:
        values = _values(alarm, time.time())
        threshold = float(alarm.get("Threshold") or 0)
        of = int(alarm.get("EvaluationPeriods") or 1)
        state = judge(
            [None if value is None else _BREACHES[operator](value, threshold) for _, value in values],
            of=of,
            needed=int(alarm.get("DatapointsToAlarm") or of),
            missing=alarm.get("TreatMissingData") or "missing",
            now=alarm["StateValue"],
        )
        if state != alarm["StateValue"] and cloudwatch._alarms.get(alarm["AlarmName"]) is alarm:
            _transition(alarm, state, values)


def _values(alarm: dict[str, Any], now: float) -> list[tuple[float, float | None]]:
    """The start and the value of each period looked at, oldest first."""
    minute = bad_day.today().minute_s
    seconds = int(alarm.get("Period") or 60)
    period = seconds * minute / 60
    step = min(period, minute)
    end = math.floor(now / step + 1e-6) * step
    count = int(alarm.get("EvaluationPeriods") or 1) + LOOK_BACK
    begin = end - count * period
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    groups: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    for point in _points(alarm):
        at = point["Timestamp"]
        if seconds < 60 and not point.get("_fine"):
            at = math.floor(at / minute) * minute
        index = math.floor((at - begin) / period + 1e-6)
        if 0 <= index < count:
            groups[index].append(point)
    return [
        (
            begin + index * period,
            cloudwatch._stat_value(cloudwatch._calc_stats(group), statistic, group) if group else None,
        )
        for index, group in enumerate(groups)
    ]


def _points(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    dimensions = alarm.get("Dimensions") or []
    named = dimensions if isinstance(dimensions, dict) else cloudwatch._dims_from_list(dimensions)
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(named))
    unit = alarm.get("Unit")
    return [point for point in list(cloudwatch._metrics.get(key) or []) if unit in (None, "", point["Unit"])]


def _transition(alarm: dict[str, Any], state: str, values: list[tuple[float, float | None]]) -> None:
    before, reason, data = alarm["StateValue"], _reason(alarm, state, values), _reason_data(alarm, values)
    now = int(time.time())
    alarm.update(StateValue=state, StateReason=reason, StateReasonData=data, StateUpdatedTimestamp=now)
    alarm["StateTransitionedTimestamp"] = now
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _reason(alarm: dict[str, Any], state: str, values: list[tuple[float, float | None]]) -> str:
    of = int(alarm.get("EvaluationPeriods") or 1)
    known = [(at, value) for at, value in values if value is not None][-of:]
    if not known:
        return (
            f"{'Insufficient Data' if state == 'INSUFFICIENT_DATA' else 'Threshold Crossed'}: "
            f"no datapoints were received for {of} period{'s' if of > 1 else ''}"
        )
    threshold, operator = float(alarm.get("Threshold") or 0), str(alarm["ComparisonOperator"])
    breaching = [entry for entry in known if _BREACHES[operator](entry[1], threshold)]
    shown = breaching if state == "ALARM" and breaching else known
    listed = ", ".join(
        f"{value} ({datetime.fromtimestamp(at, UTC):%d/%m/%y %H:%M:%S})" for at, value in reversed(shown)
    )
    verb = "was" if state == "ALARM" else "was not"
    plural = "s" if len(shown) > 1 else ""
    return (
        f"Threshold Crossed: {len(shown)} out of the last {of} datapoint{plural} [{listed}] {verb} "
        f"{_WORDS[operator]} the threshold ({threshold})"
    )


def _reason_data(alarm: dict[str, Any], values: list[tuple[float, float | None]]) -> str:
    return json.dumps(
        {
            "version": "1.0",
            "queryDate": _iso(time.time()),
            "startDate": _iso(values[0][0]),
            "statistic": alarm.get("ExtendedStatistic") or alarm.get("Statistic"),
            "period": alarm.get("Period"),
            "recentDatapoints": [value for _, value in values if value is not None],
            "threshold": alarm.get("Threshold"),
        }
    )


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _dispatch_alarm_actions(alarm: dict[str, Any], before: str, state: str, reason: str) -> None:
    _stock_dispatch_alarm_actions(alarm, before, state, reason)
    now = {"value": state, "reason": reason, "timestamp": _iso(time.time())}
    if alarm.get("StateReasonData"):
        now["reasonData"] = alarm["StateReasonData"]
    detail = {
        "alarmName": alarm["AlarmName"],
        "state": now,
        "previousState": {"value": before},
        "configuration": _configuration(alarm),
    }
    entry = {
        "Source": "aws.cloudwatch",
        "DetailType": "CloudWatch Alarm State Change",
        "Detail": json.dumps(detail),
        "Resources": [alarm.get("AlarmArn", "")],
    }
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def _configuration(alarm: dict[str, Any]) -> dict[str, Any]:
    if not alarm.get("MetricName"):
        return {"alarmRule": alarm.get("AlarmRule", "")}
    dimensions = alarm.get("Dimensions") or []
    named = dimensions if isinstance(dimensions, dict) else cloudwatch._dims_from_list(dimensions)
    metric = {"namespace": alarm["Namespace"], "name": alarm["MetricName"], "dimensions": named}
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    return {
        "description": alarm.get("AlarmDescription") or "",
        "metrics": [
            {
                "id": "m1",
                "metricStat": {"metric": metric, "period": alarm.get("Period"), "stat": statistic},
                "returnData": True,
            }
        ],
    }


def _watch() -> None:
    while True:
        tick = 1.0
        metrics.deliver_late_points()
        for account, region in sorted({key[:2] for key in list(cloudwatch._alarms.to_dict())}):
            with request_scope(account, region):
                tick = min(tick, bad_day.today().minute_s / _TICKS_A_MINUTE)
                cloudwatch._evaluate_all_alarms()
        time.sleep(max(_SHORTEST_TICK_S, tick))


def install() -> None:
    """Replace how alarms are evaluated, do it on a timer, and tell EventBridge."""
    cloudwatch._evaluate_alarm = _evaluate
    cloudwatch._dispatch_alarm_actions = _dispatch_alarm_actions
    threading.Thread(target=_watch, name="alarms", daemon=True).start()
