"""Permissions on versions of functions, with policies enforced (the strict profile)."""

from __future__ import annotations

import json
import uuid
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

pytestmark = pytest.mark.cloud

CODE = "def handler(event, context):\n    return 1\n"


def deletions(account: Any) -> tuple[bool, bool]:
    """Whether a role that may delete ``function:NAME:*`` may delete the function, and a version of it."""
    name = f"collected-{uuid.uuid4().hex[:8]}"
    iam, lambda_ = account.client("iam"), account.client("lambda")
    trusted = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}}
    role = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Statement": [{**trusted, "Action": "sts:AssumeRole"}]}),
    )["Role"]["Arn"]
    account.function(CODE, FunctionName=name, Role=role)
    version = lambda_.publish_version(FunctionName=name)["Version"]
    allowed = {
        "Effect": "Allow",
        "Action": "lambda:DeleteFunction",
        "Resource": f"arn:aws:lambda:{account.cloud.region}:000000000000:function:{name}:*",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=name, PolicyName="delete", PolicyDocument=document)
    given = account.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    client = boto3.client(
        "lambda",
        endpoint_url=account.cloud.endpoint_url,
        region_name=account.cloud.region,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        verify=account.cloud.environment().get("AWS_CA_BUNDLE") or True,
        config=Config(retries={"total_max_attempts": 1}),
    )
    of_version = may(client, FunctionName=name, Qualifier=version)
    return may(client, FunctionName=name), of_version


def may(client: Any, **asked: str) -> bool:
    try:
        client.delete_function(**asked)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDeniedException":
            raise
        return False
    return True


def test_a_role_may_delete_versions_and_not_the_function(strict_account: Any) -> None:
    """Law 10: the collector's permission ends in a qualifier."""
    assert deletions(strict_account) == (False, True)


def test_a_stock_cloud_knows_the_function_alone(stock_strict_account: Any) -> None:
    """When this fails, the patch has become needless, or means something else."""
    assert deletions(stock_strict_account) == (False, False)
