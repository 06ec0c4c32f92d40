"""The bucket that models live in: private, versioned, encrypted, and watched."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.removal import kept_or_destroyed

UNFINISHED_UPLOAD_DAYS = 7

COLLECTED_DAYS = 30
"""How long what was collected can be brought back. A delete names no version and leaves a marker; only
this rule ends the bytes, and no bucket policy holds for lifecycle rules."""


class ModelBucket(Construct):
    """``bucket`` with its customer key, and a second bucket for the record of who read what.

    CloudFormation chooses the bucket's name unless one is given: a copy has to be found without asking.
    """

    def __init__(
        self, scope: Construct, id_: str, *, keep_data: bool, access_log_days: int, name: str | None = None
    ) -> None:
        super().__init__(scope, id_)
        removal = kept_or_destroyed(keep=keep_data)
        self.key = kms.Key(
            self,
            "Key",
            description="Encrypts published models",
            enable_key_rotation=True,
            removal_policy=removal,
        )
        # S3 delivers access logs to buckets with S3's own key only, not with a customer key
        # (S3 User Guide, "Enabling Amazon S3 server access logging").
        self.access_log = s3.Bucket(
            self,
            "AccessLog",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[s3.LifecycleRule(id="Forget", expiration=cdk.Duration.days(access_log_days))],
            removal_policy=removal,
        )
        self.bucket = s3.Bucket(
            self,
            "Models",
            bucket_name=name,
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            server_access_logs_bucket=self.access_log,
            server_access_logs_prefix="models/",
            lifecycle_rules=[
                # An upload that broke off keeps its parts, unseen and paid for, until somebody ends it.
                s3.LifecycleRule(
                    id="EndUnfinishedUploads",
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(UNFINISHED_UPLOAD_DAYS),
                ),
                # Keys are written once, so only what the collector deleted ever becomes noncurrent.
                s3.LifecycleRule(
                    id="EndWhatWasCollected",
                    noncurrent_version_expiration=cdk.Duration.days(COLLECTED_DAYS),
                    expired_object_delete_marker=True,
                ),
            ],
            removal_policy=removal,
        )
