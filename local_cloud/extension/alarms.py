"""Alarms that look at their own metric, or at an expression, period by period, on a clock.

Stock: dimensions, ``DatapointsToAlarm`` and ``TreatMissingData`` are ignored; all points since the first
period make one value; alarms are looked at only when somebody puts data; no events; ``Metrics`` and
``ThresholdMetricId`` are dropped, so neither math nor a band is ever judged; a message to a topic lacks most
of what AWS's says. Composite alarms are stock's own, told of every change here.
AWS: CloudWatch user guide, "Alarm evaluation" (M out of N; the evaluation range is longer than N) and
"Configuring how CloudWatch alarms treat missing data" (the tables of both examples, and alarms that avoid
going off prematurely); "Alarm events and EventBridge" (``CloudWatch Alarm State Change``); API reference of
PutMetricAlarm: 10 and 30 seconds only make sense for a metric of ``StorageResolution`` 1, else "it does not
receive data for the attempts that do not correspond to a one-minute data resolution". A period counts when it
is over. Periods begin on the clock; one of several minutes slides by the minute. "Using metric math" and
"Using CloudWatch anomaly detection": exactly one query of ``Metrics`` returns data, besides the band that
``ThresholdMetricId`` names; a band is worked out from what was before the periods looked at (``anomalies``).
"Notifying users on alarm changes": the schemas of what a topic is told.

``bad_day.minute_s`` says how long a minute lasts, so that a test need not wait for one.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import cloudwatch, eventbridge, sns
from ministack.services.cloudformation import provisioners

from local_cloud.extension import bad_day, metric_data, metrics
from local_cloud.extension.judgement import judge
from local_cloud.extension.metric_math import MathError, every

Edges = tuple[float, float]
"""The threshold twice, or the lower and the upper edge of a band."""

LOOK_BACK = 2
"""So many periods more than ``EvaluationPeriods`` are looked at, for real points instead of missing ones."""

_TICKS_A_MINUTE = 60
_SHORTEST_TICK_S = 0.05

_BREACHES: dict[str, Callable[[float, Edges], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, edges: value >= edges[1],
    "GreaterThanThreshold": lambda value, edges: value > edges[1],
    "LessThanThreshold": lambda value, edges: value < edges[0],
    "LessThanOrEqualToThreshold": lambda value, edges: value <= edges[0],
    "GreaterThanUpperThreshold": lambda value, edges: value > edges[1],
    "LessThanLowerThreshold": lambda value, edges: value < edges[0],
    "LessThanLowerOrGreaterThanUpperThreshold": lambda value, edges: not edges[0] <= value <= edges[1],
}
_WORDS = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
    "GreaterThanUpperThreshold": "greater than the upper thresholds [{high}]",
    "LessThanLowerThreshold": "less than the lower thresholds [{low}]",
    "LessThanLowerOrGreaterThanUpperThreshold": "less than the lower thresholds [{low}] or greater than the "
    "upper thresholds [{high}]",
}
_PLACES = {
    "us-east-1": "US East (N. Virginia)",
    "eu-central-1": "EU (Frankfurt)",
    "eu-west-1": "EU (Ireland)",
}
"""How a message to a topic writes a region; any other stays as it is here."""

_lock = threading.RLock()
_stock_put_metric_alarm = cloudwatch._put_metric_alarm
_stock_alarm_record = provisioners._cw_metric_alarm_record


@dataclass(frozen=True)
class Looked:
    """One period of an alarm: its start, its value, and between what it is expected."""

    at: float
    value: float | None
    edges: Edges

    def breaching(self, operator: str) -> bool | None:
        return None if self.value is None else _BREACHES[operator](self.value, self.edges)


def _evaluate(alarm: dict[str, Any]) -> None:
    operator = str(alarm.get("ComparisonOperator"))
    about = alarm.get("Metrics") or (alarm.get("Namespace") and alarm.get("MetricName"))
    if not about or operator not in _BREACHES:
        return
    with _lock:
        values = _looked_at(alarm, time.time())
        of = int(alarm.get("EvaluationPeriods") or 1)
        state = judge(
            [one.breaching(operator) for one in values],
            of=of,
            needed=int(alarm.get("DatapointsToAlarm") or of),
            missing=alarm.get("TreatMissingData") or "missing",
            now=alarm["StateValue"],
        )
        if state != alarm["StateValue"] and cloudwatch._alarms.get(alarm["AlarmName"]) is alarm:
            _transition(alarm, state, values)


def _looked_at(alarm: dict[str, Any], now: float) -> list[Looked]:
    """Each period looked at, oldest first."""
    minute = bad_day.today().minute_s
    seconds = _period(alarm)
    period = seconds * minute / 60
    step = min(period, minute)
    end = math.floor(now / step + 1e-6) * step
    count = int(alarm.get("EvaluationPeriods") or 1) + LOOK_BACK
    begin = end - count * period
    if alarm.get("Metrics"):
        return _worked_out(alarm, begin, period, count)
    threshold = float(alarm.get("Threshold") or 0)
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
        Looked(begin + index * period, metric_data.value_of(group, statistic), (threshold, threshold))
        for index, group in enumerate(groups)
    ]


def _period(alarm: dict[str, Any]) -> int:
    asked = [query for query in alarm.get("Metrics") or [] if query.get("MetricStat")]
    if asked:
        return max(int(query["MetricStat"]["Period"]) for query in asked)
    return int(alarm.get("Period") or 60)


def _points(alarm: dict[str, Any]) -> metric_data.Points:
    return metric_data.points_of(alarm, alarm.get("Unit"))


def _worked_out(alarm: dict[str, Any], begin: float, period: float, count: int) -> list[Looked]:
    """The periods of an alarm on math or on a band."""
    stretch = period / _period(alarm)
    # A period that slides by the minute does not begin where the clock's does: the grid is moved to zero.
    shift = begin % period
    queries = _Shifted(
        alarm["Metrics"],
        begin=begin - shift,
        end=begin - shift + count * period,
        stretch=stretch,
        trained_until=begin - shift,
    )
    queries.shift = shift
    band = alarm.get("ThresholdMetricId")
    returned = [
        query["Id"]
        for query in alarm["Metrics"]
        if query.get("ReturnData", True) is not False and query["Id"] != band
    ]
    try:
        found = every(queries.named(str(returned[0])))[0].points if returned else {}
        edges = every(queries.named(str(band))) if band else []
    except MathError:
        return [Looked(begin + index * period, None, (0.0, 0.0)) for index in range(count)]
    threshold = float(alarm.get("Threshold") or 0)
    looked = []
    for at in queries.moments:
        value: float | None = found.get(at)
        between = (threshold, threshold)
        if band:
            known = len(edges) == 2 and at in edges[0].points
            # Nothing is expected yet, so nothing can be unexpected: as on AWS, there is no datapoint.
            value = value if known else None
            between = (edges[0].points[at], edges[1].points[at]) if known else (0.0, 0.0)
        looked.append(Looked(at + shift, value, between))
    return looked


class _Shifted(metric_data.Queries):
    """Queries whose periods begin ``shift`` seconds after the clock's."""

    shift = 0.0

    def _points_of(self, metric: Mapping[str, Any], unit: str | None) -> metric_data.Points:
        found = super()._points_of(metric, unit)
        return [{**point, "Timestamp": point["Timestamp"] - self.shift} for point in found]


