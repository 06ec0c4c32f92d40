"""Stateful: the bucket that training works in, who its jobs run as, and the pipelines of models."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.instances import has_local_disk
from catalog.schema import Model, Stage
from catalog.training import Pipeline, Training
from infra.acknowledged import acknowledge_quiet_machine, acknowledge_training_bucket, acknowledge_wildcards
from infra.bundles import Tree
from infra.constructs.passing_bucket import PassingBucket
from infra.constructs.pipeline_machine import Jobs, PipelineMachine, job_prefix
from infra.constructs.python_function import ROLE_PATH
from infra.constructs.spark_application import SparkApplication
from infra.errors import PreflightError
from infra.stacks.heavy import pulling
from infra.stacks.roles import PUBLISHED
from infra.stacks.sagemaker import JOIN_NETWORK
from infra.stacks.stage_stack import StageStack
from model_store.contract.capture import captured_prefix, truth_prefix
from model_store.contract.deployment import (
    DATA_COMPLETE,
    DEFAULT_ALIAS,
    alarm_topic_name,
    bucket_key_parameter,
    bucket_parameter,
    capture_bucket_parameter,
    capture_key_parameter,
    model_alarm_name,
    new_data_prefix,
    operations_function_name,
    pipeline_machine_name,
    pipeline_parameter,
    training_parameter,
)

MADE = ("pipelines/", "training/")
"""Where jobs work; what stands there is forgotten. ``data/`` is its owner's."""

DRIFT_ALARMS = (
    "accuracy",
    "category-shift",
    "drift",
    "missing-values",
    "out-of-range",
    "output-drift",
)
"""As the Monitor stack names them."""

SPARK_SCRIPT = "training/data/spark_job.py"

WHY_WILDCARDS = (
    "Keys, jobs and streams are named as jobs run, in this stage's own buckets, under its prefix; metrics, "
    "registries and network interfaces know no narrower resource"
)


