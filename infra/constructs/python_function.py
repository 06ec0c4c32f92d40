"""A Lambda function of ours, with its own role and its own log group, and no permission yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.bundles import Tree
from infra.constructs.removal import kept_or_destroyed

RUNTIME = lambda_.Runtime.PYTHON_3_13
"""What the runtime layers are built for; raising it means building and measuring them again."""

ARCHITECTURES = {"x86_64": lambda_.Architecture.X86_64, "arm64": lambda_.Architecture.ARM_64}

ROLE_PATH = "/switchyard/"


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonFunctionProps:
    """What a function is. ``keep`` holds on to function and logs when the stack goes."""

    name: str
    description: str
    handler: str
    code: Tree
    memory_mb: int
    timeout_s: int
    log_retention_days: int
    keep: bool
    environment: Mapping[str, str]
    architecture: str = "x86_64"
    layers: tuple[lambda_.ILayerVersion, ...] = field(default=())
    snapstart: bool = False
    tracing: bool = False
    ephemeral_mb: int | None = None
    subnets: tuple[str, ...] = field(default=())
    security_groups: tuple[str, ...] = field(default=())


class PythonFunction(Construct):
    """``function``, ``role`` and ``log_group``; the stack decides what the role may do."""

    def __init__(self, scope: Construct, id_: str, *, props: PythonFunctionProps) -> None:
        super().__init__(scope, id_)
        # Role and policy stay with the function: without its role a kept function cannot run.
        removal = kept_or_destroyed(keep=props.keep)
        cdk.RemovalPolicies.of(self).apply(removal)
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/lambda/{props.name}",
            retention=retention(props.log_retention_days),
            removal_policy=removal,
        )
        # No managed policy: AWSLambdaBasicExecutionRole may write to every log group of the account.
        self.role = iam.Role(
            self,
            "Role",
            path=ROLE_PATH,
            description=f"Runs {props.name}",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=props.name,
            description=props.description,
            runtime=RUNTIME,
            architecture=ARCHITECTURES[props.architecture],
            handler=props.handler,
            # The digest is ours, so that the same code is the same asset on every machine.
            code=lambda_.Code.from_asset(
                str(props.code.path), asset_hash=props.code.digest, asset_hash_type=cdk.AssetHashType.CUSTOM
            ),
            layers=list(props.layers),
            memory_size=props.memory_mb,
            timeout=cdk.Duration.seconds(props.timeout_s),
            environment=dict(props.environment),
            role=self.role,
            log_group=self.log_group,
            ephemeral_storage_size=cdk.Size.mebibytes(props.ephemeral_mb) if props.ephemeral_mb else None,
            # Passive, which is Lambda's own way without the property, follows who asks and draws nobody.
            tracing=lambda_.Tracing.ACTIVE if props.tracing else None,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if props.snapstart else None,
        )
        if props.subnets:
            # By ids, as CloudFormation takes them: the L2 would look the network up, or guess its zones.
            resource = cast("lambda_.CfnFunction", self.function.node.default_child)
            resource.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
                subnet_ids=list(props.subnets), security_group_ids=list(props.security_groups)
            )


def retention(days: int) -> logs.RetentionDays:
    """CDK's word for a number of days; the catalog admits only numbers that have one."""
    return _RETENTION[days]


_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1096: logs.RetentionDays.THREE_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    2192: logs.RetentionDays.SIX_YEARS,
    2557: logs.RetentionDays.SEVEN_YEARS,
    2922: logs.RetentionDays.EIGHT_YEARS,
}
