"""GetMetricData as dashboards and ``yard`` ask it: metrics, math, searches, bands; newest first unless asked.

Stock: an expression is an ``InternalError``; results come oldest first whatever ``ScanBy`` says; a metric
without dimensions is all of that name. AWS: API reference of GetMetricData (``ScanBy``, ``ReturnData``; a
search gives several results of one ``Id``); CloudWatch user guide, "Using dynamic labels"
(``${PROP('Dim.version')}``) and "Using math expressions with CloudWatch metrics". Anomaly detectors are kept,
and what they exclude is left out of the history (``anomalies``).
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import cloudwatch

from local_cloud.extension.anomalies import band_of
from local_cloud.extension.metric_math import MathError, Series, Value, evaluate, every
from local_cloud.extension.metric_search import Found, searching

Points = list[dict[str, Any]]

_DEFAULT_PERIOD_S = 300
_PROPERTY = re.compile(r"\$\{(?:PROP\(['\"]?(?P<property>[^'\")]+)['\"]?\)|(?P<whole>LABEL))\}")

_stock_get_metric_data = cloudwatch._get_metric_data

detectors = AccountRegionScopedDict()
"""Anomaly detectors by namespace, metric, dimensions and statistic, as they were put."""


def points_of(metric: Mapping[str, Any], unit: str | None = None) -> Points:
    """Every point of exactly this metric."""
    key = (metric["Namespace"], metric["MetricName"], _dimensions_key(metric.get("Dimensions")))
    return [point for point in list(cloudwatch._metrics.get(key) or []) if unit in (None, "", point["Unit"])]


def value_of(points: Points, statistic: str) -> float | None:
    """One statistic of the points of one period."""
    value = cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points) if points else None
    return None if value is None else float(value)


class Queries:
    """The queries of one call or of one alarm: ``metric_math.Sources``.

    ``begin`` and ``end`` are seconds since 1970; a period that a query calls ``Period`` lasts ``stretch``
    times as long (a faster clock). With ``trained_until`` nothing later counts as history for a band.
    """

    def __init__(
        self,
        queries: Sequence[Mapping[str, Any]],
        *,
        begin: float,
        end: float,
        stretch: float = 1.0,
        trained_until: float | None = None,
    ) -> None:
        self._queries = {str(query["Id"]): query for query in queries}
        self._begin, self._end, self._stretch = begin, end, stretch
        self._trained_until = trained_until
        self._known: dict[str, Value] = {}
        self._asked: list[str] = []
        periods = [int(query["MetricStat"]["Period"]) for query in queries if query.get("MetricStat")]
        periods += [int(query["Period"]) for query in queries if query.get("Period")]
        self.period_s = float(max(periods, default=_DEFAULT_PERIOD_S))

    @property
    def moments(self) -> Sequence[float]:
        period = self.period_s * self._stretch
        first = math.floor(self._begin / period + 1e-6)
        count = max(0, math.ceil((self._end - first * period) / period - 1e-6))
        return [(first + number) * period for number in range(count)]

    def named(self, name: str) -> Value:
        """What the query ``name`` gives, worked out once."""
        if name not in self._queries:
            raise MathError(f"there is no query `{name}`")
        if name in self._asked:
            raise MathError(f"`{name}` is made of itself")
        if name not in self._known:
            self._asked.append(name)
            try:
                self._known[name] = self._worked_out(self._queries[name])
            finally:
                self._asked.pop()
        return self._known[name]

    def _worked_out(self, query: Mapping[str, Any]) -> Value:
        if query.get("Expression"):
            return evaluate(str(query["Expression"]), self)
        asked = query["MetricStat"]
        return self._series(asked["Metric"], str(asked["Stat"]), float(asked["Period"]), asked.get("Unit"))

    def metrics(self, within: str) -> list[Series]:
        """Every query that is a metric and whose id contains ``within``."""
        found = [name for name, query in self._queries.items() if query.get("MetricStat") and within in name]
        return [one for name in found for one in every(self.named(name))]

    def search(self, expression: str, statistic: str, period_s: float) -> list[Series]:
        """Every metric with data that ``expression`` finds, in the order of their dimensions."""
        holds = searching(expression)
        found = []
        for (namespace, name, _), points in sorted(cloudwatch._metrics.items(), key=lambda item: item[0]):
            dimensions = dict(points[0].get("Dimensions") or {}) if points else {}
            if points and holds(Found(namespace, name, dimensions)):
                listed = [{"Name": key, "Value": value} for key, value in dimensions.items()]
                metric = {"Namespace": namespace, "MetricName": name, "Dimensions": listed}
                found.append(self._series(metric, statistic, period_s, None))
        return [one for one in found if one.points]

    def band(self, name: str, width: float) -> list[Series]:
        """Both edges at every moment that has enough of a history."""
        query = self._queries.get(name) or {}
        asked = query.get("MetricStat")
        if not asked:
            raise MathError(f"`{name}` is no metric, and only a metric has a band here")
        period = float(asked["Period"]) * self._stretch
        statistic = str(asked["Stat"])
        excluded = _excluded(asked["Metric"], statistic)
        periods: dict[int, Points] = defaultdict(list)
        for point in self._points_of(asked["Metric"], asked.get("Unit")):
            if not any(start <= point["Timestamp"] < end for start, end in excluded):
                periods[math.floor(point["Timestamp"] / period + 1e-6)].append(point)
        known = {
            index * period: value
            for index, points in sorted(periods.items())
            if (value := value_of(points, statistic)) is not None
        }
        low: dict[float, float] = {}
        high: dict[float, float] = {}
        for at in self.moments:
            until = at if self._trained_until is None else min(at, self._trained_until)
            edges = band_of([value for moment, value in known.items() if moment < until - 1e-6], width)
            if edges:
                low[at], high[at] = edges
        return [Series(low, f"{name} low"), Series(high, f"{name} high")] if low else []

    def _points_of(self, metric: Mapping[str, Any], unit: str | None) -> Points:
        return points_of(metric, unit)

    def _series(self, metric: Mapping[str, Any], statistic: str, period_s: float, unit: str | None) -> Series:
        period = period_s * self._stretch
        groups: dict[float, Points] = defaultdict(list)
        for point in self._points_of(metric, unit):
            at = point["Timestamp"]
            if self._begin <= at < self._end:
                groups[math.floor(at / period + 1e-6) * period].append(point)
        values = {at: value_of(groups[at], statistic) for at in sorted(groups)}
        return Series(
            {at: value for at, value in values.items() if value is not None},
            str(metric["MetricName"]),
            _properties(metric, statistic, period_s),
        )


def _properties(metric: Mapping[str, Any], statistic: str, period_s: float) -> dict[str, str]:
    dimensions = {f"Dim.{item['Name']}": str(item["Value"]) for item in metric.get("Dimensions") or []}
    return {
        "Namespace": str(metric["Namespace"]),
        "MetricName": str(metric["MetricName"]),
        "Stat": statistic,
        "Period": f"{period_s:g}",
        **dimensions,
    }


def _dimensions_key(dimensions: Any) -> str:
    named = dimensions if isinstance(dimensions, dict) else cloudwatch._dims_from_list(dimensions or [])
    return str(cloudwatch._dims_key(named))


def _excluded(metric: Mapping[str, Any], statistic: str) -> list[tuple[float, float]]:
    detector = detectors.get(_detector_key(metric, statistic)) or {}
    ranges = (detector.get("Configuration") or {}).get("ExcludedTimeRanges") or []
    return [
        (cloudwatch._parse_ts(item["StartTime"]), cloudwatch._parse_ts(item["EndTime"])) for item in ranges
    ]


def _detector_key(metric: Mapping[str, Any], statistic: str) -> str:
    dimensions = _dimensions_key(metric.get("Dimensions"))
    return json.dumps([metric["Namespace"], metric["MetricName"], dimensions, statistic])


def _get_metric_data(
    params: dict[str, Any], asked: dict[str, Any], is_cbor: bool, is_json: bool = False
) -> Any:
    if not (is_cbor or is_json):
        return _stock_get_metric_data(params, asked, is_cbor, is_json)
    queries = asked.get("MetricDataQueries") or []
    begin, end = cloudwatch._parse_ts(asked.get("StartTime")), cloudwatch._parse_ts(asked.get("EndTime"))
    sources = Queries(queries, begin=begin, end=end)
    newest_first = asked.get("ScanBy") != "TimestampAscending"
    results: list[dict[str, Any]] = []
    for query in queries:
        if query.get("ReturnData", True) is False:
            continue
        try:
            found = every(sources.named(str(query["Id"])))
        except MathError as error:
            message = f"Error in expression '{query['Id']}': {error}"
            return cloudwatch._error("ValidationError", message, 400, use_json=is_json, use_cbor=is_cbor)
        results += [_result(query, one, newest_first=newest_first) for one in found]
    if is_cbor:
        written = [cloudwatch._cbor_metric_data_result(result) for result in results]
        return cloudwatch._cbor_ok({"MetricDataResults": written, "Messages": []})
    return cloudwatch._json_ok({"MetricDataResults": results, "Messages": []})


def _result(query: Mapping[str, Any], series: Series, *, newest_first: bool) -> dict[str, Any]:
    moments = sorted(series.points, reverse=newest_first)
    return {
        "Id": query["Id"],
        "Label": _label(query, series),
        "Timestamps": [cloudwatch._ts_iso(at) for at in moments],
        "Values": [series.points[at] for at in moments],
        "StatusCode": "Complete",
    }


def _label(query: Mapping[str, Any], series: Series) -> str:
    written = query.get("Label")
    if not written:
        return series.label or str(query["Id"])

    def said(match: re.Match[str]) -> str:
        return series.label if match["whole"] else series.properties.get(match["property"], "")

    return _PROPERTY.sub(said, str(written))


def _with_detectors(before: Callable[..., Any]) -> Callable[..., Any]:
    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
    ) -> Any:
        action = headers.get("x-amz-target", "").rsplit(".", 1)[-1] or path.rpartition("/operation/")[2]
        if action not in _DETECTOR_ACTIONS:
            return await before(method, path, headers, body, query_params)
        is_cbor = "cbor" in headers.get("content-type", "")
        answer = _DETECTOR_ACTIONS[action](_decoded(body, is_cbor=is_cbor))
        return cloudwatch._cbor_ok(answer) if is_cbor else cloudwatch._json_ok(answer)

    return handle_request


def _decoded(body: bytes, *, is_cbor: bool) -> dict[str, Any]:
    if is_cbor:
        import cbor2  # type: ignore[import-not-found]

        return dict(cbor2.loads(body)) if body else {}
    return dict(json.loads(body)) if body else {}


def put_detector(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a detector of one metric, or of what it was before."""
    single = dict(asked.get("SingleMetricAnomalyDetector") or asked)
    key = _detector_key(single, str(single["Stat"]))
    detectors[key] = {
        "SingleMetricAnomalyDetector": {
            name: single[name] for name in ("Namespace", "MetricName", "Dimensions", "Stat") if name in single
        },
        "Configuration": dict(asked.get("Configuration") or {}),
    }
    return {}


def delete_detector(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Forget a detector; the metric's history stays, and so does its band."""
    single = dict(asked.get("SingleMetricAnomalyDetector") or asked)
    detectors.pop(_detector_key(single, str(single["Stat"])), None)
    return {}


def _describe_detectors(asked: Mapping[str, Any]) -> dict[str, Any]:
    found = []
    for detector in list(detectors.values()):
        single = detector["SingleMetricAnomalyDetector"]
        if asked.get("Namespace") in (None, single["Namespace"]):
            known = len({int(point["Timestamp"] // 60) for point in points_of(single)})
            trained = band_of([0.0] * known, 1.0) is not None
            found.append({**detector, "StateValue": "TRAINED" if trained else "TRAINED_INSUFFICIENT_DATA"})
    return {"AnomalyDetectors": found}


_DETECTOR_ACTIONS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "PutAnomalyDetector": put_detector,
    "DeleteAnomalyDetector": delete_detector,
    "DescribeAnomalyDetectors": _describe_detectors,
}


def install() -> None:
    """Answer GetMetricData and the calls about anomaly detectors."""
    cloudwatch._get_metric_data = _get_metric_data
    cloudwatch.handle_request = _with_detectors(cloudwatch.handle_request)