def _transition(alarm: dict[str, Any], state: str, values: list[Looked]) -> None:
    before, reason, data = alarm["StateValue"], _reason(alarm, state, values), _reason_data(alarm, values)
    now = int(time.time())
    alarm.update(StateValue=state, StateReason=reason, StateReasonData=data, StateUpdatedTimestamp=now)
    alarm["StateTransitionedTimestamp"] = now
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _reason(alarm: dict[str, Any], state: str, values: list[Looked]) -> str:
    of = int(alarm.get("EvaluationPeriods") or 1)
    known = [one for one in values if one.value is not None][-of:]
    if not known:
        return (
            f"{'Insufficient Data' if state == 'INSUFFICIENT_DATA' else 'Threshold Crossed'}: "
            f"no datapoints were received for {of} period{'s' if of > 1 else ''}"
        )
    operator = str(alarm["ComparisonOperator"])
    breaching = [one for one in known if one.breaching(operator)]
    shown = breaching if state == "ALARM" and breaching else known
    listed = ", ".join(
        f"{one.value} ({datetime.fromtimestamp(one.at, UTC):%d/%m/%y %H:%M:%S})" for one in reversed(shown)
    )
    verb = "was" if state == "ALARM" else "was not"
    plural = "s" if len(shown) > 1 else ""
    low, high = (", ".join(str(one.edges[side]) for one in reversed(shown)) for side in (0, 1))
    words = _WORDS[operator].format(low=low, high=high)
    if not alarm.get("ThresholdMetricId"):
        words += f" the threshold ({float(alarm.get('Threshold') or 0)})"
    return f"Threshold Crossed: {len(shown)} out of the last {of} datapoint{plural} [{listed}] {verb} {words}"


