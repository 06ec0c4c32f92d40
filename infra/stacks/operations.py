"""Stateless: the function that answers CloudFormation, and the guard over what is live."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.schema import Model, Stage
from infra.acknowledged import acknowledge_runtime, acknowledge_wildcards
from infra.bundles import Tree
from infra.constructs.python_function import PythonFunction, PythonFunctionProps
from infra.preflight import check_environment
from infra.stacks.stage_stack import CUSTOM_RESOURCE_TIMEOUT_S, StageStack
from model_store.contract.deployment import (
    bucket_key_parameter,
    bucket_parameter,
    front_function_name,
    model_layer_name,
    operations_function_name,
    runtime_layer_name,
    stack_name,
)
from model_store.contract.environment import BUCKET, STAGE

HANDLER = "functions.operations.handler.handler"

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

WHY_WILDCARDS = {
    "ReleaseModels": "The guard must see models that left the catalog too; the prefix is this stage's",
    "CarryModelsInLayers": "Each model has a layer of its own, named after it; the prefix is this stage's",
    "AttachLayers": "Every release makes a new layer version; the prefix is this stage's",
    "ReadModels": "Keys are digests and numbers, made as models are published, in this stage's own bucket",
    "WriteLedgers": "Keys are numbers, one for each release, in this stage's own bucket",
    "SeeStacksInMotion": "CloudFormation adds a random id to a stack's ARN; the prefix is this stage's",
}
"""Statements that name more than they can list, and why. A wildcard in any other is a finding."""


class OperationsStack(StageStack):
    """The operations function with least privilege, and ``guard``, which every model stack awaits."""

    def __init__(self, scope: Construct, *, stage: Stage, models: Mapping[str, Model], code: Tree) -> None:
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
                environment=check_environment(name, {STAGE: stage.name, BUCKET: bucket}),
            ),
        )
        operations.log_group.grant_write(operations.role)
        for statement in (*self._releasing(), *self._storing(bucket, key), self._seeing_stacks()):
            operations.role.add_to_policy(statement)
            if statement.sid in WHY_WILDCARDS:
                acknowledge_wildcards(operations.role, statement, WHY_WILDCARDS[statement.sid])
        acknowledge_runtime(operations)
        guard = self.custom_resource(
            "Guard",
            type_="Custom::SwitchyardGuard",
            properties={
                "Stage": stage.name,
                "Models": [
                    {"Model": model.name, "Aliases": list(model.aliases)} for model in models.values()
                ],
            },
        )
        # The function exists before its permissions are attached; a guard that runs between would
        # fail for want of them.
        guard.node.add_dependency(operations)

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
                actions=[*READ_FUNCTIONS, *CHANGE_FUNCTIONS],
                resources=[every_model],
            ),
            # The prefix above covers the platform's own functions too. Nobody needs it to change them.
            iam.PolicyStatement(
                sid="NeverItself",
                effect=iam.Effect.DENY,
                actions=list(CHANGE_FUNCTIONS),
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
