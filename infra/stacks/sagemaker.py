"""A heavy model on SageMaker: an endpoint for each version, behind the gateway function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from catalog.instances import device_of, has_local_disk, machine_of
from catalog.lock import LockedVersion
from infra.acknowledged import acknowledge_wildcards
from infra.constructs.endpoint_image import EndpointImage
from infra.constructs.python_function import ROLE_PATH, PythonFunction
from infra.constructs.sagemaker_endpoint import (
    ComponentProps,
    QueueProps,
    SageMakerEndpoint,
    SageMakerEndpointProps,
)
from infra.stacks.heavy import HeavyStack, pulling
from model_store.contract.deployment import handoff_bucket_parameter, handoff_key_parameter
from model_store.contract.endpoints import ANSWERS, DEVICE_VARIABLE, FAILURES, GRPC_PORT_VARIABLE

GIB = 1024**3
MIN_VOLUME_GB = 30
MAX_VOLUME_GB = 512
"""Source: SageMaker API reference, ``ProductionVariant.VolumeSizeInGB``."""

WHY_WILDCARDS = {
    "ReadOwnFolders": "Each folder holds the files of one version; the prefixes name model and version",
    "EnterRegistry": "A registry's token is the account's; ECR knows no resource for it",
    "CountMachines": "Metrics know no resources; the condition names SageMaker's own namespaces",
    "JoinNetwork": "Network interfaces get their ids as they are made, as SageMaker's documentation asks for",
    "ReadRequests": "Requests get random names as they come, under this model's own prefix",
    "WriteAnswers": "Answers get random names as they come, in this model's own two folders",
    "WriteLogs": "Streams get their names as machines start, in the log groups of this model's own endpoints",
}
"""Statements that name more than they can list, and why. A wildcard in any other is a finding."""

WHY_ANY_CONFIGURATION = "The endpoint that serves has another configuration while its successor is made"


class SageMakerStack(HeavyStack):
    """Endpoints of SageMaker. Their execution role may read their own folders, and write their own logs."""

    def facts(self) -> dict[str, Any]:
        instance_type = self.instance_type
        self.image = EndpointImage(
            self,
            "Image",
            named=self.model.image or self.stage.endpoint_image,
            sources=self.endpoint_code,
            device=device_of(instance_type) or "cpu",
            machine=machine_of(instance_type),
        )
        return {
            "target": self.model.target,
            "image": self.image.identity,
            "instance_type": instance_type,
            "key": self._volume_key,
            "subnets": sorted(self._subnets),
            "security_groups": sorted(self.stage.vpc_security_groups),
            **({"asynchronous": later.max_concurrent or 0} if (later := self.model.asynchronous) else {}),
            **({"component": copy.model_dump()} if (copy := self.model.component) else {}),
        }

    @property
    def settings(self) -> dict[str, str]:
        if self.model.image:
            return {}
        # SageMaker carries /invocations only, and a model that is to run on a GPU must not fall back.
        return {GRPC_PORT_VARIABLE: "off", DEVICE_VARIABLE: str(device_of(self.instance_type))}

    def endpoints(
        self, gateway: PythonFunction, folders: Sequence[cdk.CustomResource]
    ) -> Sequence[Construct]:
        if self.model.adopted:
            self._ask_adopted(gateway)
        if not self.locked:
            return ()
        self.queue = self._queue()
        role = self._execution_role()
        made = []
        for locked, folder in zip(self.locked, folders, strict=True):
            endpoint = self._endpoint(locked, role)
            endpoint.node.add_dependency(folder, role)
            made.append(endpoint)
        # An endpoint with a queue is asked through it, and refuses any other way.
        invoke = "sagemaker:InvokeEndpoint" + ("Async" if self.model.asynchronous else "")
        asking = iam.PolicyStatement(
            sid="AskEndpoints",
            actions=["sagemaker:DescribeEndpoint", invoke],
            resources=[self._arn(kind, locked) for kind in self._asked for locked in self.locked],
        )
        gateway.role.add_to_policy(asking)
        acknowledge_wildcards(gateway.role, asking, WHY_ANY_CONFIGURATION)
        return made

    def _ask_adopted(self, gateway: PythonFunction) -> None:
        """Endpoints that were there before may be asked, by their names, and nothing else be done to them."""
        gateway.role.add_to_policy(
            iam.PolicyStatement(
                sid="AskAdoptedEndpoints",
                actions=["sagemaker:DescribeEndpoint", "sagemaker:InvokeEndpoint"],
                resources=[
                    self.format_arn(service="sagemaker", resource="endpoint", resource_name=name)
                    for name in self.model.adopted
                ],
            )
        )

    @property
    def _subnets(self) -> tuple[str, ...]:
        """Where its machines stand; a stage may name subnets for those of EC2 alone."""
        return self.stage.vpc_subnets if self.stage.vpc_security_groups else ()

    @property
    def _volume_key(self) -> str | None:
        """SageMaker takes no key where the machine brings its own disk, which is encrypted by itself."""
        return None if has_local_disk(self.instance_type) else self.stage.endpoint_key

    def _endpoint(self, locked: LockedVersion, role: iam.IRole) -> SageMakerEndpoint:
        stage, model = self.stage, self.model
        version = locked.ref.version
        return SageMakerEndpoint(
            self,
            # With the configuration in the id what changes is another resource and not an update.
            f"V{version}-{self.configuration}",
            props=SageMakerEndpointProps(
                name=self.endpoint_name(locked),
                image=self.image.uri,
                environment=self.container_environment(locked),
                folder=self.folder_uri(locked),
                role=role,
                instance_type=self.instance_type,
                min_instances=model.min_instances,
                max_instances=model.max_instances,
                target_invocations=model.target_invocations_per_instance,
                # The model is mounted and the answer goes out by the door it came in: no network is needed.
                isolated=True,
                log_retention_days=stage.log_retention_days,
                alarm_prefix=f"switchyard/{stage.name}/{model.name}/Endpoint/{version}-{self.configuration}/",
                alarm_topic=self.alarm_topic,
                volume_gb=None if has_local_disk(self.instance_type) else _volume_gb(locked.size),
                key=self._volume_key,
                subnets=self._subnets,
                security_groups=stage.vpc_security_groups,
                queue=self.queue,
                copy=ComponentProps(**copy.model_dump()) if (copy := model.component) else None,
            ),
        )

    def _queue(self) -> QueueProps | None:
        """Where answers of all its endpoints go, and whom SageMaker tells of each."""
        later = self.model.asynchronous
        if later is None:
            return None
        stage, model = self.stage.name, self.model.name
        place = f"s3://{self._parameter(handoff_bucket_parameter)}/{model}"
        topics = [
            sns.Topic(self, what, topic_name=f"switchyard-{stage}-{model}-{what.lower()}", enforce_ssl=True)
            for what in ("Answered", "Failed")
        ]
        for topic, what in zip(topics, ("answered", "failed"), strict=True):
            cdk.CfnOutput(
                self,
                f"{what.title()}Topic",
                value=topic.topic_arn,
                description=f"Told of each request {what}",
            )
        answered, failed = (topic.topic_arn for topic in topics)
        return QueueProps(
            answers=f"{place}/{ANSWERS}",
            failures=f"{place}/{FAILURES}",
            key=self._parameter(handoff_key_parameter),
            answered_topic=answered,
            failed_topic=failed,
            max_concurrent=later.max_concurrent,
            backlog_per_instance=later.backlog_per_instance,
        )

    def _serving_the_queue(self, queue: QueueProps) -> list[iam.PolicyStatement]:
        """Read what callers left, write what comes of it, and say so.

        Source: SageMaker developer guide, asynchronous inference, "Complete the prerequisites", cut to size.
        """
        bucket = f"arn:{self.partition}:s3:::{self._parameter(handoff_bucket_parameter)}/{self.model.name}"
        return [
            iam.PolicyStatement(sid="ReadRequests", actions=["s3:GetObject"], resources=[f"{bucket}/*/in/*"]),
            iam.PolicyStatement(
                sid="WriteAnswers",
                actions=["s3:AbortMultipartUpload", "s3:PutObject"],
                resources=[f"{bucket}/{ANSWERS}/*", f"{bucket}/{FAILURES}/*"],
            ),
            iam.PolicyStatement(
                sid="UseThePayloadsKeyThroughS3",
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[queue.key],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
            ),
            iam.PolicyStatement(
                sid="TellOfAnswers",
                actions=["sns:Publish"],
                resources=[queue.answered_topic, queue.failed_topic],
            ),
        ]

    def _execution_role(self) -> iam.Role:
        role = iam.Role(
            self,
            "ExecutionRole",
            path=ROLE_PATH,
            description=f"Runs the endpoints of {self.model.name}",
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com").with_conditions(
                {"StringEquals": {"aws:SourceAccount": self.account}}
            ),
        )
        for statement in self._may():
            role.add_to_policy(statement)
            if statement.sid in WHY_WILDCARDS:
                acknowledge_wildcards(role, statement, WHY_WILDCARDS[statement.sid])
        if self.image.repository is not None:
            self.image.repository.grant_pull(role)
        return role

    def _may(self) -> list[iam.PolicyStatement]:
        """Source: SageMaker developer guide, "CreateModel API: Execution Role Permissions", cut to size."""
        statements = [
            *self._reading_folders(),
            iam.PolicyStatement(
                sid="WriteLogs",
                actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                resources=[self._log_arn(locked) for locked in self.locked],
            ),
            iam.PolicyStatement(
                sid="CountMachines",
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],
                conditions={"StringLike": {"cloudwatch:namespace": ["AWS/SageMaker", "/aws/sagemaker/*"]}},
            ),
        ]
        if self.image.repository is None:
            statements += pulling(self, self.image.uri)
        if self.queue is not None:
            statements += self._serving_the_queue(self.queue)
        if self._subnets:
            statements.append(
                iam.PolicyStatement(sid="JoinNetwork", actions=list(JOIN_NETWORK), resources=["*"])
            )
        return statements

    @property
    def _asked(self) -> tuple[str, ...]:
        """The kinds of things that are asked for an inference."""
        return ("endpoint", "inference-component") if self.model.component else ("endpoint",)

    def _arn(self, kind: str, locked: LockedVersion) -> str:
        return self.format_arn(
            service="sagemaker", resource=kind, resource_name=self.any_configuration(locked)
        )

    def _log_arn(self, locked: LockedVersion) -> str:
        return self.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"/aws/sagemaker/Endpoints/{self.any_configuration(locked)}",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )


JOIN_NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)
"""Source: SageMaker developer guide, "CreateModel API: Execution Role Permissions", with a VPC."""


def _volume_gb(size: int) -> int:
    """Room for the files, as much again for what an engine makes of them, and the image."""
    return min(MAX_VOLUME_GB, MIN_VOLUME_GB + math.ceil(2 * size / GIB))