def _reason_data(alarm: dict[str, Any], values: list[Looked]) -> str:
    return json.dumps(
        {
            "version": "1.0",
            "queryDate": _iso(time.time()),
            "startDate": _iso(values[0].at),
            "statistic": alarm.get("ExtendedStatistic") or alarm.get("Statistic"),
            "period": _period(alarm),
            "recentDatapoints": [one.value for one in values if one.value is not None],
            "threshold": alarm.get("Threshold"),
        }
    )


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


_LISTS = {
    "ALARM": "AlarmActions",
    "OK": "OKActions",
    "INSUFFICIENT_DATA": "InsufficientDataActions",
}


def _dispatch_alarm_actions(alarm: dict[str, Any], before: str, state: str, reason: str) -> None:
    topics = [action for action in alarm.get(_LISTS[state]) or [] if cloudwatch._is_sns_action_arn(action)]
    if topics and alarm.get("ActionsEnabled", True):
        place = _PLACES.get(cloudwatch.get_region(), cloudwatch.get_region())
        message = json.dumps(_message(alarm, before, state, reason, place))
        subject = f'{state}: "{alarm["AlarmName"]}" in {place}'[:100]
        for topic in topics:
            sns._fanout(topic, cloudwatch.new_uuid(), message, subject)
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


def _message(alarm: dict[str, Any], before: str, state: str, reason: str, place: str) -> dict[str, Any]:
    """What a topic is told, as AWS writes it."""
    said = {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": cloudwatch.get_account_id(),
        "NewStateValue": state,
        "NewStateReason": reason,
        "StateChangeTime": _iso(time.time()),
        "Region": place,
        "AlarmArn": alarm.get("AlarmArn", ""),
        "OldStateValue": before,
        **{name: alarm.get(name) or [] for name in sorted(_LISTS.values())},
    }
    if alarm.get("AlarmRule"):
        children = json.loads(alarm.get("StateReasonData") or "{}").get("triggeringAlarms", [])
        triggering = [
            {"Arn": child["arn"], "State": {key.title(): value for key, value in child["state"].items()}}
            for child in children
        ]
        return {**said, "AlarmRule": alarm["AlarmRule"], "TriggeringChildren": triggering}
    trigger = {
        "Period": _period(alarm),
        "EvaluationPeriods": alarm.get("EvaluationPeriods", 1),
        "DatapointsToAlarm": alarm.get("DatapointsToAlarm") or alarm.get("EvaluationPeriods", 1),
        "ComparisonOperator": alarm.get("ComparisonOperator", ""),
        "TreatMissingData": alarm.get("TreatMissingData", "missing"),
        "EvaluateLowSampleCountPercentile": "",
    }
    if alarm.get("Metrics"):
        trigger["Metrics"] = [_told(query) for query in alarm["Metrics"]]
        band = alarm.get("ThresholdMetricId")
        trigger |= {"ThresholdMetricId": band} if band else {"Threshold": alarm.get("Threshold", 0)}
        return {**said, "Trigger": trigger}
    extended = alarm.get("ExtendedStatistic")
    trigger |= {
        "MetricName": alarm["MetricName"],
        "Namespace": alarm["Namespace"],
        "StatisticType": "ExtendedStatistic" if extended else "Statistic",
        **({"ExtendedStatistic": extended} if extended else {"Statistic": str(alarm["Statistic"]).upper()}),
        "Unit": alarm.get("Unit"),
        "Dimensions": _told_dimensions(alarm.get("Dimensions") or []),
        "Threshold": alarm.get("Threshold", 0),
    }
    return {**said, "Trigger": trigger}


