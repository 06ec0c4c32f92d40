"""The bucket that large payloads pass through: private, encrypted, and empty again the day after."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.removal import kept_or_destroyed

FORGET_AFTER_DAYS = 1
"""S3's shortest lifecycle. Functions take an upload for an hour."""


class HandoffBucket(Construct):
    """``bucket`` with its customer key. Not versioned: a version kept would be a payload kept."""

    def __init__(self, scope: Construct, id_: str, *, keep_data: bool) -> None:
        super().__init__(scope, id_)
        removal = kept_or_destroyed(keep=keep_data)
        self.key = kms.Key(
            self,
            "Key",
            description="Encrypts payloads on their way to and from models",
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
                    id="Forget",
                    expiration=cdk.Duration.days(FORGET_AFTER_DAYS),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(FORGET_AFTER_DAYS),
                )
            ],
            removal_policy=removal,
        )