class TrainingStack(StageStack):
    """The training bucket, the role of jobs, where both are, and the pipelines.

    Jobs may read and write what is theirs in the bucket, read what the catalog lists (``reads``), and log.
    Only those of a pipeline that speak to the model store have another role: it reads and publishes
    versions of one model.
    """

    def __init__(
        self, scope: Construct, *, stage: Stage, models: Mapping[str, Model], code: Mapping[str, Tree]
    ) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern="Training",
            description=f"Switchyard {stage.name}: where models are trained, and their pipelines",
            stateful=True,
        )
        assert stage.training is not None
        self.training: Training = stage.training
        self.place = PassingBucket(
            self,
            "Training",
            keep_data=stage.keep_data,
            forget_after_days=self.training.keep_days,
            key_description="Encrypts data that models are trained on, and what jobs made of them",
            announces=True,
            forget=MADE,
        )
        acknowledge_training_bucket(self.place.bucket)
        self.trainer = self._role("Trainer", "Runs training jobs", [])
        ssm.StringParameter(
            self,
            "Parameter",
            parameter_name=training_parameter(stage.name),
            string_value=self.to_json_string(
                {
                    "bucket": self.place.bucket.bucket_name,
                    "role": self.trainer.role_arn,
                    "key": self.place.key.key_arn,
                    "volume_key": self._volume_key(self.training.instance_type),
                    "image": self.training.image,
                    "instance_type": self.training.instance_type,
                    "hours": self.training.max_hours,
                    "spot": self.training.spot,
                    "subnets": list(self._subnets),
                    "security_groups": list(stage.vpc_security_groups),
                }
            ),
            description="Where training jobs run, and as whom",
        )
        self.spark = self._on_spark()
        captured = [name for name, model in models.items() if model.pipeline and model.captures]
        for statement in self._reading_captured(captured):
            self.trainer.add_to_policy(statement)
            acknowledge_wildcards(self.trainer, statement, WHY_WILDCARDS)
        for name, model in models.items():
            if model.pipeline is not None:
                self._pipeline(name, model.pipeline, code[name])

    def _on_spark(self) -> SparkApplication | None:
        if self.training.spark is None:
            return None
        bucket, key = self.place.bucket, self.place.key
        made = SparkApplication(
            self,
            "Spark",
            name=f"switchyard-{self.stage.name}",
            spark=self.training.spark,
            bucket=bucket.bucket_name,
            key=key.key_arn,
            account=self.account,
            subnets=self._subnets,
            security_groups=self.stage.vpc_security_groups,
        )
        for statement in (
            iam.PolicyStatement(sid="FindData", actions=["s3:ListBucket"], resources=[bucket.bucket_arn]),
            iam.PolicyStatement(
                sid="ReadData", actions=["s3:GetObject"], resources=[bucket.arn_for_objects("data/*")]
            ),
            iam.PolicyStatement(
                sid="WriteWhatIsMade",
                actions=["s3:AbortMultipartUpload", "s3:PutObject"],
                resources=[bucket.arn_for_objects("pipelines/*")],
            ),
            iam.PolicyStatement(
                sid="UseTheKeyThroughS3",
                actions=["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
                resources=[key.key_arn],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
            ),
            *self._reading_elsewhere(),
        ):
            made.role.add_to_policy(statement)
            acknowledge_wildcards(made.role, statement, WHY_WILDCARDS)
        return made

    def _pipeline(self, model: str, pipeline: Pipeline, code: Tree) -> None:
        inside = Construct(self, f"Pipeline-{model}")
        asset = assets.Asset(
            inside,
            "Code",
            path=str(code.path),
            asset_hash=code.digest,
            asset_hash_type=cdk.AssetHashType.CUSTOM,
        )
        parameter = ssm.StringParameter.value_for_string_parameter
        store = parameter(self, bucket_parameter(self.stage.name))
        store_key = parameter(self, bucket_key_parameter(self.stage.name))
        promoter = self._role(
            "Promoter",
            f"Measures and publishes versions of {model}",
            [*self._reading_code(asset), *self._publishing(model, store, store_key)],
            scope=inside,
        )
        for statement in self._reading_code(asset):
            self.trainer.add_to_policy(statement)
        engine, recipe = engine_of(code.path, Path("pipeline", Path(pipeline.file).name))
        spark = self._spark_of(model) if engine == "spark" else None
        on_spark: dict[str, str] = {}
        if spark is not None:
            script = assets.Asset(inside, "Script", path=str(code.path / SPARK_SCRIPT))
            for statement in (*self._reading_code(asset), *self._reading_code(script)):
                spark.role.add_to_policy(statement)
            on_spark = {
                "StartJobRun": f"arn:{self.partition}:states:::emr-serverless:startJobRun.sync",
                "Application": spark.application.attr_application_id,
                "Script": script.s3_object_url,
                "Cleaner": spark.role.role_arn,
            }
        training = self.training
        operations = self.function_arn(operations_function_name(self.stage.name))
        name = pipeline_machine_name(self.stage.name, model)
        machine = PipelineMachine(
            inside,
            "Machine",
            name=name,
            jobs=Jobs(
                stage=self.stage.name,
                model=model,
                alias=alias_of(code.path / "pipeline" / Path(pipeline.file).name),
                file=Path(pipeline.file).name,
                image=training.image,
                instance_type=training.instance_type,
                step_instance_type=training.step_instance_type,
                spot=training.spot,
                max_hours=training.max_hours,
                volume_key=self._volume_key(training.instance_type),
                step_volume_key=self._volume_key(training.step_instance_type),
                sign_with=self.stage.signed_by or "",
                spark=str(recipe) if spark else "",
                subnets=self._subnets,
                security_groups=self.stage.vpc_security_groups,
            ),
            substitutions={
                **{
                    f"Create{kind}Job": f"arn:{self.partition}:states:::sagemaker:create{kind}Job.sync"
                    for kind in ("Processing", "Training")
                },
                "Operations": operations,
                "Bucket": self.place.bucket.bucket_name,
                "Key": self.place.key.key_arn,
                "Store": store,
                "Code": asset.s3_object_url,
                "Trainer": self.trainer.role_arn,
                "Promoter": promoter.role_arn,
                **on_spark,
            },
        )
        on_spark_too = self._driving_spark(spark) if spark else []
        for statement in (*self._driving(model, operations, promoter), *on_spark_too):
            machine.role.add_to_policy(statement)
            acknowledge_wildcards(machine.role, statement, WHY_WILDCARDS)
        acknowledge_quiet_machine(machine.machine)
        arn = machine.machine.state_machine_arn
        ssm.StringParameter(
            inside,
            "Parameter",
            parameter_name=pipeline_parameter(self.stage.name, model),
            string_value=arn,
            description=f"Trains and releases {model}",
        )
        self._starting(inside, model, pipeline, name, arn)
        topic = self.format_arn(service="sns", resource=alarm_topic_name(self.stage.name))
        cloudwatch.CfnAlarm(
            inside,
            "Failed",
            alarm_name=model_alarm_name(self.stage.name, model, "pipeline-failed"),
            alarm_description=f"A run of the pipeline of {model} failed, or its shift was taken back: {name}",
            alarm_actions=[topic],
            namespace="AWS/States",
            metric_name="ExecutionsFailed",
            dimensions=[cloudwatch.CfnAlarm.DimensionProperty(name="StateMachineArn", value=arn)],
            statistic="Sum",
            period=300,
            evaluation_periods=1,
            threshold=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="notBreaching",
        )

    def _starting(self, scope: Construct, model: str, pipeline: Pipeline, name: str, arn: str) -> None:
        """What starts it by itself, and the one role that all of it has: it starts this machine."""
        if not (pipeline.schedule or pipeline.on_new_data or pipeline.on_drift):
            return
        principals = ["events.amazonaws.com"] if pipeline.on_new_data or pipeline.on_drift else []
        principals += ["scheduler.amazonaws.com"] if pipeline.schedule else []
        starter = iam.Role(
            scope,
            "Starter",
            path=ROLE_PATH,
            description=f"Starts {name}",
            assumed_by=iam.CompositePrincipal(
                *(
                    iam.ServicePrincipal(who).with_conditions(
                        {"StringEquals": {"aws:SourceAccount": self.account}}
                    )
                    for who in principals
                )
            ),
        )
        starter.add_to_policy(
            iam.PolicyStatement(sid="Start", actions=["states:StartExecution"], resources=[arn])
        )
        if pipeline.schedule:
            scheduler.CfnSchedule(
                scope,
                "Schedule",
                name=name,
                description=f"Trains {model} anew",
                schedule_expression=pipeline.schedule,
                flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
                target=scheduler.CfnSchedule.TargetProperty(
                    arn=arn, role_arn=starter.role_arn, input=_why("the schedule")
                ),
            )
        if pipeline.on_new_data:
            self._rule(
                scope,
                "NewData",
                starter,
                arn,
                _why("new data"),
                {
                    "source": ["aws.s3"],
                    "detail-type": ["Object Created"],
                    "detail": {
                        "bucket": {"name": [self.place.bucket.bucket_name]},
                        "object": {"key": [{"wildcard": f"{new_data_prefix(model)}*{DATA_COMPLETE}"}]},
                    },
                },
            )
        if pipeline.on_drift:
            alarms = [self.alarm_arn(model_alarm_name(self.stage.name, model, what)) for what in DRIFT_ALARMS]
            self._rule(
                scope,
                "Drift",
                starter,
                arn,
                _why("drift"),
                {
                    "source": ["aws.cloudwatch"],
                    "detail-type": ["CloudWatch Alarm State Change"],
                    "resources": alarms,
                    "detail": {"state": {"value": ["ALARM"]}},
                },
            )

    def _rule(
        self, scope: Construct, id_: str, starter: iam.Role, arn: str, why: str, pattern: dict[str, object]
    ) -> None:
        events.CfnRule(
            scope,
            id_,
            description=f"Starts the pipeline: {json.loads(why)['why']}",
            event_pattern=pattern,
            targets=[
                events.CfnRule.TargetProperty(id="Pipeline", arn=arn, role_arn=starter.role_arn, input=why)
            ],
        )

    def _role(
        self, id_: str, does: str, more: list[iam.PolicyStatement], *, scope: Construct | None = None
    ) -> iam.Role:
        role = iam.Role(
            scope or self,
            id_,
            path=ROLE_PATH,
            description=does,
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com").with_conditions(
                {"StringEquals": {"aws:SourceAccount": self.account}}
            ),
        )
        for statement in (*self._working(), *more):
            role.add_to_policy(statement)
            acknowledge_wildcards(role, statement, WHY_WILDCARDS)
        return role

    def _working(self) -> list[iam.PolicyStatement]:
        """What a job does whatever it is for.

        Source: SageMaker developer guide, "CreateTrainingJob API: Execution Role Permissions" and
        "CreateProcessingJob API: Execution Role Permissions", cut to size.
        """
        bucket, key = self.place.bucket, self.place.key
        through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}}
        groups = [
            self.format_arn(
                service="logs",
                resource="log-group",
                resource_name=f"/aws/sagemaker/{kind}Jobs{streams}",
                arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
            )
            for kind in ("Processing", "Training")
            for streams in ("", ":*")
        ]
        found = [
            iam.PolicyStatement(sid="FindData", actions=["s3:ListBucket"], resources=[bucket.bucket_arn]),
            iam.PolicyStatement(
                sid="ReadData",
                actions=["s3:GetObject"],
                resources=[bucket.arn_for_objects(f"{prefix}*") for prefix in ("data/", *MADE)],
            ),
            iam.PolicyStatement(
                sid="WriteWhatIsMade",
                actions=["s3:AbortMultipartUpload", "s3:PutObject"],
                resources=[bucket.arn_for_objects(f"{prefix}*") for prefix in MADE],
            ),
            iam.PolicyStatement(
                sid="UseTheKeyThroughS3",
                # Encrypt: API reference, ``OutputDataConfig.KmsKeyId``.
                actions=["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
                resources=[key.key_arn],
                conditions=through_s3,
            ),
            iam.PolicyStatement(
                sid="WriteLogs",
                actions=[
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                resources=groups,
            ),
            iam.PolicyStatement(
                sid="CountLosses",
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],
                conditions={"StringLike": {"cloudwatch:namespace": ["/aws/sagemaker/*"]}},
            ),
            *pulling(self, self.training.image),
        ]
        found += self._reading_elsewhere()
        if self.stage.endpoint_key:
            found.append(
                iam.PolicyStatement(
                    sid="EncryptDisks",
                    actions=["kms:CreateGrant"],
                    resources=[self.stage.endpoint_key],
                    conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
                )
            )
        if self._subnets:
            found.append(iam.PolicyStatement(sid="JoinNetwork", actions=list(JOIN_NETWORK), resources=["*"]))
        return found

    def _reading_elsewhere(self) -> list[iam.PolicyStatement]:
        reads = self.training.reads
        if not reads:
            return []
        buckets = sorted({arn.partition("/")[0] for arn in reads})
        return [
            iam.PolicyStatement(sid="FindOtherData", actions=["s3:ListBucket"], resources=buckets),
            iam.PolicyStatement(sid="ReadOtherData", actions=["s3:GetObject"], resources=list(reads)),
        ]

    def _spark_of(self, model: str) -> SparkApplication:
        if self.spark is None:
            raise PreflightError(
                f"the data of `{model}` are read on Spark, which stage `{self.stage.name}` does not have",
                hint=f'Add `[stages.{self.stage.name}.training.spark]`, or write `engine = "polars"`.',
            )
        return self.spark

    def _driving_spark(self, spark: SparkApplication) -> list[iam.PolicyStatement]:
        """Begin, follow and stop the data step on Spark.

        Source: Step Functions developer guide, "IAM policies for Amazon EMR Serverless", ``StartJobRun``.
        """
        application = spark.application.attr_arn
        rule = self.format_arn(
            service="events", resource="rule", resource_name="StepFunctionsGetEventsForEMRServerlessJobRule"
        )
        return [
            iam.PolicyStatement(
                sid="BeginOnSpark", actions=["emr-serverless:StartJobRun"], resources=[application]
            ),
            iam.PolicyStatement(
                sid="FollowOnSpark",
                actions=["emr-serverless:CancelJobRun", "emr-serverless:GetJobRun"],
                resources=[f"{application}/jobruns/*"],
            ),
            iam.PolicyStatement(
                sid="RunOnSparkAs",
                actions=["iam:PassRole"],
                resources=[spark.role.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}},
            ),
            iam.PolicyStatement(
                sid="HearOfItsEnd",
                actions=["events:DescribeRule", "events:PutRule", "events:PutTargets"],
                resources=[rule],
            ),
        ]

    def _reading_captured(self, models: list[str]) -> list[iam.PolicyStatement]:
        """What was captured of models that have a pipeline: a source that its ``data.toml`` may name."""
        if not models:
            return []
        names = (capture_bucket_parameter(self.stage.name), capture_key_parameter(self.stage.name))
        bucket, key = (ssm.StringParameter.value_for_string_parameter(self, name) for name in names)
        arn = f"arn:{self.partition}:s3:::{bucket}"
        prefixes = [prefix(model) for model in models for prefix in (captured_prefix, truth_prefix)]
        return [
            iam.PolicyStatement(
                sid="FindCaptures",
                actions=["ssm:GetParameter"],
                resources=[self.format_arn(service="ssm", resource=f"parameter{names[0]}")],
            ),
            iam.PolicyStatement(
                sid="FindCaptured",
                actions=["s3:ListBucket"],
                resources=[arn],
                conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
            ),
            iam.PolicyStatement(
                sid="ReadCaptured",
                actions=["s3:GetObject"],
                resources=[f"{arn}/{prefix}*" for prefix in prefixes],
            ),
            iam.PolicyStatement(
                sid="DecryptCaptured",
                actions=["kms:Decrypt"],
                resources=[key],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
            ),
        ]

    def _reading_code(self, asset: assets.Asset) -> list[iam.PolicyStatement]:
        """The archive of the code, and nothing else of where the CDK puts assets."""
        bucket = f"arn:{self.partition}:s3:::{asset.s3_bucket_name}"
        return [
            iam.PolicyStatement(actions=["s3:GetObject"], resources=[f"{bucket}/{asset.s3_object_key}"]),
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[bucket],
                conditions={"StringEquals": {"s3:prefix": asset.s3_object_key}},
            ),
        ]

    def _publishing(self, model: str, store: str, key: str) -> list[iam.PolicyStatement]:
        """Read the model's versions, and publish one; as publishers may, of this model alone."""
        arn = f"arn:{self.partition}:s3:::{store}"
        own = [f"{arn}/models/{model}/{folder}/*" for folder in (*PUBLISHED, "pins")]
        signing = (
            [
                iam.PolicyStatement(
                    sid="Sign", actions=["kms:DescribeKey", "kms:Sign"], resources=[self.stage.signed_by]
                )
            ]
            if self.stage.signed_by
            else []
        )
        return [
            iam.PolicyStatement(
                sid="FindVersions",
                actions=["s3:ListBucket", "s3:ListBucketMultipartUploads"],
                resources=[arn],
            ),
            iam.PolicyStatement(
                sid="ReadVersions",
                actions=["s3:GetObject"],
                resources=[f"{arn}/blobs/*", f"{arn}/collect/*", f"{arn}/models/{model}/*"],
            ),
            iam.PolicyStatement(sid="Publish", actions=["s3:PutObject"], resources=[f"{arn}/blobs/*", *own]),
            iam.PolicyStatement(
                sid="ContinueUploads",
                actions=["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
                resources=[f"{arn}/blobs/*"],
            ),
            iam.PolicyStatement(
                sid="UseTheStoresKeyThroughS3",
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[key],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
            ),
            *signing,
        ]

    def _driving(self, model: str, operations: str, promoter: iam.Role) -> list[iam.PolicyStatement]:
        """Begin, follow and stop this model's jobs.

        Source: Step Functions developer guide, "Create and manage SageMaker AI jobs with Step Functions";
        Step Functions hears of a job's end by a rule of its own, which it makes when the first one begins.
        """
        prefix = job_prefix(self.stage.name, model)

        def jobs(kind: str) -> str:
            return self.format_arn(service="sagemaker", resource=kind, resource_name=f"{prefix}*")

        rules = [
            self.format_arn(
                service="events",
                resource="rule",
                resource_name=f"StepFunctionsGetEventsForSageMaker{kind}JobsRule",
            )
            for kind in ("Processing", "Training")
        ]
        return [
            *(
                iam.PolicyStatement(
                    sid=f"Drive{kind}",
                    actions=[
                        "sagemaker:AddTags",
                        *(f"sagemaker:{verb}{kind}Job" for verb in ("Create", "Describe", "Stop")),
                    ],
                    resources=[jobs(f"{kind.lower()}-job")],
                )
                for kind in ("Processing", "Training")
            ),
            iam.PolicyStatement(
                sid="RunThemAs",
                actions=["iam:PassRole"],
                resources=[self.trainer.role_arn, promoter.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
            iam.PolicyStatement(
                sid="HearOfTheirEnd",
                actions=["events:DescribeRule", "events:PutRule", "events:PutTargets"],
                resources=rules,
            ),
            iam.PolicyStatement(
                sid="AskOperations", actions=["lambda:InvokeFunction"], resources=[operations]
            ),
        ]

    @property
    def _subnets(self) -> tuple[str, ...]:
        """Where machines stand; a stage may name subnets for those of EC2 alone."""
        return self.stage.vpc_subnets if self.stage.vpc_security_groups else ()

    def _volume_key(self, instance_type: str) -> str:
        """SageMaker takes no key where the machine brings its own disk, which is encrypted by itself."""
        return "" if has_local_disk(instance_type) else self.stage.endpoint_key or ""


def engine_of(code: Path, pipeline: Path) -> tuple[str, Path]:
    """What cleans the data of a pipeline, and where its recipe is; both paths are within ``code``.

    An estimator's recipe and a network's name their data alike. Raises ``PreflightError``.
    """
    try:
        recipe = pipeline.parent / str(tomllib.loads((code / pipeline).read_text("utf-8"))["recipe"])
        data = recipe.parent / str(tomllib.loads((code / recipe).read_text("utf-8"))["data"])
        found = tomllib.loads((code / data).read_text("utf-8"))
    except (OSError, KeyError, ValueError) as error:
        raise PreflightError(
            f"the data of the pipeline `{pipeline.name}` cannot be found: {error}",
            hint="Correct `recipe` in it, or `data` in its recipe.",
        ) from error
    return str(found.get("engine", "polars")), recipe


def alias_of(path: Path) -> str:
    """Which alias a ``pipeline.toml`` releases. What else is in it the jobs read, and refuse, themselves."""
    try:
        return str(tomllib.loads(path.read_text("utf-8")).get("alias", DEFAULT_ALIAS))
    except (OSError, ValueError) as error:
        raise PreflightError(
            f"the pipeline `{path.name}` cannot be read: {error}",
            hint="Correct it, or `pipeline.file` in the catalog.",
        ) from error


def _why(what: str) -> str:
    return json.dumps({"why": what})
