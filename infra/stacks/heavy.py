"""A heavy model: a gateway function like any model's, and behind it one endpoint for each listed version.

The order within the stack is the safety. The folders are laid out and the endpoints stand before the base is
recorded that names them; then what is live is released on it; and CloudFormation deletes what the template no
longer has (the endpoints of another image or machine) only after all of that succeeded. So a changed endpoint
is rolled out like any changed base (law 4), and nothing that serves is deleted (law 10).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.heavy import seconds
from catalog.lock import Lock, LockedVersion
from catalog.schema import Model, Stage
from infra.bundles import Tree
from infra.constructs.python_function import PythonFunction
from infra.stacks.model import ModelStack
from model_store.contract.deployment import alarm_topic_name, bucket_key_parameter, bucket_parameter
from model_store.contract.endpoints import endpoint_configuration, endpoint_name
from model_store.contract.environment import (
    ASYNCHRONOUS,
    COMPONENT,
    DIGEST,
    ENDPOINT_CONFIGURATION,
    ENDPOINT_FLOOR,
    EXPLAIN,
    FILES_FOLDER,
    MAX_BATCH,
    MODEL,
    OWN_IMAGE,
    TARGET,
    TRACING,
    VERSION,
)
from model_store.contract.keys import served_prefix

HANDLER = "functions.gateway.handler.handler"


def guarded(model: Model) -> dict[str, Any]:
    """What the guard and the rollout are told of a heavy model's endpoints; nothing of another's."""
    if not model.is_heavy:
        return {}
    return {
        "Target": model.target,
        "Versions": list(model.versions),
        "RollbackDepth": model.rollback_depth,
        "KeepWarmS": seconds(model.keep_warm),
        **({"Adopted": list(model.adopted)} if model.adopted else {}),
    }


class HeavyStack(ModelStack):
    """What every target of heavy models has in common. A target adds the endpoints themselves."""

    handler = HANDLER
    does = "Stands before the endpoints of"

    def __init__(
        self,
        scope: Construct,
        *,
        stage: Stage,
        model: Model,
        code: Tree,
        runtime_layer: Tree,
        endpoint_code: Tree,
        lock: Lock,
    ) -> None:
        self.endpoint_code = endpoint_code
        self.locked = [lock.version(stage.name, model.name, version) for version in model.versions]
        super().__init__(scope, stage=stage, model=model, code=code, runtime_layer=runtime_layer)

    def rollout(self) -> dict[str, Any]:
        return {**super().rollout(), **guarded(self.model)}

    def endpoint_name(self, locked: LockedVersion) -> str:
        return endpoint_name(
            self.stage.name, self.model.name, locked.ref.version, locked.digest, self.configuration
        )

    def any_configuration(self, locked: LockedVersion) -> str:
        """The names of a version's endpoints, also of the one that serves while its successor is made."""
        return self.endpoint_name(locked).removesuffix(self.configuration) + "*"

    @property
    def instance_type(self) -> str:
        assert self.model.instance_type is not None  # the catalog refuses a heavy model without
        return self.model.instance_type

    def container_environment(self, locked: LockedVersion) -> dict[str, str]:
        """What the container is told of its version, and what the catalog says about its rows."""
        told = {MODEL: self.model.name, VERSION: str(locked.ref.version), DIGEST: str(locked.digest)}
        if self.model.max_batch is not None:
            told[MAX_BATCH] = str(self.model.max_batch)
        if self.model.explain:
            told[EXPLAIN] = "1"
        if self._traced:
            told[TRACING] = "on"
        return {**self.model.environment, **told, **self.settings}

    @property
    def _traced(self) -> bool:
        """Whether the container is told to write spans; a team's own knows nothing of that."""
        return self.model.tracing and self.model.image is None

    @property
    def settings(self) -> dict[str, str]:
        """Settings of the container that do not depend on the version."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Everything that an endpoint is made with, besides the version: what may never change on one."""
        raise NotImplementedError

    def endpoints(
        self, gateway: PythonFunction, folders: Sequence[cdk.CustomResource]
    ) -> Sequence[Construct]:
        """Declare an endpoint for each of ``locked``; each waits for its folder."""
        raise NotImplementedError

    def _reading_folders(self) -> list[iam.PolicyStatement]:
        """What whoever starts a container may read: the folders of the listed versions, and nothing else."""
        bucket = f"arn:{self.partition}:s3:::{self.bucket}"
        prefixes = [served_prefix(self.model.name, locked.ref.version) for locked in self.locked]
        return [
            iam.PolicyStatement(
                sid="ReadOwnFolders",
                actions=["s3:GetObject"],
                resources=[f"{bucket}/{prefix}*" for prefix in prefixes],
            ),
            iam.PolicyStatement(
                sid="ListOwnFolders",
                actions=["s3:ListBucket"],
                resources=[bucket],
                conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
            ),
            iam.PolicyStatement(
                sid="UseTheKeyThroughS3",
                actions=["kms:Decrypt"],
                resources=[self.bucket_key],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
            ),
        ]

    def _told(self) -> dict[str, str]:
        # The stack's own constructs can be made from here on, and nothing of the function is yet.
        self.bucket = ssm.StringParameter.value_for_string_parameter(self, bucket_parameter(self.stage.name))
        self.bucket_key = ssm.StringParameter.value_for_string_parameter(
            self, bucket_key_parameter(self.stage.name)
        )
        self.alarm_topic = self.format_arn(service="sns", resource=alarm_topic_name(self.stage.name))
        facts = self.facts()
        self.configuration = endpoint_configuration(
            {
                **facts,
                "max_batch": self.model.max_batch,
                "settings": self.settings,
                **({"environment": self.model.environment} if self.model.environment else {}),
                **({"tracing": True} if self._traced else {}),
                **({"explain": True} if self.model.explain else {}),
            }
        )
        told = {TARGET: self.model.target, ENDPOINT_CONFIGURATION: self.configuration}
        # What a component has are copies, and those are not counted as machines.
        if self.model.min_instances > 1 and self.model.component is None:
            told[ENDPOINT_FLOOR] = str(self.model.min_instances)
        if self.model.asynchronous is not None:
            later = self.model.asynchronous
            told[ASYNCHRONOUS] = json.dumps(
                {"timeout_s": later.timeout_s, "expires_s": seconds(later.expires)}
            )
        if self.model.component is not None:
            told[COMPONENT] = "on"
        return {**told, OWN_IMAGE: "on"} if self.model.image else told

    def _behind(self, inference: PythonFunction, released: cdk.CustomResource) -> None:
        folders = [self._folder(locked) for locked in self.locked]
        endpoints = self.endpoints(inference, folders)
        rollout = self.custom_resource(
            "Rollout",
            type_="Custom::SwitchyardRollout",
            properties={"Stage": self.stage.name, "Models": [self.rollout()]},
        )
        for endpoint in endpoints:
            released.node.add_dependency(endpoint)
        rollout.node.add_dependency(released, *endpoints)
        for locked in self.locked:
            cdk.CfnOutput(
                self,
                f"Endpoint{locked.ref.version}",
                value=self.endpoint_name(locked),
                description=f"Answers for {locked.ref}",
            )

    def _folder(self, locked: LockedVersion) -> cdk.CustomResource:
        """The version as a folder of the bucket; the controller lays it out, if it is what was locked."""
        version = locked.ref.version
        return self.custom_resource(
            f"Folder{version}",
            type_="Custom::SwitchyardFolder",
            properties={
                "Stage": self.stage.name,
                "Model": self.model.name,
                "Version": version,
                "Digest": locked.digest.hex,
            },
        )

    def folder_uri(self, locked: LockedVersion) -> str:
        """What a container mounts. Another's image finds the artifact's own files, under their own names."""
        inside = f"{FILES_FOLDER}/" if self.model.image else ""
        return f"s3://{self.bucket}/{served_prefix(self.model.name, locked.ref.version)}{inside}"


def pulling(stack: cdk.Stack, image: str) -> list[iam.PolicyStatement]:
    """Pull a named image from ECR. One of another registry needs no permission of this account."""
    repository = repository_of(image)
    if repository is None:
        return []
    account, region, name = repository
    return [
        iam.PolicyStatement(sid="EnterRegistry", actions=["ecr:GetAuthorizationToken"], resources=["*"]),
        iam.PolicyStatement(
            sid="PullImage",
            actions=["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            resources=[f"arn:{stack.partition}:ecr:{region}:{account}:repository/{name}"],
        ),
    ]


def repository_of(image: str) -> tuple[str, str, str] | None:
    """Account, region and name of an image of ECR; ``None`` for any other registry."""
    host, _, path = image.partition("/")
    parts = host.split(".")
    if len(parts) < 6 or parts[1:3] != ["dkr", "ecr"]:
        return None
    return parts[0], parts[3], path.partition("@")[0].partition(":")[0]
