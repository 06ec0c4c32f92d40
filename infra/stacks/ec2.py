"""A heavy model on EC2: a fleet for each version behind a private load balancer, behind the gateway."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.instances import device_of, machine_of
from catalog.lock import LockedVersion
from infra.acknowledged import (
    acknowledge_private_balancer,
    acknowledge_quiet_fleet,
    acknowledge_wildcards,
)
from infra.constructs.endpoint_balancer import EndpointBalancer, EndpointBalancerProps
from infra.constructs.endpoint_image import EndpointImage
from infra.constructs.fleet import Fleet, FleetProps
from infra.constructs.python_function import ROLE_PATH, PythonFunction
from infra.errors import PreflightError
from infra.stacks.heavy import HeavyStack, pulling, repository_of
from infra.stacks.stage_stack import MODEL_TAG, STAGE_TAG
from model_store.contract.endpoints import DEVICE_VARIABLE, FIRST_RULE, LAST_RULE, balancer_name
from model_store.contract.environment import ENDPOINT_URL

GIB = 1024**3
DISK_GB = {True: 150, False: 30}
"""With and without a GPU: AWS's image for GPUs alone takes some 70 GB. The model comes on top, twice."""

GPU_IMAGE = "/aws/service/deeplearning/ami/{}/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
CPU_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
"""AWS's own parameters, by processor: drivers, container runtime and CloudWatch agent are in the first."""

JOIN_NETWORK = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
"""Source: Lambda developer guide, "Giving Lambda functions access to resources in an Amazon VPC"."""

