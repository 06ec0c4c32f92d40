"""A bucket that payloads pass through: private, encrypted, and empty again some days after."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.removal import kept_or_destroyed


class PassingBucket(Construct):
    """``bucket`` with its customer key. Not versioned: a version kept would be a payload kept.

    ``forget`` are the prefixes that are emptied, by default everything. With ``announces`` S3 tells
    EventBridge of every object. Written on CloudFormation's own level: the L2 would bring a function of its
    own to switch it on.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        keep_data: bool,
        forget_after_days: int,
        key_description: str,
        announces: bool = False,
        forget: tuple[str, ...] = (),
    ) -> None:
        super().__init__(scope, id_)
        removal = kept_or_destroyed(keep=keep_data)
        self.key = kms.Key(
            self,
            "Key",
            description=key_description,
            enable_key_rotation=True,
            removal_policy=removal,
        )
        self.bucket = s3.Bucket(
            self,
            "Payloads",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id=f"Forget{prefix.strip('/').title()}",
                    prefix=prefix or None,
                    expiration=cdk.Duration.days(forget_after_days),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(forget_after_days),
                )
                for prefix in forget or ("",)
            ],
            removal_policy=removal,
        )
        if announces:
            below = self.bucket.node.default_child
            assert isinstance(below, s3.CfnBucket)
            below.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
                event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                    event_bridge_enabled=True
                )
            )
