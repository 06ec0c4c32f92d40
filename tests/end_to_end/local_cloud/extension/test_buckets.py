"""What a template says about a bucket is true of the bucket."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.cloud


def bucket(**settings: Any) -> dict[str, Any]:
    return {"Type": "AWS::S3::Bucket", "Properties": settings}


SETTINGS: dict[str, Any] = {
    "BucketEncryption": {
        "ServerSideEncryptionConfiguration": [
            {
                "BucketKeyEnabled": True,
                "ServerSideEncryptionByDefault": {
                    "SSEAlgorithm": "aws:kms",
                    "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]},
                },
            }
        ]
    },
    "LifecycleConfiguration": {
        "Rules": [
            {
                "Id": "tidy",
                "Status": "Enabled",
                "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            }
        ]
    },
    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    "PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "BlockPublicPolicy": True},
    "VersioningConfiguration": {"Status": "Enabled"},
}


def deployed(account: Any, **settings: Any) -> dict[str, str]:
    resources = {
        "Key": {
            "Type": "AWS::KMS::Key",
            "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": []}},
        },
        "Logs": bucket(),
        "Bucket": bucket(
            **{**SETTINGS, "LoggingConfiguration": {"DestinationBucketName": {"Ref": "Logs"}}, **settings}
        ),
    }
    outputs = {"Bucket": {"Ref": "Bucket"}, "Logs": {"Ref": "Logs"}, "Key": {"Fn::GetAtt": ["Key", "Arn"]}}
    return dict(account.stack(f"buckets-{uuid.uuid4().hex[:8]}", resources, outputs))


def test_the_settings_of_a_template_are_applied(account: Any) -> None:
    made, s3 = deployed(account), account.client("s3")
    name = made["Bucket"]
    encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert encryption["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == made["Key"]
    assert encryption["BucketKeyEnabled"] is True
    rule = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"][0]
    assert (rule["ID"], rule["NoncurrentVersionExpiration"]["NoncurrentDays"]) == ("tidy", 30)
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7
    assert s3.get_bucket_logging(Bucket=name)["LoggingEnabled"]["TargetBucket"] == made["Logs"]
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert (block["BlockPublicAcls"], block["IgnorePublicAcls"]) == (True, False)
    owner = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
    assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_a_stock_cloud_drops_encryption_and_lifecycle(stock_account: Any) -> None:
    made, s3 = deployed(stock_account), stock_account.client("s3")
    encryption = s3.get_bucket_encryption(Bucket=made["Bucket"])["ServerSideEncryptionConfiguration"][
        "Rules"
    ][0]
    assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=made["Bucket"])


@pytest.mark.parametrize("asked", [{}, {"ServerSideEncryption": "aws:kms"}])
def test_objects_say_that_the_key_of_the_bucket_encrypts_them(account: Any, asked: dict[str, str]) -> None:
    made, s3 = deployed(account), account.client("s3")
    put = s3.put_object(Bucket=made["Bucket"], Key="x", Body=b"x", **asked)
    for answer in (
        put,
        s3.head_object(Bucket=made["Bucket"], Key="x"),
        s3.get_object(Bucket=made["Bucket"], Key="x"),
    ):
        assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", made["Key"])


def test_objects_of_any_other_bucket_are_encrypted_by_s3(account: Any) -> None:
    made, s3 = deployed(account), account.client("s3")
    s3.put_object(Bucket=made["Logs"], Key="x", Body=b"x")
    assert s3.head_object(Bucket=made["Logs"], Key="x")["ServerSideEncryption"] == "AES256"


def test_the_checksum_of_an_object_is_in_the_answer_to_its_put(account: Any) -> None:
    made, s3 = deployed(account), account.client("s3")
    sha256 = "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="
    assert (
        s3.put_object(Bucket=made["Bucket"], Key="x", Body=b"a", ChecksumSHA256=sha256)["ChecksumSHA256"]
        == sha256
    )


def test_a_stock_cloud_refuses_kms_without_a_key_and_leaves_checksums_out(stock_account: Any) -> None:
    made, s3 = deployed(stock_account), stock_account.client("s3")
    with pytest.raises(ClientError, match="requires a key id"):
        s3.put_object(Bucket=made["Bucket"], Key="x", Body=b"x", ServerSideEncryption="aws:kms")
    sha256 = "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="
    assert "ChecksumSHA256" not in s3.put_object(
        Bucket=made["Bucket"], Key="x", Body=b"a", ChecksumSHA256=sha256
    )
