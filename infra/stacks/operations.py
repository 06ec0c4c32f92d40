"""Stateless: the function that answers CloudFormation, and the guard over what is live."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.schema import Model, Stage, moves_in_waves
from dashboards.boards import fleet_board
from infra.acknowledged import acknowledge_quiet_machine, acknowledge_runtime, acknowledge_wildcards
from infra.bundles import Tree
from infra.constructs.marks import Marks, MarksProps
from infra.constructs.messenger import Messenger, MessengerProps
from infra.constructs.python_function import PythonFunction, PythonFunctionProps
from infra.constructs.removal import kept_or_destroyed
from infra.constructs.shifts_machine import ShiftsMachine, ShiftsMachineProps
from infra.pages import shown_model
from infra.preflight import check_environment
from infra.stacks.heavy import guarded
from infra.stacks.stage_stack import CUSTOM_RESOURCE_TIMEOUT_S, StageStack
from model_store.contract.deployment import (
    alarm_period_parameter,
    alarm_topic_name,
    alarm_topic_parameter,
    bucket_key_parameter,
    bucket_parameter,
    cannot_answer_alarm_name,
    fleet_dashboard_name,
    front_function_name,
    keep_awake_rule_name,
    lease_parameter,
    metrics_namespace,
    model_layer_name,
    operations_function_name,
    runtime_layer_name,
    shifts_machine_name,
    shifts_machine_parameter,
    signed_by_parameter,
    stack_name,
)
from model_store.contract.endpoints import EC2, SAGEMAKER
from model_store.contract.environment import (
    ALARM_PERIOD,
    ALARM_TOPIC,
    BUCKET,
    CANNOT_ANSWER_METRIC,
    LEASE,
    SHIFTS,
    SIGNED_BY,
    STAGE,
)

HANDLER = "functions.operations.handler.handler"

DAY_S = 86_400

READ_FUNCTIONS = (
    "lambda:GetAlias",
    "lambda:GetFunction",
    "lambda:GetFunctionConfiguration",
    "lambda:ListAliases",
    "lambda:ListVersionsByFunction",
)
CHANGE_FUNCTIONS = (
    "lambda:CreateAlias",
    "lambda:InvokeFunction",
    "lambda:PublishVersion",
    "lambda:UpdateAlias",
    "lambda:UpdateFunctionConfiguration",
)
KEEP_WARM = (
    "lambda:DeleteProvisionedConcurrencyConfig",
    "lambda:ListProvisionedConcurrencyConfigs",
    "lambda:PutProvisionedConcurrencyConfig",
)

LOOK_AT_FLEETS = (
    "autoscaling:DescribeAutoScalingGroups",
    "ec2:DescribeLaunchTemplateVersions",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTargetHealth",
)

WATCH_RELEASES = ("cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:SetAlarmState")

WHY_WILDCARDS = {
    "ReleaseModels": "The guard must see models that left the catalog too; the prefix is this stage's",
    "CarryModelsInLayers": "Each model has a layer of its own, named after it; the prefix is this stage's",
    "AttachLayers": "Every release makes a new layer version; the prefix is this stage's",
    "ReadModels": "Keys are digests and numbers, made as models are published, in this stage's own bucket",
    "WriteLedgers": "Keys are numbers, one for each release, in this stage's own bucket",
    "WatchReleases": "Each release has alarms of its own, named after it; the prefix is this stage's",
    "LookAround": "Metrics know no resources, alarms are looked for by a prefix in all of them; both read",
    "LookAtEndpoints": "Endpoints are named after the versions they serve; the prefix is this stage's",
    "SayWhichVersion": "An alarm may be about any model of the stage; the prefix is this stage's",
    "ReadLedgers": "Ledgers are of models and aliases as people make them, in this stage's own bucket",
    "ReadMetrics": "Metrics know no resources; it reads, and asks for this stage's only",
    "SayWhy": "Composite alarms are described with no narrower resource; it reads",
    "LookAtFleets": "None of these knows resources; all of them read",
    "BeginToLeadCalls": "Load balancers get an id as they are made; the prefix is this stage's",
    "LeadCalls": "Rules get ids as they are made; the prefix is that of this stage's load balancers",
    "SeeHeadroom": "An account's settings know no resource; it reads",
    "SeeHeadroomOfModels": "The models of a stage, by its prefix; it reads",
    "SeeStacksInMotion": "CloudFormation adds a random id to a stack's ARN; the prefix is this stage's",
}
"""Statements that name more than they can list, and why. A wildcard in any other is a finding."""


class OperationsStack(StageStack):
    """The operations function with least privilege, what calls it, and the guard that models await.

    ``fingerprints`` are those of the models' bases: a deploy that changes one asks the guard first.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        stage: Stage,
        models: Mapping[str, Model],
        fingerprints: Mapping[str, str],
        code: Tree,
        messenger_code: Tree,
        marks_code: Tree,
    ) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern="Operations",
            description=f"Switchyard {stage.name}: makes aliases, guards what is live, re-releases",
        )
        # Read from the parameters when the stack is deployed, not exported by the Store stack: an
        # export in use could not change, and the store must never be blocked by its readers.
        bucket = ssm.StringParameter.value_for_string_parameter(self, bucket_parameter(stage.name))
        key = ssm.StringParameter.value_for_string_parameter(self, bucket_key_parameter(stage.name))
        name = operations_function_name(stage.name)
        topics = self._key_of_topics()
        topic = sns.Topic(
            self,
            "Alarms",
            topic_name=alarm_topic_name(stage.name),
            master_key=topics,
            enforce_ssl=True,
        )
        operations = PythonFunction(
            self,
            "Operations",
            props=PythonFunctionProps(
                name=name,
                description="Answers Switchyard's custom resources",
                handler=HANDLER,
                code=code,
                memory_mb=1_024,
                timeout_s=CUSTOM_RESOURCE_TIMEOUT_S,
                log_retention_days=stage.log_retention_days,
                keep=False,
                environment=check_environment(
                    name,
                    {
                        STAGE: stage.name,
                        BUCKET: bucket,
                        ALARM_TOPIC: topic.topic_arn,
                        ALARM_PERIOD: str(stage.alarm_period_s),
                        LEASE: str(stage.lease_s),
                        **({SIGNED_BY: stage.signed_by} if stage.signed_by else {}),
                        **({SHIFTS: self._shifts_machine()} if self._has_pipelines(models) else {}),
                    },
                ),
            ),
        )
        operations.log_group.grant_write(operations.role)
        for statement in (
            *self._releasing(),
            *self._watching(),
            *self._storing(bucket, key),
            self._seeing_stacks(),
            *self._looking_at_endpoints(models),
            *self._looking_at_fleets(models),
            *self._verifying(),
            *self._serving_pipelines(models),
        ):
            operations.role.add_to_policy(statement)
            if statement.sid in WHY_WILDCARDS:
                acknowledge_wildcards(operations.role, statement, WHY_WILDCARDS[statement.sid])
        acknowledge_runtime(operations)
        self._hear_alarms(topic, operations)
        self._tell_people(topic, topics, messenger_code)
        self._mark_releases(bucket, key, marks_code)
        self._keep_awake(models, topic, operations)
        self._show(models)
        shifts = ShiftsMachine(
            self,
            "Shifts",
            props=ShiftsMachineProps(name=shifts_machine_name(stage.name), operations=operations.function),
        )
        shifts.role.add_to_policy(
            iam.PolicyStatement(
                sid="TakeSteps",
                actions=["lambda:InvokeFunction"],
                resources=[operations.function.function_arn],
            )
        )
        acknowledge_quiet_machine(shifts.machine)
        self._tell_where_they_are(topic, shifts)
        guard = self.custom_resource(
            "Guard",
            type_="Custom::SwitchyardGuard",
            properties={
                "Stage": stage.name,
                "Models": [
                    {
                        "Model": model.name,
                        "Aliases": list(model.aliases),
                        "Fingerprint": fingerprints[model.name],
                        **guarded(model),
                        "ReadsStore": "true" if model.ephemeral_mb else "false",
                        **({"Waves": "true"} if moves_in_waves(stage, model) else {}),
                    }
                    for model in models.values()
                ],
            },
        )
        # The function exists before its permissions are attached; a guard that runs between would
        # fail for want of them.
        guard.node.add_dependency(operations)

    def _hear_alarms(self, topic: sns.Topic, operations: PythonFunction) -> None:
        """Let this account's alarms of releases, and nobody else, speak to the operations function.

        People may subscribe to the topic too: a message there means that a release misbehaves.
        """
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfReleases",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": self.account},
                    "ArnLike": {"aws:SourceArn": self._alarms()},
                },
            )
        )
        lambda_.CfnPermission(
            self,
            "HearAlarms",
            action="lambda:InvokeFunction",
            principal="sns.amazonaws.com",
            function_name=operations.function.function_arn,
            source_arn=topic.topic_arn,
        )
        sns.Subscription(
            self,
            "AlarmsHeard",
            topic=topic,
            protocol=sns.SubscriptionProtocol.LAMBDA,
            endpoint=operations.function.function_arn,
        )

    def _key_of_topics(self) -> kms.Key:
        """The key of both topics, which CloudWatch may use to tell one of them. Nothing rests under it.

        Source: SNS developer guide, "Configuring permissions for AWS services to publish to an encrypted
        topic": a service needs ``kms:GenerateDataKey*`` and ``kms:Decrypt`` in the key's own policy.
        """
        key = kms.Key(
            self,
            "TopicsKey",
            description="Encrypts what alarms and messages say on their way",
            enable_key_rotation=True,
            removal_policy=kept_or_destroyed(keep=self.stage.keep_data),
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccount",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        return key

    def _tell_people(self, topic: sns.Topic, key: kms.Key, code: Tree) -> None:
        """Let the messenger look up what a message needs, and send it. It changes nothing."""
        stage = self.stage
        messenger = Messenger(
            self,
            "Messenger",
            props=MessengerProps(
                stage=stage.name,
                alarms=topic,
                key=key,
                messages=stage.messages,
                code=code,
                log_retention_days=stage.log_retention_days,
            ),
        )
        function = messenger.function
        lambda_.CfnPermission(
            self,
            "HearAlarmsToo",
            action="lambda:InvokeFunction",
            principal="sns.amazonaws.com",
            function_name=function.function.function_arn,
            source_arn=topic.topic_arn,
        )
        function.log_group.grant_write(function.role)
        secrets = [name for name in (stage.messages.slack_webhook, stage.messages.pagerduty_key) if name]
        statements = [
            iam.PolicyStatement(
                sid="SayWhichVersion",
                actions=["lambda:GetFunctionConfiguration"],
                resources=[self.function_arn(f"switchyard-{stage.name}-*")],
            ),
            iam.PolicyStatement(sid="SayWhy", actions=["cloudwatch:DescribeAlarms"], resources=["*"]),
            iam.PolicyStatement(
                sid="SendMessages", actions=["sns:Publish"], resources=[messenger.topic.topic_arn]
            ),
            iam.PolicyStatement(
                sid="EncryptMessages",
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[key.key_arn],
            ),
        ]
        if secrets:
            # SecureStrings under AWS's own key for SSM need no permission on that.
            statements.append(
                iam.PolicyStatement(
                    sid="ReadReceivers",
                    actions=["ssm:GetParameter"],
                    resources=[
                        self.format_arn(service="ssm", resource=f"parameter{name}") for name in secrets
                    ],
                )
            )
        for statement in statements:
            function.role.add_to_policy(statement)
            if statement.sid in WHY_WILDCARDS:
                acknowledge_wildcards(function.role, statement, WHY_WILDCARDS[statement.sid])
        acknowledge_runtime(function)

    def _mark_releases(self, bucket: str, key: str, code: Tree) -> None:
        """Let the pages' function read ledgers and metrics. Who looks at a page calls it with their own."""
        stage = self.stage
        props = MarksProps(
            stage=stage.name, bucket=bucket, code=code, log_retention_days=stage.log_retention_days
        )
        function = Marks(self, "Marks", props=props).function
        function.log_group.grant_write(function.role)
        arn = f"arn:{self.partition}:s3:::{bucket}"
        ledgers = [f"models/*/{folder}/*" for folder in ("pages", "releases")]
        for statement in (
            iam.PolicyStatement(
                sid="FindLedgers",
                actions=["s3:ListBucket"],
                resources=[arn],
                conditions={"StringLike": {"s3:prefix": ledgers}},
            ),
            iam.PolicyStatement(
                sid="ReadLedgers",
                actions=["s3:GetObject"],
                resources=[f"{arn}/{keys}" for keys in ledgers],
            ),
            iam.PolicyStatement(
                sid="DecryptLedgersThroughS3",
                actions=["kms:Decrypt"],
                resources=[key],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
            ),
            iam.PolicyStatement(sid="ReadMetrics", actions=["cloudwatch:GetMetricData"], resources=["*"]),
        ):
            function.role.add_to_policy(statement)
            if statement.sid in WHY_WILDCARDS:
                acknowledge_wildcards(function.role, statement, WHY_WILDCARDS[statement.sid])
        acknowledge_runtime(function)

    def _show(self, models: Mapping[str, Model]) -> None:
        """The page of all models."""
        shown = [shown_model(self.stage.name, model) for model in models.values()]
        body = fleet_board(self.stage.name, shown, region=self.region, alarm_arn=self.alarm_arn(""))
        cloudwatch.CfnDashboard(
            self,
            "Dashboard",
            dashboard_name=fleet_dashboard_name(self.stage.name),
            dashboard_body=self.to_json_string(body),
        )

    def _keep_awake(self, models: Iterable[str], topic: sns.Topic, operations: PythonFunction) -> None:
        """Once a day, ask what serves and what a rollback would go to; an alarm says who is silent."""
        rule = events.CfnRule(
            self,
            "KeepAwake",
            name=keep_awake_rule_name(self.stage.name),
            description="Asks every live version and every rollback target whether it can answer",
            schedule_expression="rate(1 day)",
            targets=[
                events.CfnRule.TargetProperty(
                    id="Operations",
                    arn=operations.function.function_arn,
                    input=json.dumps({"action": "keep-awake"}),
                )
            ],
        )
        lambda_.CfnPermission(
            self,
            "MayAskOnceADay",
            action="lambda:InvokeFunction",
            principal="events.amazonaws.com",
            function_name=operations.function.function_arn,
            source_arn=rule.attr_arn,
        )
        alarms = Construct(self, "CannotAnswer")
        for model in models:
            cloudwatch.CfnAlarm(
                alarms,
                model,
                alarm_name=cannot_answer_alarm_name(self.stage.name, model),
                alarm_description=f"What {model} serves or would go back to could not answer: `yard status`",
                alarm_actions=[topic.topic_arn],
                namespace=metrics_namespace(self.stage.name),
                metric_name=CANNOT_ANSWER_METRIC,
                dimensions=[cloudwatch.CfnAlarm.DimensionProperty(name="model", value=model)],
                statistic="Maximum",
                period=DAY_S,
                evaluation_periods=1,
                threshold=1,
                comparison_operator="GreaterThanOrEqualToThreshold",
                treat_missing_data="notBreaching",
            )

    def _tell_where_they_are(self, topic: sns.Topic, shifts: ShiftsMachine) -> None:
        stage = self.stage.name
        for id_, parameter, value, description in (
            (
                "ShiftsParameter",
                shifts_machine_parameter(stage),
                shifts.machine.state_machine_arn,
                "Takes releases in steps",
            ),
            (
                "TopicParameter",
                alarm_topic_parameter(stage),
                topic.topic_arn,
                "Where the alarms of releases report",
            ),
            (
                "PeriodParameter",
                alarm_period_parameter(stage),
                str(self.stage.alarm_period_s),
                "The period of those alarms in seconds",
            ),
            (
                "LeaseParameter",
                lease_parameter(stage),
                str(self.stage.lease_s),
                "How many seconds a killed release blocks the next one",
            ),
            *(
                [
                    (
                        "SignedByParameter",
                        signed_by_parameter(stage),
                        self.stage.signed_by,
                        "The key that must have signed what is released",
                    )
                ]
                if self.stage.signed_by
                else []
            ),
        ):
            ssm.StringParameter(
                self, id_, parameter_name=parameter, string_value=value, description=description
            )

    def _has_pipelines(self, models: Mapping[str, Model]) -> bool:
        return self.stage.training is not None and any(model.pipeline for model in models.values())

    def _shifts_machine(self) -> str:
        """Its ARN by its name: the machine names this function, and neither can be made after the other."""
        return self.format_arn(
            service="states",
            resource="stateMachine",
            resource_name=shifts_machine_name(self.stage.name),
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )

    def _serving_pipelines(self, models: Mapping[str, Model]) -> tuple[iam.PolicyStatement, ...]:
        """Begin a shift, which people do otherwise, and look first whether the account has room for it."""
        if not self._has_pipelines(models):
            return ()
        return (
            iam.PolicyStatement(
                sid="BeginShifts", actions=["states:StartExecution"], resources=[self._shifts_machine()]
            ),
            iam.PolicyStatement(sid="SeeHeadroom", actions=["lambda:GetAccountSettings"], resources=["*"]),
            iam.PolicyStatement(
                sid="SeeHeadroomOfModels",
                actions=["lambda:GetFunctionConcurrency"],
                resources=[self.function_arn(f"switchyard-{self.stage.name}-*")],
            ),
        )

    def _alarms(self) -> str:
        return self.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=f"switchyard/{self.stage.name}/*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )

    def _watching(self) -> tuple[iam.PolicyStatement, ...]:
        """What alarms need that take a release back, and looking at what it does."""
        return (
            iam.PolicyStatement(
                sid="WatchReleases", actions=list(WATCH_RELEASES), resources=[self._alarms()]
            ),
            iam.PolicyStatement(
                sid="LookAround",
                actions=["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData"],
                resources=["*"],
            ),
        )

    def _seeing_stacks(self) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            sid="SeeStacksInMotion",
            actions=["cloudformation:DescribeStacks"],
            resources=[
                self.format_arn(
                    service="cloudformation",
                    resource="stack",
                    resource_name=stack_name(self.stage.name, "*/*"),
                )
            ],
        )

    def _looking_at_endpoints(self, models: Mapping[str, Model]) -> tuple[iam.PolicyStatement, ...]:
        """Whether a version has an endpoint, before it is released on it."""
        if not any(model.target == SAGEMAKER for model in models.values()):
            return ()
        every = [
            self.format_arn(
                service="sagemaker", resource=kind, resource_name=f"switchyard-{self.stage.name}-*"
            )
            for kind in ("endpoint", "endpoint-config", "inference-component", "model")
        ]
        # Down to the container: an endpoint that was put back in silence names another configuration (law 9).
        looks = [
            "sagemaker:DescribeEndpoint",
            "sagemaker:DescribeEndpointConfig",
            "sagemaker:DescribeInferenceComponent",
            "sagemaker:DescribeModel",
        ]
        found = [iam.PolicyStatement(sid="LookAtEndpoints", actions=looks, resources=every)]
        theirs = [
            self.format_arn(service="sagemaker", resource="endpoint", resource_name=name)
            for model in models.values()
            for name in model.adopted
        ]
        if theirs:
            look = ["sagemaker:DescribeEndpoint"]
            found.append(iam.PolicyStatement(sid="LookAtAdopted", actions=look, resources=theirs))
        return tuple(found)

    def _verifying(self) -> tuple[iam.PolicyStatement, ...]:
        """A release in steps verifies what it prepares; nobody here signs."""
        if self.stage.signed_by is None:
            return ()
        verify = iam.PolicyStatement(
            sid="VerifySignatures", actions=["kms:Verify"], resources=[self.stage.signed_by]
        )
        return (verify,)

    def _looking_at_fleets(self, models: Mapping[str, Model]) -> tuple[iam.PolicyStatement, ...]:
        """The same on EC2, and where gRPC calls go: they are led where the alias leads."""
        if not any(model.target == EC2 for model in models.values()):
            return ()
        looking = iam.PolicyStatement(sid="LookAtFleets", actions=list(LOOK_AT_FLEETS), resources=["*"])
        if self.stage.grpc_certificate is None:
            return (looking,)
        inside = f"app/switchyard-{self.stage.name}-*"
        return (
            looking,
            *(
                iam.PolicyStatement(
                    sid=sid,
                    actions=actions,
                    resources=[
                        self.format_arn(
                            service="elasticloadbalancing", resource=kind, resource_name=f"{inside}/*"
                        )
                    ],
                )
                for sid, kind, actions in (
                    ("BeginToLeadCalls", "listener", ["elasticloadbalancing:CreateRule"]),
                    (
                        "LeadCalls",
                        "listener-rule",
                        ["elasticloadbalancing:DeleteRule", "elasticloadbalancing:ModifyRule"],
                    ),
                )
            ),
        )

    def _releasing(self) -> tuple[iam.PolicyStatement, ...]:
        """What preparing and moving an alias needs.

        No ``iam:PassRole``: Lambda asks for it when a call names a role, and a release never does.
        """
        every_model = self.function_arn(f"switchyard-{self.stage.name}-*")
        platform = [
            self.function_arn(name + suffix)
            for name in (operations_function_name(self.stage.name), front_function_name(self.stage.name))
            for suffix in ("", ":*")
        ]
        model_layers = self._layer_arn(model_layer_name(self.stage.name, "a").replace("-a-", "-*-"))
        runtime_layers = self._layer_arn(runtime_layer_name(self.stage.name, "a").replace("-a-", "-*-"))
        return (
            iam.PolicyStatement(
                sid="ReleaseModels",
                actions=[*READ_FUNCTIONS, *CHANGE_FUNCTIONS, *KEEP_WARM],
                resources=[every_model],
            ),
            # The prefix above covers the platform's own functions too. Nobody needs it to change them.
            iam.PolicyStatement(
                sid="NeverItself",
                effect=iam.Effect.DENY,
                actions=[*CHANGE_FUNCTIONS, *KEEP_WARM],
                resources=platform,
            ),
            iam.PolicyStatement(
                sid="CarryModelsInLayers", actions=["lambda:PublishLayerVersion"], resources=[model_layers]
            ),
            iam.PolicyStatement(
                sid="AttachLayers",
                actions=["lambda:GetLayerVersion"],
                resources=[f"{model_layers}:*", f"{runtime_layers}:*"],
            ),
        )

    def _storing(self, bucket: str, key: str) -> tuple[iam.PolicyStatement, ...]:
        """Read models and ledgers, write ledgers. Blobs are written by who publishes, not by us."""
        bucket_arn = f"arn:{self.partition}:s3:::{bucket}"
        return (
            iam.PolicyStatement(sid="FindKeys", actions=["s3:ListBucket"], resources=[bucket_arn]),
            iam.PolicyStatement(sid="ReadModels", actions=["s3:GetObject"], resources=[f"{bucket_arn}/*"]),
            iam.PolicyStatement(
                # layers/ holds models on their way into a Lambda layer, when they exceed a request.
                sid="WriteLedgers",
                actions=["s3:PutObject"],
                resources=[f"{bucket_arn}/models/*", f"{bucket_arn}/layers/*"],
            ),
            iam.PolicyStatement(
                sid="UseTheKeyThroughS3",
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[key],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
            ),
        )

    def _layer_arn(self, name: str) -> str:
        return self.format_arn(
            service="lambda",
            resource="layer",
            resource_name=name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
