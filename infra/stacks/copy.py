"""What is left when the stage's region is lost: a copy of the model store, in another one."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from catalog.schema import Stage
from infra.acknowledged import acknowledge_unlogged_log
from infra.constructs.model_bucket import ModelBucket
from infra.constructs.python_function import ROLE_PATH
from infra.constructs.removal import kept_or_destroyed
from infra.stacks.stage_stack import StageStack
from model_store.contract.deployment import copy_bucket_name, copy_key_alias


class CopyStack(StageStack):
    """A bucket that only the rule in the stage's own region writes to, and its key.

    Both have names that follow from stage, account and region: the rule names them before they are looked up,
    and who restores can ask nobody in the region that is gone. It needs nothing of that region, so it
    outlives it; it is deployed first, since a rule without a bucket is refused.
    """

    def __init__(self, scope: Construct, *, stage: Stage, region: str) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern="Copy",
            description=f"Switchyard {stage.name}: a copy of the model store, for when its region is lost",
            stateful=True,
            region=region,
        )
        copy = ModelBucket(
            self,
            "Copy",
            keep_data=stage.keep_data,
            access_log_days=max(stage.log_retention_days, 30),
            name=copy_bucket_name(stage.name, self.account, region),
        )
        kms.Alias(self, "KeyAlias", alias_name=copy_key_alias(stage.name), target_key=copy.key)
        self._refuse_writing(copy)
        if stage.keep_data:
            self._refuse_deleting(copy)
        for bucket in (copy.bucket, copy.access_log):
            assert bucket.policy is not None
            bucket.policy.apply_removal_policy(kept_or_destroyed(keep=stage.keep_data))
        cdk.CfnOutput(
            self,
            "BucketName",
            value=copy.bucket.bucket_name,
            description="`yard restore --from-bucket` takes it",
        )
        acknowledge_unlogged_log(copy.access_log)

    def _refuse_writing(self, copy: ModelBucket) -> None:
        """Whatever stands here was copied: nobody else writes, administrators included.

        S3 copies with ``s3:ReplicateObject``, in the name of a role of the stage's store.
        """
        ours = f"arn:{self.partition}:iam::{self.account}:role{ROLE_PATH}*"
        copy.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="OnlyTheRuleWrites",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:PutObject"],
                resources=[copy.bucket.arn_for_objects("*")],
                conditions={"ArnNotLike": {"aws:PrincipalArn": ours}},
            )
        )

    @staticmethod
    def _refuse_deleting(copy: ModelBucket) -> None:
        copy.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="NobodyDeletes",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:DeleteObject", "s3:DeleteObjectVersion"],
                resources=[copy.bucket.arn_for_objects("*")],
            )
        )