SESSION_MANAGER = (
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
"""Source: Systems Manager user guide, "Create a custom IAM role for Session Manager"."""

WHY_WILDCARDS = {
    "ReadOwnFolders": "Each folder holds the files of one version; the prefixes name model and version",
    "EnterRegistry": "A registry's token is the account's; ECR knows no resource for it",
    "CountMachines": "Metrics know no resources; the condition names this stage's own namespace",
    "WriteLogs": "Streams are named after machines, in the log groups of this model's own fleets",
    "SayHowItWent": "CloudFormation adds a random id to the stack's ARN; the name is this stack's own",
    "OpenSessions": "Session Manager's channels have no resources; who may open one is said elsewhere",
    "JoinNetwork": "Network interfaces get their ids as Lambda makes them",
}
"""Statements that name more than they can list, and why. A wildcard in any other is a finding."""


class Ec2Stack(HeavyStack):
    """Fleets of EC2. Nothing of them can be reached but from the gateway, and by gRPC from named networks."""

    def facts(self) -> dict[str, Any]:
        stage, model = self.stage, self.model
        self.vpc = _network(stage.name, model.name, stage.vpc, stage.vpc_subnets)
        instance_type = self.instance_type
        self.image = EndpointImage(
            self,
            "Image",
            named=model.image or stage.endpoint_image,
            sources=self.endpoint_code,
            device=device_of(instance_type) or "cpu",
            machine=machine_of(instance_type),
        )
        self.balancer = EndpointBalancer(
            self,
            "Balancer",
            props=EndpointBalancerProps(
                name=balancer_name(stage.name, model.name),
                model=model.name,
                vpc=self.vpc,
                subnets=stage.vpc_subnets,
                certificate=stage.grpc_certificate,
                grpc_callers=stage.grpc_callers,
            ),
        )
        acknowledge_private_balancer(self.balancer)
        if self.balancer.grpc_listener is not None:
            cdk.CfnOutput(
                self,
                "GrpcHost",
                value=self.balancer.balancer.attr_dns_name,
                description=f"Answers gRPC for {model.name}",
            )
        return {
            "target": model.target,
            "image": self.image.identity,
            "instance_type": instance_type,
            "key": stage.endpoint_key,
            "vpc": self.vpc,
            "subnets": sorted(stage.vpc_subnets),
            "spot": model.spot,
        }

    @property
    def settings(self) -> dict[str, str]:
        return {} if self.model.image else {DEVICE_VARIABLE: str(device_of(self.instance_type))}

    def _told_later(self) -> dict[str, str]:
        return {ENDPOINT_URL: self.balancer.url}

    def _joined(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.stage.vpc_subnets, (self.balancer.gateway_group.attr_group_id,)

    def endpoints(
        self, gateway: PythonFunction, folders: Sequence[cdk.CustomResource]
    ) -> Sequence[Construct]:
        joining = iam.PolicyStatement(sid="JoinNetwork", actions=list(JOIN_NETWORK), resources=["*"])
        gateway.role.add_to_policy(joining)
        acknowledge_wildcards(gateway.role, joining, WHY_WILDCARDS["JoinNetwork"])
        if not self.locked:
            return ()
        role = self._machine_role()
        profile = iam.CfnInstanceProfile(self, "Profile", path=ROLE_PATH, roles=[role.role_name])
        made = []
        for locked, folder in zip(self.locked, folders, strict=True):
            fleet = Fleet(
                self,
                f"V{locked.ref.version}-{self.configuration}",
                props=self._fleet(locked, profile.ref),
                balancer=self.balancer,
            )
            fleet.node.add_dependency(folder, role)
            acknowledge_quiet_fleet(fleet)
            made.append(fleet)
        return made

    def _fleet(self, locked: LockedVersion, profile: str) -> FleetProps:
        stage, model = self.stage, self.model
        name = self.endpoint_name(locked)
        gpu = device_of(self.instance_type) == "cuda"
        return FleetProps(
            name=name,
            image=self.image.uri,
            registry=self._registry,
            environment=self.container_environment(locked),
            folder=self.folder_uri(locked),
            machine_image=self._machine_image(gpu=gpu),
            instance_type=self.instance_type,
            gpu=gpu,
            profile=profile,
            disk_gb=DISK_GB[gpu] + math.ceil(2 * locked.size / GIB),
            key=stage.endpoint_key,
            min_instances=model.min_instances,
            max_instances=model.max_instances,
            warm_instances=model.warm_instances,
            spot=model.spot,
            target_invocations=model.target_invocations_per_instance,
            target_gpu=model.target_gpu_utilization if gpu else None,
            rule=rule_of(name),
            vpc=self.vpc,
            subnets=stage.vpc_subnets,
            metrics_namespace=self._metrics,
            scraped=model.image is None,
            log_retention_days=stage.log_retention_days,
            alarm_prefix=f"switchyard/{stage.name}/{model.name}/Endpoint/"
            f"{locked.ref.version}-{self.configuration}/",
            alarm_topic=self.alarm_topic,
            tags={STAGE_TAG: stage.name, MODEL_TAG: model.name},
        )

    @property
    def _metrics(self) -> str:
        return f"Switchyard/{self.stage.name}/Endpoints"

    @property
    def _registry(self) -> str | None:
        """Who gives the machine a password for the image; nobody has to outside ECR."""
        if self.image.repository is not None:
            return f"{self.account}.dkr.ecr.{self.region}.{self.url_suffix}"
        return self.image.uri.partition("/")[0] if repository_of(self.image.uri) else None

    def _machine_image(self, *, gpu: bool) -> str:
        """The image's id when the stack is deployed: another one changes the template, and is rolled in."""
        name = (GPU_IMAGE if gpu else CPU_IMAGE).format(machine_of(self.instance_type))
        return ssm.StringParameter.value_for_typed_string_parameter_v2(
            self, name, ssm.ParameterValueType.AWS_EC2_IMAGE_ID
        )

    def _machine_role(self) -> iam.Role:
        role = iam.Role(
            self,
            "MachineRole",
            path=ROLE_PATH,
            description=f"Runs the machines of {self.model.name}",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
        )
        for statement in self._may():
            role.add_to_policy(statement)
            if statement.sid in WHY_WILDCARDS:
                acknowledge_wildcards(role, statement, WHY_WILDCARDS[statement.sid])
        if self.image.repository is not None:
            self.image.repository.grant_pull(role)
        return role

    def _may(self) -> list[iam.PolicyStatement]:
        return [
            *self._reading_folders(),
            iam.PolicyStatement(
                sid="WriteLogs",
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[
                    self.format_arn(
                        service="logs",
                        resource="log-group",
                        resource_name=f"/switchyard/endpoints/{self.any_configuration(locked)}",
                        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                    )
                    for locked in self.locked
                ],
            ),
            iam.PolicyStatement(
                sid="CountMachines",
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],
                conditions={"StringEquals": {"cloudwatch:namespace": self._metrics}},
            ),
            iam.PolicyStatement(
                sid="SayHowItWent",
                actions=["cloudformation:SignalResource"],
                resources=[
                    self.format_arn(
                        service="cloudformation", resource="stack", resource_name=f"{self.stack_name}/*"
                    )
                ],
            ),
            iam.PolicyStatement(sid="OpenSessions", actions=list(SESSION_MANAGER), resources=["*"]),
            *(pulling(self, self.image.uri) if self.image.repository is None else ()),
        ]


def rule_of(name: str) -> int:
    """The place of an endpoint's rule: of its own, also beside the one that it takes the place of.

    Never the last, which is the release controller's (ADR 33).
    """
    return FIRST_RULE + int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % (LAST_RULE - FIRST_RULE)


def _network(stage: str, model: str, vpc: str | None, subnets: tuple[str, ...]) -> str:
    if vpc is None or len(subnets) < 2:
        raise PreflightError(
            f'`{model}` has target = "ec2", and stage `{stage}` names no network for its machines',
            hint=f"Add `vpc` and at least two `vpc_subnets`, in two zones, to `[stages.{stage}]`.",
        )
    return vpc
