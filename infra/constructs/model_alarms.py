"""The alarms on a model and on its aliases that a deploy makes: they tell people, and undo nothing.

What takes a release back are alarms on its version, which the release controller makes (law 11, ADR 37):
a template cannot know which versions there are. Here stands what holds whichever version answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from catalog.alarms import Alarms
from model_store.contract.deployment import (
    alias_alarm_name,
    function_name,
    metrics_namespace,
    model_alarm_name,
)
from model_store.contract.environment import FAULTS_METRIC, LATENCY_METRIC, START_FAILURES_METRIC

LAMBDA = "AWS/Lambda"
OURS = "ours"

PERIODS, DATAPOINTS = 3, 2
"""Two bad minutes of three, as the alarms of a release have it."""

SLOW_PERIODS, SLOW_DATAPOINTS = 5, 3
BAND_PERIOD_S = 300
SILENCE_PERIOD_S = 300
DAY_S = 86_400

Dimensions = Mapping[str, str]
_Query = cloudwatch.CfnAlarm.MetricDataQueryProperty


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAlarmsProps:
    """Whose alarms: ``topic`` hears those that somebody should know of, and when they are over."""

    stage: str
    model: str
    aliases: Sequence[str]
    timeout_s: int
    alarms: Alarms
    period_s: int
    topic: str


class ModelAlarms(Construct):
    """Every alarm that the catalog does not switch off."""

    def __init__(self, scope: Construct, id_: str, *, props: ModelAlarmsProps) -> None:
        super().__init__(scope, id_)
        self._props = props
        # Lambda counts by the minute, and so do shares of what it counts.
        self._period_s = max(60, props.period_s)
        pains = self._of_the_model()
        for alias in props.aliases:
            self._of_an_alias(alias, pains)

    def _of_the_model(self) -> dict[str, cloudwatch.CfnAlarm]:
        """Faults, latency and failed starts, counted by model: the alias is no dimension (law 11)."""
        props, alarms = self._props, self._props.alarms
        model = {"model": props.model}
        pains: dict[str, cloudwatch.CfnAlarm] = {}
        if alarms.faults_percent is not False:
            pains["faults"] = self._share(
                "Faults",
                model_alarm_name(props.stage, props.model, "faults"),
                f"{props.model}: more than {alarms.faults_percent:g} % of answers are server faults",
                (OURS, FAULTS_METRIC, "Sum", model),
                (OURS, FAULTS_METRIC, "SampleCount", model),
                alarms.faults_percent,
            )
        slow_ms = alarms.slow_ms(props.timeout_s)
        if slow_ms is not None:
            pains["p99"] = cloudwatch.CfnAlarm(
                self,
                "P99",
                alarm_name=model_alarm_name(props.stage, props.model, "p99"),
                alarm_description=f"{props.model}: one answer in a hundred takes longer than {slow_ms:g} ms",
                namespace=metrics_namespace(props.stage),
                metric_name=LATENCY_METRIC,
                dimensions=_dimensions(model),
                extended_statistic="p99",
                evaluate_low_sample_count_percentile="ignore",
                threshold=slow_ms,
                **self._judged(SLOW_PERIODS, SLOW_DATAPOINTS),
            )
        if alarms.start_failures is not False:
            cloudwatch.CfnAlarm(
                self,
                "StartFailures",
                alarm_name=model_alarm_name(props.stage, props.model, "start-failures"),
                alarm_description=f"{props.model}: {alarms.start_failures} or more starts failed",
                namespace=metrics_namespace(props.stage),
                metric_name=START_FAILURES_METRIC,
                dimensions=_dimensions(model),
                statistic="Sum",
                threshold=alarms.start_failures,
                **self._judged(1, 1),
                **self._told(),
            )
        if alarms.latency_band is not False:
            self._band(
                "LatencyBand",
                model_alarm_name(props.stage, props.model, "latency-band"),
                f"{props.model}: answers take longer than they ever did at this time",
                (OURS, LATENCY_METRIC, "p90", model),
                alarms.latency_band,
                "GreaterThanUpperThreshold",
            )
        return pains

    def _of_an_alias(self, alias: str, pains: dict[str, cloudwatch.CfnAlarm]) -> None:
        """What Lambda counts by alias, and the pain of whoever calls it."""
        props, alarms = self._props, self._props.alarms
        function = function_name(props.stage, props.model)
        called = {"FunctionName": function, "Resource": f"{function}:{alias}"}
        ref = f"{props.model}@{alias}"
        id_ = "".join(part.title() for part in alias.split("-"))
        pains = dict(pains)
        if alarms.errors_percent is not False:
            pains["errors"] = self._share(
                f"{id_}Errors",
                self._name(alias, "errors"),
                f"{ref}: more than {alarms.errors_percent:g} % of invocations fail",
                (LAMBDA, "Errors", "Sum", called),
                (LAMBDA, "Invocations", "Sum", called),
                alarms.errors_percent,
            )
        if alarms.throttles is not False:
            pains["throttles"] = cloudwatch.CfnAlarm(
                self,
                f"{id_}Throttles",
                alarm_name=self._name(alias, "throttles"),
                alarm_description=f"{ref}: Lambda turns callers away for want of concurrency",
                namespace=LAMBDA,
                metric_name="Throttles",
                dimensions=_dimensions(called),
                statistic="Sum",
                threshold=alarms.throttles,
                **self._judged(PERIODS, DATAPOINTS),
            )
        if alarms.silence_minutes is not False:
            self._silence(id_, alias, ref, called, alarms.silence_minutes)
        if alarms.traffic_band is not False:
            self._band(
                f"{id_}TrafficBand",
                self._name(alias, "traffic-band"),
                f"{ref}: far more or far fewer requests than ever at this time",
                (LAMBDA, "Invocations", "Sum", called),
                alarms.traffic_band,
                "LessThanLowerOrGreaterThanUpperThreshold",
            )
        if alarms.user_pain and pains:
            said = ", ".join(name for name in ("errors", "faults", "p99", "throttles") if name in pains)
            self._composite(
                f"{id_}UserPain",
                self._name(alias, "user-pain"),
                f"{ref}: its callers are not served as they should be ({said})",
                " OR ".join(f'ALARM("{alarm.alarm_name}")' for alarm in pains.values()),
                list(pains.values()),
            )

    def _silence(self, id_: str, alias: str, ref: str, called: Dimensions, minutes: int) -> None:
        """Nobody calls any more, where the day was busy. Neither half says anything by itself."""
        props = self._props
        silent = self._count(
            f"{id_}Silent",
            self._name(alias, "silent"),
            f"{ref}: no request for {minutes} minutes; tells nobody by itself",
            called,
            1,
            period=SILENCE_PERIOD_S,
            periods=max(1, minutes * 60 // SILENCE_PERIOD_S),
        )
        busy = props.alarms.busy_requests
        idle = self._count(
            f"{id_}Idle",
            self._name(alias, "idle"),
            f"{ref}: fewer than {busy} requests in a day, so silence is no news; tells nobody by itself",
            called,
            busy,
            period=DAY_S,
            periods=1,
        )
        self._composite(
            f"{id_}NoTraffic",
            self._name(alias, "no-traffic"),
            f"{ref}: no request for {minutes} minutes, and at least {busy} in the last day",
            f'ALARM("{silent.alarm_name}") AND NOT ALARM("{idle.alarm_name}")',
            [silent, idle],
        )

    def _count(
        self,
        id_: str,
        name: str,
        description: str,
        called: Dimensions,
        least: int,
        *,
        period: int,
        periods: int,
    ) -> cloudwatch.CfnAlarm:
        # Where nobody calls, Lambda counts nothing at all: missing data are the silence.
        return cloudwatch.CfnAlarm(
            self,
            id_,
            alarm_name=name,
            alarm_description=description,
            namespace=LAMBDA,
            metric_name="Invocations",
            dimensions=_dimensions(called),
            statistic="Sum",
            period=period,
            evaluation_periods=periods,
            datapoints_to_alarm=periods,
            threshold=least,
            comparison_operator="LessThanThreshold",
            treat_missing_data="breaching",
        )

    def _share(
        self,
        id_: str,
        name: str,
        description: str,
        bad: tuple[str, str, str, Dimensions],
        all_: tuple[str, str, str, Dimensions],
        percent: float,
    ) -> cloudwatch.CfnAlarm:
        """So many of a hundred, as soon as there are enough of them to say so."""
        least = self._props.alarms.at_least
        return cloudwatch.CfnAlarm(
            self,
            id_,
            alarm_name=name,
            alarm_description=f"{description}, from {least} in a period on",
            metrics=[
                self._query("bad", bad),
                self._query("all", all_),
                _Query(
                    id="share",
                    label="percent",
                    expression=f"IF(all >= {least}, 100 * bad / all, 0)",
                    return_data=True,
                ),
            ],
            threshold=percent,
            evaluation_periods=PERIODS,
            datapoints_to_alarm=DATAPOINTS,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",
        )

    def _band(
        self,
        id_: str,
        name: str,
        description: str,
        metric: tuple[str, str, str, Dimensions],
        width: float,
        operator: str,
    ) -> None:
        namespace, metric_name, statistic, dimensions = metric
        # Declared, so that it learns from the first deploy on and goes with the model.
        cloudwatch.CfnAnomalyDetector(
            self,
            f"{id_}Detector",
            single_metric_anomaly_detector=cloudwatch.CfnAnomalyDetector.SingleMetricAnomalyDetectorProperty(
                namespace=self._namespace(namespace),
                metric_name=metric_name,
                stat=statistic,
                dimensions=[
                    cloudwatch.CfnAnomalyDetector.DimensionProperty(name=key, value=value)
                    for key, value in dimensions.items()
                ],
            ),
        )
        cloudwatch.CfnAlarm(
            self,
            id_,
            alarm_name=name,
            alarm_description=f"{description} (outside {width:g} standard deviations of what is expected)",
            metrics=[
                self._query("seen", metric, returned=True, period=BAND_PERIOD_S),
                _Query(
                    id="band",
                    label="expected",
                    expression=f"ANOMALY_DETECTION_BAND(seen, {width:g})",
                    return_data=True,
                ),
            ],
            threshold_metric_id="band",
            evaluation_periods=PERIODS,
            datapoints_to_alarm=PERIODS,
            comparison_operator=operator,
            treat_missing_data="notBreaching",
            **self._told(),
        )

    def _composite(
        self, id_: str, name: str, description: str, rule: str, children: Sequence[cloudwatch.CfnAlarm]
    ) -> None:
        made = cloudwatch.CfnCompositeAlarm(
            self, id_, alarm_name=name, alarm_description=description, alarm_rule=rule, **self._told()
        )
        # The rule knows them by name; CloudWatch refuses one about an alarm that is not there yet.
        for child in children:
            made.node.add_dependency(child)

    def _query(
        self,
        id_: str,
        metric: tuple[str, str, str, Dimensions],
        *,
        returned: bool = False,
        period: int | None = None,
    ) -> _Query:
        namespace, metric_name, statistic, dimensions = metric
        return _Query(
            id=id_,
            return_data=returned,
            metric_stat=cloudwatch.CfnAlarm.MetricStatProperty(
                metric=cloudwatch.CfnAlarm.MetricProperty(
                    namespace=self._namespace(namespace),
                    metric_name=metric_name,
                    dimensions=_dimensions(dimensions),
                ),
                period=period or self._period_s,
                stat=statistic,
            ),
        )

    def _namespace(self, namespace: str) -> str:
        return metrics_namespace(self._props.stage) if namespace == OURS else namespace

    def _name(self, alias: str, what: str) -> str:
        return alias_alarm_name(self._props.stage, self._props.model, alias, what)

    def _judged(self, periods: int, needed: int) -> dict[str, Any]:
        return {
            "period": self._period_s,
            "evaluation_periods": periods,
            "datapoints_to_alarm": needed,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
            "treat_missing_data": "notBreaching",
        }

    def _told(self) -> dict[str, Any]:
        return {"alarm_actions": [self._props.topic], "ok_actions": [self._props.topic]}


def _dimensions(named: Dimensions) -> list[cloudwatch.CfnAlarm.DimensionProperty]:
    return [cloudwatch.CfnAlarm.DimensionProperty(name=key, value=value) for key, value in named.items()]
