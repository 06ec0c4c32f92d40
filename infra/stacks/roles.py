"""Stateless: the roles of people and pipelines, each with the least that its commands need.

Each is a role to assume and a managed policy of the same name, to attach to a permission set instead; those
of releasers and on-call come with the readers' policy besides. What a role may do is written here and nowhere
else: ``tests/infrastructure/stacks/test_roles.py`` holds the list of actions, and
``tests/end_to_end/test_strict.py`` runs every command as every role.

IAM sees calls, not intentions: who may move an alias back may move it anywhere that was prepared.
"""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.schema import Model, Stage
from infra.acknowledged import acknowledge_wildcards
from infra.constructs.python_function import ROLE_PATH
from infra.stacks.operations import KEEP_WARM, LOOK_AT_FLEETS
from infra.stacks.stage_stack import StageStack
from model_store.contract.deployment import (
    api_id_parameter,
    bucket_key_parameter,
    bucket_parameter,
    collector_role_parameter,
    fleet_dashboard_name,
    front_function_name,
    marks_function_name,
    messenger_function_name,
    model_layer_name,
    monitor_function_name,
    operations_function_name,
    parameters_path,
    role_name,
    runtime_layer_name,
    shifts_machine_name,
)
from model_store.contract.endpoints import EC2, SAGEMAKER

POLICY_LIMIT = 6_144
"""Characters of a managed policy without white space. Source: IAM and STS quotas."""

READ_FUNCTIONS = (
    "lambda:GetAlias",
    "lambda:GetFunctionConcurrency",
    "lambda:GetFunctionConfiguration",
    "lambda:ListAliases",
    "lambda:ListProvisionedConcurrencyConfigs",
    "lambda:ListVersionsByFunction",
)
MOVE_ALIASES = ("lambda:CreateAlias", "lambda:InvokeFunction", "lambda:UpdateAlias")
PREPARE = ("lambda:PublishVersion", "lambda:UpdateFunctionConfiguration")
START_AND_STOP = tuple(action for action in KEEP_WARM if ":List" not in action)
CHANGE = (*MOVE_ALIASES, *PREPARE, *START_AND_STOP)
DRAWS_ONLY = tuple(action for action in CHANGE if action != "lambda:InvokeFunction")

PUBLISHED = ("baselines", "digests", "edge", "indexed", "reports", "signatures", "versions")
MOVED = ("pages", "plans", "releases")
PREPARED = ("lease", "prepared", "shifts", "unfit")
"""The folders of a model in the store that publishing, moving an alias and preparing a version write to."""

WAVED = ("models/*/bases/*.accepted", "rebases/*", "waves/*")
"""What a rebase in waves writes down. The bases themselves are a deploy's."""

DENY = iam.Effect.DENY

WHY_WILDCARDS = (
    "Models, versions, blobs, metrics and executions are made as people work; the prefix is this stage's "
    "wherever AWS knows one"
)
"""Statements of a role name prefixes, since a role outlives every model that it is for."""


