"""What copies every object of the model store to a bucket in another region, as it is written."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from catalog.schema import Replica
from infra.acknowledged import acknowledge_wildcards
from infra.constructs.model_bucket import ModelBucket
from infra.constructs.python_function import ROLE_PATH
from model_store.contract.deployment import copy_bucket_name, copy_key_alias

_WHY_EVERY_OBJECT = (
    "The copy is of the whole store; keys are digests and numbers, made as models are published"
)
_WILDCARDS = {
    "ReadVersions": _WHY_EVERY_OBJECT,
    "WriteTheCopies": _WHY_EVERY_OBJECT,
    "EncryptThere": "IAM knows no aliases as resources; a condition holds it to the key of that alias",
}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where copies go: the bucket, the key they are encrypted with, and its region.

    A key of ``CopyStack`` is named by its alias. IAM knows keys and no aliases, so what may use it is then
    said as a condition on the alias, ``alias``.
    """

    bucket: str
    key: str
    region: str
    alias: str | None = None

    @classmethod
    def of(cls, replica: Replica, stack: cdk.Stack, stage: str) -> Destination:
        """What the catalog says, or the names that ``CopyStack`` gives."""
        if replica.bucket is not None and replica.key is not None:
            return cls(replica.bucket, replica.key, replica.key.split(":")[3])
        region = replica.region or ""
        bucket = f"arn:{stack.partition}:s3:::{copy_bucket_name(stage, stack.account, region)}"
        alias = copy_key_alias(stage)
        key = f"arn:{stack.partition}:kms:{region}:{stack.account}:{alias}"
        return cls(bucket, key, region, alias)

    def statement(self) -> iam.PolicyStatement:
        """What lets S3 encrypt there."""
        only = {
            "StringEquals": {
                "kms:ViaService": f"s3.{self.region}.amazonaws.com",
                "kms:EncryptionContext:aws:s3:arn": self.bucket,
            }
        }
        if self.alias is not None:
            only["ForAnyValue:StringEquals"] = {"kms:ResourceAliases": self.alias}
        return iam.PolicyStatement(
            sid="EncryptThere",
            actions=["kms:Encrypt", "kms:GenerateDataKey"],
            resources=[self.key.replace(self.alias, "key/*") if self.alias else self.key],
            conditions=only,
        )


class Replication(Construct):
    """The rule, and the role that S3 copies with.

    Deletes are not copied: what the collector takes away here stays there. Sources: S3 user guide, "Setting
    up live replication", "Replicating encrypted objects" (a bucket key's context is the bucket).
    """

    def __init__(self, scope: Construct, id_: str, *, store: ModelBucket, to: Destination) -> None:
        super().__init__(scope, id_)
        self.role = iam.Role(
            self,
            "Role",
            path=ROLE_PATH,
            description="S3 copies the model store to another region with it",
            assumed_by=iam.ServicePrincipal("s3.amazonaws.com"),
        )
        for statement in self._statements(store, to):
            self.role.add_to_policy(statement)
            if statement.sid in _WILDCARDS:
                acknowledge_wildcards(self.role, statement, _WILDCARDS[statement.sid])
        bucket = store.bucket.node.default_child
        assert isinstance(bucket, s3.CfnBucket)
        bucket.replication_configuration = s3.CfnBucket.ReplicationConfigurationProperty(
            role=self.role.role_arn,
            rules=[
                s3.CfnBucket.ReplicationRuleProperty(
                    id="Everything",
                    status="Enabled",
                    priority=1,
                    filter=s3.CfnBucket.ReplicationRuleFilterProperty(prefix=""),
                    delete_marker_replication=s3.CfnBucket.DeleteMarkerReplicationProperty(status="Disabled"),
                    source_selection_criteria=s3.CfnBucket.SourceSelectionCriteriaProperty(
                        sse_kms_encrypted_objects=s3.CfnBucket.SseKmsEncryptedObjectsProperty(
                            status="Enabled"
                        )
                    ),
                    destination=self._destination(to),
                )
            ],
        )

    @staticmethod
    def _destination(to: Destination) -> s3.CfnBucket.ReplicationDestinationProperty:
        """With Replication Time Control: 15 minutes for 99.99 %, and metrics of what is behind."""
        minutes = s3.CfnBucket.ReplicationTimeValueProperty(minutes=15)
        return s3.CfnBucket.ReplicationDestinationProperty(
            bucket=to.bucket,
            encryption_configuration=s3.CfnBucket.EncryptionConfigurationProperty(replica_kms_key_id=to.key),
            replication_time=s3.CfnBucket.ReplicationTimeProperty(status="Enabled", time=minutes),
            metrics=s3.CfnBucket.MetricsProperty(status="Enabled", event_threshold=minutes),
        )

    @staticmethod
    def _statements(store: ModelBucket, to: Destination) -> list[iam.PolicyStatement]:
        stack = cdk.Stack.of(store)
        return [
            iam.PolicyStatement(
                sid="ReadTheRule",
                actions=["s3:GetReplicationConfiguration", "s3:ListBucket"],
                resources=[store.bucket.bucket_arn],
            ),
            iam.PolicyStatement(
                sid="ReadVersions",
                actions=[
                    "s3:GetObjectVersionForReplication",
                    "s3:GetObjectVersionAcl",
                    "s3:GetObjectVersionTagging",
                ],
                resources=[store.bucket.arn_for_objects("*")],
            ),
            iam.PolicyStatement(
                sid="WriteTheCopies",
                actions=["s3:ReplicateObject", "s3:ReplicateTags"],
                resources=[f"{to.bucket}/*"],
            ),
            iam.PolicyStatement(
                sid="DecryptHere",
                actions=["kms:Decrypt"],
                resources=[store.key.key_arn],
                conditions={
                    "StringEquals": {
                        "kms:ViaService": f"s3.{stack.region}.amazonaws.com",
                        "kms:EncryptionContext:aws:s3:arn": store.bucket.bucket_arn,
                    }
                },
            ),
            to.statement(),
        ]
