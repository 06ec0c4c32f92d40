"""Stateful: the bucket that is the registry. Deployed rarely, deleted never (where data is kept)."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.schema import Stage
from infra.acknowledged import acknowledge_unlogged_log
from infra.constructs.model_bucket import ModelBucket
from infra.constructs.removal import kept_or_destroyed
from infra.stacks.stage_stack import StageStack
from model_store.contract.deployment import bucket_key_parameter, bucket_parameter


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
        self._refuse_overwriting(store)
        if stage.keep_data:
            self._refuse_deleting(store)
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

    @staticmethod
    def _refuse_deleting(store: ModelBucket) -> None:
        """Without deletes a key really means one thing for ever: a delete marker would free it.

        Nothing in Switchyard deletes yet; the collector will be the one exception, by name. A stage
        that does not keep its data leaves this out, so that it can be emptied and destroyed.
        """
        store.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="DeleteNothing",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:DeleteObject", "s3:DeleteObjectVersion"],
                resources=[store.bucket.arn_for_objects("*")],
            )
        )
