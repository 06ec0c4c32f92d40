"""``infra.stacks.store``: the bucket keeps the store's laws by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def bucket(stage: Deployed) -> dict[str, Any]:
    (found,) = (
        resource["Properties"]
        for resource in stage.resources("Store", "AWS::S3::Bucket").values()
        if "VersioningConfiguration" in resource["Properties"]
    )
    return dict(found)


def said(stage: Deployed, sid: str) -> list[dict[str, Any]]:
    return [found for found in stage.statements("Store", "AWS::S3::BucketPolicy") if found.get("Sid") == sid]


def test_the_bucket_refuses_a_write_that_could_overwrite(stage: Deployed) -> None:
    """Law 1: administrators are refused too; only parts of an upload go without the header."""
    (statement,) = said(stage, "WriteOnce")
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == {"AWS": "*"}
    assert statement["Action"] == ["s3:PutObject"]
    assert statement["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }


def test_nobody_deletes_where_data_is_kept(prod: Deployed, local: Deployed) -> None:
    """Law 1: a delete marker would free a key. A stage without kept data can be emptied."""
    (statement,) = said(prod, "DeleteNothing")
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == {"AWS": "*"}
    assert set(statement["Action"]) == {"s3:DeleteObject", "s3:DeleteObjectVersion"}
    assert said(local, "DeleteNothing") == []


def test_the_bucket_is_private_versioned_and_encrypted_with_a_rotating_key(stage: Deployed) -> None:
    properties = bucket(stage)
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["BucketKeyEnabled"] is True
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert stage.only("Store", "AWS::KMS::Key")["Properties"]["EnableKeyRotation"] is True
    (ownership,) = properties["OwnershipControls"]["Rules"]
    assert ownership["ObjectOwnership"] == "BucketOwnerEnforced"


def test_both_buckets_refuse_plain_http(stage: Deployed) -> None:
    refused = [
        found
        for found in stage.statements("Store", "AWS::S3::BucketPolicy")
        if found.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    ]
    assert [found["Effect"] for found in refused] == ["Deny", "Deny"]


def test_unfinished_uploads_end_and_nothing_else_expires(stage: Deployed) -> None:
    (rule,) = bucket(stage)["LifecycleConfiguration"]["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert not [key for key in rule if "Expiration" in key or "Transition" in key]


def test_reads_and_writes_are_recorded_in_another_bucket(stage: Deployed) -> None:
    log = bucket(stage)["LoggingConfiguration"]["DestinationBucketName"]["Ref"]
    (rule,) = stage.resources("Store", "AWS::S3::Bucket")[log]["Properties"]["LifecycleConfiguration"][
        "Rules"
    ]
    assert rule["ExpirationInDays"] == (90 if stage.stage == "prod" else 30)


def test_everybody_finds_bucket_and_key_by_the_stage_s_name(stage: Deployed) -> None:
    names = {
        resource["Properties"]["Name"]
        for resource in stage.resources("Store", "AWS::SSM::Parameter").values()
    }
    assert names == {f"/switchyard/{stage.stage}/bucket", f"/switchyard/{stage.stage}/bucket-key"}


def test_a_kept_bucket_keeps_its_policy(prod: Deployed) -> None:
    """Law 1 holds for what is left of a destroyed stage, too."""
    policies = prod.resources("Store", "AWS::S3::BucketPolicy").values()
    assert [policy["DeletionPolicy"] for policy in policies] == ["RetainExceptOnCreate"] * 2
