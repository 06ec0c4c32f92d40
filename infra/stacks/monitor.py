"""Stateless: the function that compares what was captured with what was trained on, and what it alarms."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.capture import Capture
from catalog.schema import Model, Stage
from infra.acknowledged import acknowledge_runtime, acknowledge_wildcards
from infra.bundles import Tree
from infra.constructs.python_function import PythonFunction, PythonFunctionProps
from infra.constructs.runtime_layer import RuntimeLayer
from infra.preflight import check_environment, check_size
from infra.stacks.stage_stack import StageStack
from model_store.contract.capture import CAPTURED_PREFIX, REPORTS_PREFIX, TRUTH_PREFIX
from model_store.contract.deployment import (
    alarm_topic_name,
    bucket_key_parameter,
    bucket_parameter,
    capture_bucket_parameter,
    capture_key_parameter,
    metrics_namespace,
    model_alarm_name,
    monitor_function_name,
    monitor_rule_name,
)
from model_store.contract.environment import (
    ACCURACY_METRIC,
    BUCKET,
    CAPTURE_BUCKET,
    CATEGORY_SHIFT_METRIC,
    DRIFT_PSI_METRIC,
    MISSING_RATE_METRIC,
    MONITORED,
    OUT_OF_RANGE_RATE_METRIC,
    OUTPUT_DRIFT_METRIC,
    STAGE,
)

HANDLER = "functions.monitor.handler.handler"

HOUR_S = 3_600

MEMORY_MB = 2_048
"""A window of a busy model is a million numbers, which Python holds in some hundred megabytes."""

TIMEOUT_S = 900

CATEGORY_LIMIT, MISSING_LIMIT, OUT_OF_RANGE_LIMIT = 0.25, 0.05, 0.05
"""As the comparison has them (``drift.compare``)."""

WHY_WILDCARDS = "Keys are models, versions and hours, made as requests come, in this stage's own buckets"
_WILD = ("ReadCaptured", "WriteReports", "ReadBaselines")


class MonitorStack(StageStack):
    """The monitor, its hourly rule, and an alarm on each number for each model whose requests are kept."""

    def __init__(
        self,
        scope: Construct,
        *,
        stage: Stage,
        models: Mapping[str, Model],
        code: Tree,
        runtime_layer: Tree,
    ) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern="Monitor",
            description=f"Switchyard {stage.name}: tells how far requests moved from the training data",
        )
        captured = {name: model.captures for name, model in models.items() if model.captures}
        name = monitor_function_name(stage.name)
        check_size(name, runtime_layer, code)
        store, store_key, bucket, key = (
            ssm.StringParameter.value_for_string_parameter(self, parameter(stage.name))
            for parameter in (
                bucket_parameter,
                bucket_key_parameter,
                capture_bucket_parameter,
                capture_key_parameter,
            )
        )
        monitored = [
            {"model": model, "window_hours": capture.window_hours} for model, capture in captured.items()
        ]
        layer = RuntimeLayer(
            self,
            "Runtime",
            name=f"{name}-runtime",
            tree=runtime_layer,
            architecture="x86_64",
            keep=False,
        )
        monitor = PythonFunction(
            self,
            "Monitor",
            props=PythonFunctionProps(
                name=name,
                description="Compares captured requests with what their versions were trained on",
                handler=HANDLER,
                code=code,
                # numpy alone is needed; it comes with the layer that every model's function stands on.
                layers=(layer.layer,),
                memory_mb=MEMORY_MB,
                timeout_s=TIMEOUT_S,
                log_retention_days=stage.log_retention_days,
                keep=False,
                environment=check_environment(
                    name,
                    {
                        STAGE: stage.name,
                        BUCKET: store,
                        CAPTURE_BUCKET: bucket,
                        MONITORED: json.dumps(monitored, separators=(",", ":")),
                    },
                ),
            ),
        )
        monitor.log_group.grant_write(monitor.role)
        for statement in (*self._reading(store, store_key), *self._judging(bucket, key)):
            monitor.role.add_to_policy(statement)
            if statement.sid in _WILD:
                acknowledge_wildcards(monitor.role, statement, WHY_WILDCARDS)
        acknowledge_runtime(monitor)
        self._every_hour(monitor)
        for model, capture in captured.items():
            self._alarm(model, capture)

    def _every_hour(self, monitor: PythonFunction) -> None:
        rule = events.CfnRule(
            self,
            "EveryHour",
            name=monitor_rule_name(self.stage.name),
            description="Compares what was captured with what was trained on",
            schedule_expression="rate(1 hour)",
            targets=[
                events.CfnRule.TargetProperty(
                    id="Monitor",
                    arn=monitor.function.function_arn,
                    input=json.dumps({"action": "compare"}),
                )
            ],
        )
        lambda_.CfnPermission(
            self,
            "MayAskEveryHour",
            action="lambda:InvokeFunction",
            principal="events.amazonaws.com",
            function_name=monitor.function.function_arn,
            source_arn=rule.attr_arn,
        )

    def _alarm(self, model: str, capture: Capture) -> None:
        """One for each number; they are about the version that answers most (law 11)."""
        alarms = Construct(self, f"Alarms-{model}")
        kinds = [
            ("drift", DRIFT_PSI_METRIC, capture.drift_psi, "an input is not distributed as at training"),
            (
                "category-shift",
                CATEGORY_SHIFT_METRIC,
                CATEGORY_LIMIT,
                "words of an input come in other shares",
            ),
            (
                "missing-values",
                MISSING_RATE_METRIC,
                MISSING_LIMIT,
                "an input lacks values it had at training",
            ),
            (
                "out-of-range",
                OUT_OF_RANGE_RATE_METRIC,
                OUT_OF_RANGE_LIMIT,
                "an input has values that the training never saw",
            ),
            (
                "output-drift",
                OUTPUT_DRIFT_METRIC,
                capture.drift_psi,
                "an output is not distributed as it was",
            ),
        ]
        for what, metric, limit, said in kinds:
            self._one(alarms, model, what, metric, limit, said)
        if capture.min_accuracy is not None:
            self._one(
                alarms,
                model,
                "accuracy",
                ACCURACY_METRIC,
                capture.min_accuracy,
                "too few answers with a known truth were right",
                below=True,
            )

    def _one(
        self,
        scope: Construct,
        model: str,
        what: str,
        metric: str,
        limit: float,
        said: str,
        *,
        below: bool = False,
    ) -> None:
        topic = self.format_arn(service="sns", resource=alarm_topic_name(self.stage.name))
        cloudwatch.CfnAlarm(
            scope,
            what,
            alarm_name=model_alarm_name(self.stage.name, model, what),
            alarm_description=f"{model}: {said}: `yard drift {model}`",
            alarm_actions=[topic],
            ok_actions=[topic],
            namespace=metrics_namespace(self.stage.name),
            metric_name=metric,
            dimensions=[cloudwatch.CfnAlarm.DimensionProperty(name="model", value=model)],
            statistic="Minimum" if below else "Maximum",
            period=HOUR_S,
            # The monitor comes once an hour and not on the hour: some hours have none of its numbers.
            evaluation_periods=2,
            datapoints_to_alarm=1,
            threshold=limit,
            comparison_operator="LessThanThreshold" if below else "GreaterThanOrEqualToThreshold",
            treat_missing_data="notBreaching",
        )

    def _reading(self, store: str, key: str) -> tuple[iam.PolicyStatement, ...]:
        """Which versions there are, and what they were trained on; nothing else of the model store."""
        arn = f"arn:{self.partition}:s3:::{store}"
        prefixes = [f"models/*/{what}/*" for what in ("versions", "removed", "baselines")]
        return (
            iam.PolicyStatement(
                sid="ListVersions",
                actions=["s3:ListBucket"],
                resources=[arn],
                conditions={"StringLike": {"s3:prefix": prefixes}},
            ),
            iam.PolicyStatement(
                sid="ReadBaselines",
                actions=["s3:GetObject"],
                resources=[f"{arn}/{prefix}" for prefix in prefixes],
            ),
            self._key("DecryptBaselines", key, "kms:Decrypt"),
        )

    def _judging(self, bucket: str, key: str) -> tuple[iam.PolicyStatement, ...]:
        """Read what was captured and labelled, and write reports beside it.

        A report that is there already is looked at, to see whether this very monitor wrote it.
        """
        arn = f"arn:{self.partition}:s3:::{bucket}"
        return (
            iam.PolicyStatement(sid="ListCaptured", actions=["s3:ListBucket"], resources=[arn]),
            iam.PolicyStatement(
                sid="ReadCaptured",
                actions=["s3:GetObject"],
                resources=[f"{arn}/{prefix}*" for prefix in (CAPTURED_PREFIX, TRUTH_PREFIX, REPORTS_PREFIX)],
            ),
            iam.PolicyStatement(
                sid="WriteReports", actions=["s3:PutObject"], resources=[f"{arn}/{REPORTS_PREFIX}*"]
            ),
            self._key("UseTheCaptureKey", key, "kms:Decrypt", "kms:GenerateDataKey"),
        )

    def _key(self, sid: str, key: str, *actions: str) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            sid=sid,
            actions=list(actions),
            resources=[key],
            conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
        )