class RolesStack(StageStack):
    """The roles of people and pipelines in one stage. The collector's is the store's own.

    Who may assume them stands in the catalog (``publishers`` and the like); without that, whoever the
    account's own policies allow.
    """

    def __init__(self, scope: Construct, *, stage: Stage, models: Mapping[str, Model]) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern="Roles",
            description=f"Switchyard {stage.name}: what publishers, releasers, on-call and readers may do",
        )
        self._targets = {model.target for model in models.values()}
        self._adopted = [name for model in models.values() for name in model.adopted]
        parameter = ssm.StringParameter.value_for_string_parameter
        self._bucket = f"arn:{self.partition}:s3:::{parameter(self, bucket_parameter(stage.name))}"
        self._key = parameter(self, bucket_key_parameter(stage.name))
        self._collector = parameter(self, collector_role_parameter(stage.name))
        self._api = parameter(self, api_id_parameter(stage.name))
        self._functions = self.function_arn(f"switchyard-{stage.name}-*")

        moving = [*self._moving(), *self._calling()]
        reader = self._role(
            "Reader",
            "Sees everything and changes nothing",
            stage.readers,
            [*self._reading_store(), *self._looking()],
        )
        publisher = self._role(
            "Publisher",
            "Stores versions of models",
            stage.publishers,
            [*self._reading_store(), *self._publishing()],
        )
        releaser = self._role(
            "Releaser",
            "Prepares, checks and releases versions, and takes them back",
            stage.releasers,
            [*moving, *self._preparing()],
            besides=(reader,),
        )
        self._role("OnCall", "Flips, stops and rolls back", stage.on_call, moving, besides=(reader,))
        self._role(
            "Restorer",
            "Brings a lost region's models and ledgers here, and releases what was live",
            stage.restorers,
            [self._writing("BringTombstones", *_folders("removed"))],
            besides=(reader, publisher, releaser),
        )
        self._role(
            "Deployer",
            "Deploys the stacks through the roles of the CDK's bootstrap",
            stage.deployers,
            [*self._reading_store(), self._deploying()],
        )

    def _role(
        self,
        who: str,
        does: str,
        trusted: tuple[str, ...],
        statements: list[iam.PolicyStatement],
        besides: tuple[iam.ManagedPolicy, ...] = (),
    ) -> iam.ManagedPolicy:
        """A role and its policy. ``besides`` are others' that it carries too: together they are too long."""
        name = role_name(self.stage.name, who, self.region)
        policy = iam.ManagedPolicy(
            self,
            f"{who}Policy",
            managed_policy_name=name,
            path=ROLE_PATH,
            description=f"{does}: Switchyard {self.stage.name}",
            statements=statements,
        )
        for statement in statements:
            acknowledge_wildcards(policy, statement, WHY_WILDCARDS)
        principals: list[iam.IPrincipal] = [iam.ArnPrincipal(arn) for arn in trusted]
        role = iam.Role(
            self,
            who,
            role_name=name,
            path=ROLE_PATH,
            description=f"{does}: Switchyard {self.stage.name}",
            assumed_by=iam.CompositePrincipal(*(principals or [iam.AccountRootPrincipal()])),
            managed_policies=[policy, *besides],
            max_session_duration=cdk.Duration.hours(1),
        )
        cdk.CfnOutput(self, f"{who}Arn", value=role.role_arn, description=does)
        return policy

    def _reading_store(self) -> list[iam.PolicyStatement]:
        """What finding a stage and reading models and ledgers needs."""
        path = parameters_path(self.stage.name).strip("/")
        parameters = [
            self.format_arn(service="ssm", resource="parameter", resource_name=name)
            for name in (path, f"{path}/*")
        ]
        return [
            _allow("FindStage", ["ssm:GetParametersByPath"], parameters),
            _allow("FindKeys", ["s3:ListBucket"], [self._bucket]),
            _allow("ReadModels", ["s3:GetObject"], [f"{self._bucket}/*"]),
            self._using_key("kms:Decrypt"),
            *self._with_signing_key("VerifySignatures", "kms:Verify"),
        ]

    def _publishing(self) -> list[iam.PolicyStatement]:
        """Blobs and manifests, once each; a broken upload is found and continued."""
        return [
            self._writing("Publish", "blobs/*", *_folders(*PUBLISHED, "pins")),
            _allow("FindUploads", ["s3:ListBucketMultipartUploads"], [self._bucket]),
            _allow(
                "ContinueUploads",
                ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
                [f"{self._bucket}/blobs/*"],
            ),
            self._using_key("kms:GenerateDataKey", sid="Encrypt"),
            *self._with_signing_key("Sign", "kms:DescribeKey", "kms:Sign"),
        ]

    def _looking(self) -> list[iam.PolicyStatement]:
        """What is live, how it does, and what a plan of a release or a collection rests on."""
        logs = self.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"/aws/lambda/switchyard-{self.stage.name}-*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        found = [
            _allow("ReadFunctions", READ_FUNCTIONS, [self._functions]),
            _allow("ReadLayers", ["lambda:GetLayerVersion"], self._layers("model:*", "runtime:*")),
            _allow(
                "LookAround",
                [
                    "cloudwatch:DescribeAlarms",
                    "cloudwatch:GetMetricData",
                    "cloudwatch:ListMetrics",
                    "lambda:GetAccountSettings",
                    "lambda:ListLayerVersions",
                    "logs:GetQueryResults",
                    "servicequotas:ListAWSDefaultServiceQuotas",
                    "servicequotas:ListServiceQuotas",
                ],
                ["*"],
            ),
            _allow("ReadLogs", ["logs:FilterLogEvents", "logs:StartQuery"], [logs]),
            _allow("SeePages", ["cloudwatch:GetDashboard"], self._pages()),
            # CloudWatch asks it in the name of who looks at a page.
            _allow("SeeMarks", ["lambda:InvokeFunction"], self._marks()),
            _allow("FollowShifts", ["states:DescribeExecution"], [self._executions()]),
            _allow("SeeUploads", ["s3:ListBucketMultipartUploads"], [self._bucket]),
            # Whose sizes a collection's plan adds up.
            _allow("MeasureUploads", ["s3:ListMultipartUploadParts"], self._keys("blobs/*", "layers/*")),
        ]
        if SAGEMAKER in self._targets:
            endpoints = [
                self.format_arn(
                    service="sagemaker", resource=kind, resource_name=f"switchyard-{self.stage.name}-*"
                )
                for kind in ("endpoint", "endpoint-config", "model")
            ]
            looks = ("DescribeEndpoint", "DescribeEndpointConfig", "DescribeModel")
            found.append(_allow("SeeEndpoints", [f"sagemaker:{look}" for look in looks], endpoints))
            theirs = [
                self.format_arn(service="sagemaker", resource="endpoint", resource_name=name)
                for name in self._adopted
            ]
            if theirs:
                found.append(_allow("SeeAdoptedEndpoints", ["sagemaker:DescribeEndpoint"], theirs))
            found.append(_allow("ListEndpoints", ["sagemaker:ListEndpoints"], ["*"]))
            found.append(self._reading_containers("ReadEndpointLogs", "/aws/sagemaker/Endpoints"))
        if EC2 in self._targets:
            found.append(_allow("SeeFleets", LOOK_AT_FLEETS, ["*"]))
            found.append(self._reading_containers("ReadFleetLogs", "/switchyard/endpoints"))
        return found

    def _reading_containers(self, sid: str, where: str) -> iam.PolicyStatement:
        """What containers wrote. Each endpoint has a log group of its own, named like it."""
        groups = self.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"{where}/switchyard-{self.stage.name}-*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        return _allow(sid, ["logs:FilterLogEvents", "logs:StartQuery"], [groups])

    def _moving(self) -> list[iam.PolicyStatement]:
        """One call moves the alias; the rest is the ledger, the alarms and what is kept started."""
        alarms = self.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=f"switchyard/{self.stage.name}/*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        return [
            _allow("MoveAliases", [*MOVE_ALIASES, *START_AND_STOP], [self._functions]),
            # The prefix covers the platform's own functions too. Nobody here needs them.
            _allow("NeverThePlatform", CHANGE, self._platform(), effect=DENY),
            _allow("NeverWhatDraws", DRAWS_ONLY, self._marks(), effect=DENY),
            # Who moves may note that a shift ended, and not claim one.
            self._writing("WriteLedgers", *_folders(*MOVED), "models/*/shifts/*.ended"),
            self._using_key("kms:GenerateDataKey", sid="Encrypt"),
            _allow("WatchReleases", ["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"], [alarms]),
            _allow("StopShifts", ["states:StopExecution"], [self._executions()]),
            *self._leading_calls(),
        ]

    def _preparing(self) -> list[iam.PolicyStatement]:
        """``$LATEST`` under the lease, layers, shifts, and the way to the collector's role."""
        machine = self.format_arn(
            service="states",
            resource="stateMachine",
            resource_name=shifts_machine_name(self.stage.name),
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        return [
            _allow("Prepare", PREPARE, [self._functions]),
            _allow("CarryModelsInLayers", ["lambda:PublishLayerVersion"], self._layers("model")),
            self._writing("WritePreparations", *_folders(*PREPARED, "pins"), "layers/*", *WAVED),
            _allow("StartShifts", ["states:StartExecution"], [machine]),
            # Its own trust policy (`collectors`) decides; this only lets them ask.
            _allow("AskToCollect", ["sts:AssumeRole"], [self._collector]),
        ]

    def _calling(self) -> list[iam.PolicyStatement]:
        """Models through the API, to see whether what was moved answers."""
        api = self.format_arn(service="execute-api", resource=self._api, resource_name="*/*")
        return [_allow("CallModels", ["execute-api:Invoke"], [api])]

    def _deploying(self) -> iam.PolicyStatement:
        """The roles that ``cdk bootstrap`` made; what they may do was decided there."""
        qualifier = self.synthesizer.bootstrap_qualifier
        roles = [
            f"arn:{self.partition}:iam::{self.account}:role/cdk-{qualifier}-{kind}-role-{self.account}-{region}"
            for region in (self.region, *self._other_region())
            for kind in ("deploy", "file-publishing", "image-publishing", "lookup")
        ]
        return _allow("DeployThroughTheBootstrap", ["sts:AssumeRole"], roles)

    def _other_region(self) -> list[str]:
        """Where the stage has a stack besides: the copy of its store."""
        replica = self.stage.replica
        return [replica.region] if replica is not None and replica.region else []

    def _leading_calls(self) -> list[iam.PolicyStatement]:
        """gRPC calls follow the alias by rules of load balancers that no template holds."""
        if EC2 not in self._targets or self.stage.grpc_certificate is None:
            return []
        inside = f"app/switchyard-{self.stage.name}-*/*"

        def balanced(kind: str) -> list[str]:
            return [self.format_arn(service="elasticloadbalancing", resource=kind, resource_name=inside)]

        changes = ["elasticloadbalancing:DeleteRule", "elasticloadbalancing:ModifyRule"]
        return [
            _allow("BeginToLeadCalls", ["elasticloadbalancing:CreateRule"], balanced("listener")),
            _allow("LeadCalls", changes, balanced("listener-rule")),
        ]

    def _writing(self, sid: str, *keys: str) -> iam.PolicyStatement:
        return _allow(sid, ["s3:PutObject"], self._keys(*keys))

    def _keys(self, *keys: str) -> list[str]:
        return [f"{self._bucket}/{key}" for key in keys]

    def _using_key(self, action: str, *, sid: str = "Decrypt") -> iam.PolicyStatement:
        """Through S3 only: nobody decrypts by hand."""
        return iam.PolicyStatement(
            sid=sid,
            actions=[action],
            resources=[self._key],
            conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
        )

    def _with_signing_key(self, sid: str, *actions: str) -> list[iam.PolicyStatement]:
        """Only where the stage has one. The key's own policy has to allow it too."""
        return [_allow(sid, list(actions), [self.stage.signed_by])] if self.stage.signed_by else []

    def _platform(self) -> list[str]:
        named = (
            *(operations_function_name, front_function_name),
            *(messenger_function_name, monitor_function_name),
        )
        names = [name(self.stage.name) for name in named]
        return [self.function_arn(name + suffix) for name in names for suffix in ("", ":*")]

    def _marks(self) -> list[str]:
        name = marks_function_name(self.stage.name)
        return [self.function_arn(name + suffix) for suffix in ("", ":*")]

    def _pages(self) -> list[str]:
        """Dashboards, which belong to no region."""
        page = fleet_dashboard_name(self.stage.name)
        return [
            self.format_arn(service="cloudwatch", region="", resource="dashboard", resource_name=name)
            for name in (page, f"{page}-*")
        ]

    def _layers(self, *kinds: str) -> list[str]:
        of = {"model": model_layer_name, "runtime": runtime_layer_name}
        found = []
        for kind in kinds:
            name, _, version = kind.partition(":")
            layer = of[name](self.stage.name, "a").replace("-a-", "-*-")
            found.append(self._lambda_layer(f"{layer}:{version}" if version else layer))
        return found

    def _lambda_layer(self, name: str) -> str:
        return self.format_arn(
            service="lambda",
            resource="layer",
            resource_name=name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )

    def _executions(self) -> str:
        return self.format_arn(
            service="states",
            resource="execution",
            resource_name=f"{shifts_machine_name(self.stage.name)}:*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )


def _folders(*names: str) -> tuple[str, ...]:
    return tuple(f"models/*/{name}/*" for name in names)


def _allow(
    sid: str,
    actions: tuple[str, ...] | list[str],
    resources: list[str],
    *,
    effect: iam.Effect = iam.Effect.ALLOW,
) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, effect=effect, actions=list(actions), resources=resources)
