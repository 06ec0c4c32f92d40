"""The bucket of captured requests: private, encrypted, and forgetful, for each model at its own pace."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.removal import kept_or_destroyed
from model_store.contract.capture import REPORTS_PREFIX, captured_prefix, truth_prefix

REPORT_DAYS = 400
"""Reports hold shares of rows and no row: a year of them says how a model aged."""

UNFINISHED_DAYS = 1


class CaptureBucket(Construct):
    """``bucket`` with its customer key. ``days`` is how long each model's rows and labels are kept.

    Not versioned: a version kept would be a request kept. Rules go by prefix: one model's pace is no other's.
    """

    def __init__(self, scope: Construct, id_: str, *, keep_data: bool, days: Mapping[str, int]) -> None:
        super().__init__(scope, id_)
        removal = kept_or_destroyed(keep=keep_data)
        self.key = kms.Key(
            self,
            "Key",
            description="Encrypts captured requests",
            enable_key_rotation=True,
            removal_policy=removal,
        )
        self.bucket = s3.Bucket(
            self,
            "Captured",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                *(
                    s3.LifecycleRule(
                        id=f"Forget{what}-{model}", prefix=prefix(model), expiration=cdk.Duration.days(kept)
                    )
                    for model, kept in days.items()
                    for what, prefix in (("Rows", captured_prefix), ("Labels", truth_prefix))
                ),
                s3.LifecycleRule(
                    id="ForgetReports", prefix=REPORTS_PREFIX, expiration=cdk.Duration.days(REPORT_DAYS)
                ),
                s3.LifecycleRule(
                    id="EndUnfinishedUploads",
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(UNFINISHED_DAYS),
                ),
            ],
            removal_policy=removal,
        )
