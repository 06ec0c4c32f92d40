"""A bucket that accepts conditional writes only, with policies enforced (the strict profile)."""

from __future__ import annotations

import json
import uuid
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

pytestmark = pytest.mark.cloud


@pytest.fixture
def bucket(strict_account: Any) -> str:
    return write_once_bucket(strict_account)


def write_once_bucket(account: Any) -> str:
    name = f"store-{uuid.uuid4().hex[:8]}"
    s3 = account.client("s3")
    s3.create_bucket(Bucket=name)
    statement = {
        "Sid": "WriteOnce",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{name}/*",
        "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    }
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    return name


def status(call: Any, **arguments: Any) -> int:
    try:
        return int(call(**arguments)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def test_an_unconditional_write_is_denied_for_the_administrator_too(strict_account: Any, bucket: str) -> None:
    """Law 1: every key is written once."""
    assert status(strict_account.client("s3").put_object, Bucket=bucket, Key="k", Body=b"1") == 403


def test_a_conditional_write_is_accepted_once(strict_account: Any, bucket: str) -> None:
    """Law 1: every key is written once."""
    s3 = strict_account.client("s3")
    assert status(s3.put_object, Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*") == 200
    assert status(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*") == 412
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


@pytest.mark.parametrize(("condition", "expected"), [({"IfNoneMatch": "*"}, 200), ({}, 403)])
def test_a_multipart_upload_needs_the_condition_where_it_is_completed(
    strict_account: Any, bucket: str, condition: dict[str, str], expected: int
) -> None:
    """Law 1: every key is written once."""
    s3 = strict_account.client("s3")
    upload = {"Bucket": bucket, "Key": "large"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    assert status(s3.complete_multipart_upload, **upload, MultipartUpload=parts, **condition) == expected


def test_a_copy_is_denied(strict_account: Any, bucket: str) -> None:
    """Law 1: every key is written once."""
    s3 = strict_account.client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
    source = {"Bucket": bucket, "Key": "k"}
    assert status(s3.copy_object, Bucket=bucket, Key="k2", CopySource=source) == 403


def test_the_administrator_can_still_take_the_policy_away(strict_account: Any, bucket: str) -> None:
    s3 = strict_account.client("s3")
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=json.dumps(
            {
                "Statement": [
                    {
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": f"arn:aws:s3:::{bucket}",
                    }
                ]
            }
        ),
    )
    assert status(s3.list_objects_v2, Bucket=bucket) == 403
    assert status(s3.delete_bucket_policy, Bucket=bucket) == 204
    assert status(s3.list_objects_v2, Bucket=bucket) == 200


def test_a_role_with_every_permission_is_denied_as_well(strict_account: Any, bucket: str) -> None:
    """Law 1: every key is written once."""
    iam, lambda_ = strict_account.client("iam"), strict_account.client("lambda")
    role = iam.create_role(
        RoleName=bucket,
        AssumeRolePolicyDocument=json.dumps(
            {
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "lambda.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ]
            }
        ),
    )["Role"]["Arn"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=bucket, PolicyName="all", PolicyDocument=json.dumps(everything))
    name = strict_account.function(
        "import boto3\ndef handler(event, context):\n    boto3.client('s3').put_object(**event)\n    return 'written'\n",
        Role=role,
    )
    assert lambda_.get_function(FunctionName=name)["Configuration"]["Role"] == role
    assert (
        strict_account.call(name, {"Bucket": bucket, "Key": "k", "Body": "1", "IfNoneMatch": "*"})
        == "written"
    )
    denied = strict_account.call(name, {"Bucket": bucket, "Key": "k2", "Body": "1"})
    assert "AccessDenied" in denied["errorMessage"]


def deletes_as_the_exempted_role(account: Any) -> int:
    """What a role gets that may do everything, on a bucket whose policy lets nobody but it delete."""
    name = f"kept-{uuid.uuid4().hex[:8]}"
    s3, iam, sts = (account.client(service) for service in ("s3", "iam", "sts"))
    trusted = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}}
    role = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Statement": [{**trusted, "Action": "sts:AssumeRole"}]}),
    )["Role"]["Arn"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(everything))
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"1")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{name}/*",
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": role}},
    }
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    given = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    client: Any = boto3.client(
        "s3",
        endpoint_url=account.cloud.endpoint_url,
        region_name=account.cloud.region,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        verify=account.cloud.environment().get("AWS_CA_BUNDLE") or True,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    return status(client.delete_object, Bucket=name, Key="k")


def test_a_policy_can_exempt_a_role_by_its_name(strict_account: Any) -> None:
    """Law 10: only the collector's role deletes."""
    assert deletes_as_the_exempted_role(strict_account) == 204


# What a stock cloud does: when one of these fails, a patch has become needless, or means something else.


def test_a_stock_cloud_takes_the_session_of_a_role_for_another_principal(stock_strict_account: Any) -> None:
    assert deletes_as_the_exempted_role(stock_strict_account) == 403


def test_a_stock_cloud_lets_the_administrator_pass_every_bucket_policy(stock_strict_account: Any) -> None:
    s3, bucket = stock_strict_account.client("s3"), write_once_bucket(stock_strict_account)
    assert status(s3.put_object, Bucket=bucket, Key="k", Body=b"1") == 200
