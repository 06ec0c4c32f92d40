"""What copies every object of the model store to a bucket in another region, as it is written."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from catalog.schema import Replica
from infra.acknowledged import acknowledge_wildcards
from infra.constructs.model_bucket import ModelBucket
from infra.constructs.python_function import ROLE_PATH

_EVERY_OBJECT = ("ReadVersions", "WriteTheCopies")
_WHY_EVERY_OBJECT = (
    "The copy is of the whole store; keys are digests and numbers, made as models are published"
)


class Replication(Construct):
    """The rule, and the role that S3 copies with. The copy's bucket and key are somebody else's.

    Deletes are not copied: what the collector takes away here stays there. Sources: S3 user guide, "Setting
    up live replication", "Replicating encrypted objects" (a bucket key's context is the bucket).
    """

    def __init__(self, scope: Construct, id_: str, *, store: ModelBucket, replica: Replica) -> None:
        super().__init__(scope, id_)
        self.role = iam.Role(
            self,
            "Role",
            path=ROLE_PATH,
            description="S3 copies the model store to another region with it",
            assumed_by=iam.ServicePrincipal("s3.amazonaws.com"),
        )
        for statement in self._statements(store, replica):
            self.role.add_to_policy(statement)
            if statement.sid in _EVERY_OBJECT:
                acknowledge_wildcards(self.role, statement, _WHY_EVERY_OBJECT)
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
                    destination=self._destination(replica),
                )
            ],
        )

    @staticmethod
    def _destination(replica: Replica) -> s3.CfnBucket.ReplicationDestinationProperty:
        """With Replication Time Control: 15 minutes for 99.99 %, and metrics of what is behind."""
        minutes = s3.CfnBucket.ReplicationTimeValueProperty(minutes=15)
        return s3.CfnBucket.ReplicationDestinationProperty(
            bucket=replica.bucket,
            encryption_configuration=s3.CfnBucket.EncryptionConfigurationProperty(
                replica_kms_key_id=replica.key
            ),
            replication_time=s3.CfnBucket.ReplicationTimeProperty(status="Enabled", time=minutes),
            metrics=s3.CfnBucket.MetricsProperty(status="Enabled", event_threshold=minutes),
        )

    @staticmethod
    def _statements(store: ModelBucket, replica: Replica) -> list[iam.PolicyStatement]:
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
                resources=[f"{replica.bucket}/*"],
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
            iam.PolicyStatement(
                sid="EncryptThere",
                actions=["kms:Encrypt", "kms:GenerateDataKey"],
                resources=[replica.key],
                conditions={
                    "StringEquals": {
                        "kms:ViaService": f"s3.{replica.key.split(':')[3]}.amazonaws.com",
                        "kms:EncryptionContext:aws:s3:arn": replica.bucket,
                    }
                },
            ),
        ]
