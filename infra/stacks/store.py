"""Stateful: the bucket that is the registry. Deployed rarely, deleted never (where data is kept)."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.schema import Stage
from infra.acknowledged import acknowledge_unlogged_log, acknowledge_wildcards
from infra.constructs.model_bucket import ModelBucket
from infra.constructs.python_function import ROLE_PATH
from infra.constructs.removal import kept_or_destroyed
from infra.stacks.replication import Destination, Replication
from infra.stacks.stage_stack import StageStack
from model_store.contract.deployment import (
    bucket_key_parameter,
    bucket_parameter,
    collector_role_parameter,
    function_name,
    model_layer_name,
)

WILDCARDS = ("ReadWhatIsNeeded", "ClaimAndBury", "Delete", "EndUploads", "DeleteVersionsAndLayers")
WHY_WILDCARDS = (
    "Keys are digests and numbers, made as models are published and released; all are the stage's own"
)
"""Statements of the collector that name more than they can list, and why."""


_CLAIMS = ("models/*/removed/*", "models/*/collected/*", "collect/*")
"""What the collector writes: tombstones, and what it is about to take."""


class StoreStack(StageStack):
    """The model store of a stage, and the two parameters by which everybody finds it."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern="Store",
            description=f"Switchyard {stage.name}: the write-once bucket that holds models and their ledgers",
            stateful=True,
        )
        store = ModelBucket(
            self, "Store", keep_data=stage.keep_data, access_log_days=max(stage.log_retention_days, 30)
        )
        # The bucket's name is CloudFormation's choice: a name of ours could be taken by anybody in
        # the world, and would stand in the way of a second deploy after a kept bucket.
        ssm.StringParameter(
            self,
            "BucketParameter",
            parameter_name=bucket_parameter(stage.name),
            string_value=store.bucket.bucket_name,
            description="The model store's bucket",
        )
        ssm.StringParameter(
            self,
            "KeyParameter",
            parameter_name=bucket_key_parameter(stage.name),
            string_value=store.key.key_arn,
            description="The key that encrypts the model store",
        )
        if stage.replica is not None:
            to = Destination.of(stage.replica, self, stage.name)
            Replication(self, "Replication", store=store, to=to)
        collector = self._collector(store)
        ssm.StringParameter(
            self,
            "CollectorParameter",
            parameter_name=collector_role_parameter(stage.name),
            string_value=collector.role_arn,
            description="The only role that may delete from the model store",
        )
        self._refuse_overwriting(store)
        if stage.roles_only:
            self._refuse_strangers(store)
        if stage.keep_data:
            self._refuse_deleting(store, collector)
        # A kept bucket without its policy would be kept defenceless.
        for bucket in (store.bucket, store.access_log):
            assert bucket.policy is not None
            bucket.policy.apply_removal_policy(kept_or_destroyed(keep=stage.keep_data))
        cdk.CfnOutput(
            self, "BucketName", value=store.bucket.bucket_name, description="The model store's bucket"
        )
        acknowledge_unlogged_log(store.access_log)

    @staticmethod
    def _refuse_overwriting(store: ModelBucket) -> None:
        """Law 1, enforced where nobody can forget it: administrators are refused too.

        A write without ``If-None-Match`` is denied. Parts of a multipart upload cannot carry that
        header and create no object; completing the upload does both, so
        ``s3:ObjectCreationOperation`` exempts the former only. The price: objects cannot be copied
        into this bucket. Source: S3 User Guide, "Enforce conditional writes on Amazon S3 buckets".
        """
        store.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="WriteOnce",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:PutObject"],
                resources=[store.bucket.arn_for_objects("*")],
                conditions={
                    "Null": {"s3:if-none-match": "true"},
                    "Bool": {"s3:ObjectCreationOperation": "true"},
                },
            )
        )

    def _refuse_strangers(self, store: ModelBucket) -> None:
        """Nobody writes but the stage's own roles (``infra.stacks.roles``), administrators included.

        Whoever may make a role in the path, or change this policy, can still let themselves in; both stand
        in CloudTrail.
        """
        ours = f"arn:{self.partition}:iam::{self.account}:role{ROLE_PATH}*"
        store.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="OnlyOurRolesWrite",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:PutObject"],
                resources=[store.bucket.arn_for_objects("*")],
                conditions={"ArnNotLike": {"aws:PrincipalArn": ours}},
            )
        )

    def _collector(self, store: ModelBucket) -> iam.Role:
        """Law 10: the one role that may delete, and only what a collection may take.

        It reads what a plan rests on, writes its claim and the tombstones, and deletes blobs, layer
        archives and manifests; never a ledger, a pin or a tombstone. Of Lambda it deletes numbered versions
        and model layers: the resource ends in a qualifier, so a function as a whole is none of it. Who may
        assume it stands in the catalog (``collectors``); without that, whoever the account's own policies
        allow.
        """
        stage = self.stage
        trusted: list[iam.IPrincipal] = [iam.ArnPrincipal(arn) for arn in stage.collectors]
        role = iam.Role(
            self,
            "Collector",
            path=ROLE_PATH,
            description=f"Collects garbage from the model store of Switchyard {stage.name}",
            assumed_by=iam.CompositePrincipal(*(trusted or [iam.AccountRootPrincipal()])),
            max_session_duration=cdk.Duration.hours(1),
        )
        bucket = store.bucket
        for statement in (
            iam.PolicyStatement(
                sid="FindKeysAndUploads",
                actions=["s3:ListBucket", "s3:ListBucketMultipartUploads"],
                resources=[bucket.bucket_arn],
            ),
            iam.PolicyStatement(
                sid="ReadWhatIsNeeded",
                actions=["s3:GetObject"],
                resources=[bucket.arn_for_objects(keys) for keys in ("models/*", "collect/*")],
            ),
            iam.PolicyStatement(
                sid="ClaimAndBury",
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(keys) for keys in _CLAIMS],
            ),
            iam.PolicyStatement(
                sid="Delete",
                actions=["s3:DeleteObject"],
                resources=[
                    bucket.arn_for_objects(keys)
                    for keys in ("blobs/*", "layers/*", "models/*/versions/*", "models/*/served/*")
                ],
            ),
            iam.PolicyStatement(
                sid="EndUploads",
                actions=["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
                resources=[bucket.arn_for_objects(keys) for keys in ("blobs/*", "layers/*")],
            ),
            iam.PolicyStatement(
                sid="DeleteVersionsAndLayers",
                actions=["lambda:DeleteFunction", "lambda:DeleteLayerVersion"],
                resources=[
                    self._lambda_arn(f"function:{function_name(stage.name, 'a').removesuffix('a')}*:*"),
                    self._lambda_arn(f"layer:{model_layer_name(stage.name, 'a').replace('-a-', '-*-')}:*"),
                ],
            ),
            iam.PolicyStatement(
                sid="UseTheKeyThroughS3",
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[store.key.key_arn],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
            ),
        ):
            role.add_to_policy(statement)
            if statement.sid in WILDCARDS:
                acknowledge_wildcards(role, statement, WHY_WILDCARDS)
        return role

    def _lambda_arn(self, resource: str) -> str:
        return f"arn:{self.partition}:lambda:{self.region}:{self.account}:{resource}"

    @staticmethod
    def _refuse_deleting(store: ModelBucket, collector: iam.Role) -> None:
        """Without deletes a key really means one thing for ever: a delete marker would free it.

        The collector is the one exception, by name, and it only ever sets markers: deleting a version
        for good is refused to everybody. A stage that does not keep its data leaves this out, so that it
        can be emptied and destroyed.
        """
        everything = [store.bucket.arn_for_objects("*")]
        store.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="OnlyTheCollectorDeletes",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:DeleteObject"],
                resources=everything,
                conditions={"ArnNotEquals": {"aws:PrincipalArn": collector.role_arn}},
            )
        )
        store.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="NobodyDeletesForGood",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:DeleteObjectVersion"],
                resources=everything,
            )
        )