def _told(query: dict[str, Any]) -> dict[str, Any]:
    if not query.get("MetricStat"):
        return {**query, "ReturnData": query.get("ReturnData", True)}
    asked = query["MetricStat"]
    metric = {**asked["Metric"], "Dimensions": _told_dimensions(asked["Metric"].get("Dimensions") or [])}
    return {
        **query,
        "MetricStat": {**asked, "Metric": metric},
        "ReturnData": query.get("ReturnData", True),
    }


def _told_dimensions(dimensions: Any) -> list[dict[str, str]]:
    named = dimensions if isinstance(dimensions, dict) else cloudwatch._dims_from_list(dimensions)
    return [{"value": value, "name": name} for name, value in named.items()]


def _configuration(alarm: dict[str, Any]) -> dict[str, Any]:
    if alarm.get("AlarmRule"):
        return {"alarmRule": alarm["AlarmRule"]}
    if alarm.get("Metrics"):
        return {"description": alarm.get("AlarmDescription") or "", "metrics": alarm["Metrics"]}
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


def _with_metrics(alarm: dict[str, Any], asked: Mapping[str, Any]) -> None:
    """Make an alarm one on math or on a band, if it was asked to be one."""
    if not asked.get("Metrics"):
        return
    for name in (
        "MetricName",
        "Namespace",
        "Statistic",
        "ExtendedStatistic",
        "Period",
        "Dimensions",
        "Unit",
    ):
        alarm.pop(name, None)
    alarm["Metrics"] = [_typed(query) for query in asked["Metrics"]]
    if asked.get("ThresholdMetricId"):
        alarm["ThresholdMetricId"] = asked["ThresholdMetricId"]
        alarm.pop("Threshold", None)


def _typed(query: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and truths that a template may carry as strings, as the API takes them."""
    typed = dict(query)
    if "ReturnData" in typed:
        typed["ReturnData"] = str(typed["ReturnData"]).lower() != "false"
    if typed.get("MetricStat"):
        typed["MetricStat"] = {**typed["MetricStat"], "Period": int(float(typed["MetricStat"]["Period"]))}
    if typed.get("Period"):
        typed["Period"] = int(float(typed["Period"]))
    return typed


def _put_metric_alarm(
    params: dict[str, Any], asked: dict[str, Any], is_cbor: bool, is_json: bool = False
) -> Any:
    answer = _stock_put_metric_alarm(params, asked, is_cbor, is_json)
    alarm = cloudwatch._alarms.get(asked.get("AlarmName", ""))
    if answer[0] == 200 and alarm is not None and asked.get("Metrics"):
        _with_metrics(alarm, asked)
        _evaluate(alarm)
    return answer


def _alarm_record(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """An alarm of a template."""
    if not properties.get("Metrics"):
        return dict(_stock_alarm_record(name, properties))
    plain = {key: value for key, value in properties.items() if key != "Metrics"}
    record = dict(_stock_alarm_record(name, {"MetricName": "-", "Namespace": "-", "Threshold": 0, **plain}))
    _with_metrics(record, properties)
    return record


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
    cloudwatch._put_metric_alarm = _put_metric_alarm
    provisioners._cw_metric_alarm_record = _alarm_record
    threading.Thread(target=_watch, name="alarms", daemon=True).start()
