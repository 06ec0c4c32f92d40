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
    allowed = {
        "Effect": "Allow",
        "Action": "lambda:DeleteFunction",
        "Resource": f"arn:aws:lambda:{account.cloud.region}:000000000000:function:{name}:*",
    }
    client = as_role_with(account, name, allowed)
    version = account.client("lambda").publish_version(FunctionName=name)["Version"]
    of_version = may(client, FunctionName=name, Qualifier=version)
    return may(client, FunctionName=name), of_version


def as_role_with(account: Any, name: str, allowed: dict[str, Any], service: str = "lambda") -> Any:
    """A function, and a client that may do this and no more; both have the same name."""
    iam = account.client("iam")
    trusted = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}}
    role = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Statement": [{**trusted, "Action": "sts:AssumeRole"}]}),
    )["Role"]["Arn"]
    account.function(CODE, FunctionName=name, Role=role)
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=document)
    given = account.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    make: Any = boto3.client  # its stubs want a literal name
    return make(
        service,
        endpoint_url=account.cloud.endpoint_url,
        region_name=account.cloud.region,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        verify=account.cloud.environment().get("AWS_CA_BUNDLE") or True,
        config=Config(retries={"total_max_attempts": 1}),
    )


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


def aliases(account: Any) -> tuple[bool, bool]:
    """Whether a role that may read aliases may read one, and move it."""
    name = f"read-{uuid.uuid4().hex[:8]}"
    allowed = {"Effect": "Allow", "Action": ["lambda:GetAlias", "lambda:ListAliases"], "Resource": "*"}
    client = as_role_with(account, name, allowed)
    account.client("lambda").create_alias(FunctionName=name, Name="live", FunctionVersion="$LATEST")
    found = []
    for call in (client.get_alias, client.update_alias):
        try:
            call(FunctionName=name, Name="live")
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            found.append(False)
        else:
            found.append(True)
    return found[0], found[1]


def test_who_reads_an_alias_may_not_move_it(strict_account: Any) -> None:
    """Law 3: what serves is moved by whom it was given to."""
    assert aliases(strict_account) == (True, False)


def test_to_a_stock_cloud_reading_and_moving_an_alias_are_one(stock_strict_account: Any) -> None:
    """When this fails, the patch has become needless, or means something else."""
    assert aliases(stock_strict_account) == (True, True)


def paths(account: Any) -> tuple[bool, bool]:
    """Whether a role that may read the parameters below one path may, and may read those below another."""
    name = f"found-{uuid.uuid4().hex[:8]}"
    own = f"arn:aws:ssm:{account.cloud.region}:000000000000:parameter/{name}"
    allowed = {"Effect": "Allow", "Action": "ssm:GetParametersByPath", "Resource": [own, f"{own}/*"]}
    client = as_role_with(account, name, allowed, "ssm")
    found = []
    for path in (f"/{name}/", "/another/"):
        try:
            client.get_parameters_by_path(Path=path)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            found.append(False)
        else:
            found.append(True)
    return found[0], found[1]


def test_a_role_finds_the_parameters_of_its_own_path(strict_account: Any) -> None:
    assert paths(strict_account) == (True, False)


def test_a_stock_cloud_knows_no_path(stock_strict_account: Any) -> None:
    """When this fails, the patch has become needless, or means something else."""
    assert paths(stock_strict_account) == (False, False)


def alarms(account: Any) -> tuple[bool, bool]:
    """Whether a role that may delete alarms by a prefix may delete one of them, and another."""
    name = f"watched-{uuid.uuid4().hex[:8]}"
    own = f"arn:aws:cloudwatch:{account.cloud.region}:000000000000:alarm:{name}/*"
    allowed = {"Effect": "Allow", "Action": "cloudwatch:DeleteAlarms", "Resource": own}
    client = as_role_with(account, name, allowed, "cloudwatch")
    found = []
    for alarm in (f"{name}/one", "another/one"):
        try:
            client.delete_alarms(AlarmNames=[alarm])
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException"):
                raise
            found.append(False)
        else:
            found.append(True)
    return found[0], found[1]


def test_a_role_deletes_the_alarms_of_its_own_prefix(strict_account: Any) -> None:
    assert alarms(strict_account) == (True, False)


def test_a_stock_cloud_knows_no_alarm_that_is_deleted(stock_strict_account: Any) -> None:
    """When this fails, the patch has become needless, or means something else."""
    assert alarms(stock_strict_account) == (False, False)


def dashboards(account: Any) -> tuple[bool, bool]:
    """Whether a role that may read one dashboard may read it, and another."""
    name = f"page-{uuid.uuid4().hex[:8]}"
    own = f"arn:aws:cloudwatch::000000000000:dashboard/{name}"
    allowed = {"Effect": "Allow", "Action": "cloudwatch:GetDashboard", "Resource": own}
    client = as_role_with(account, name, allowed, service="cloudwatch")
    found = []
    for page in (name, f"{name}-2"):
        account.client("cloudwatch").put_dashboard(DashboardName=page, DashboardBody='{"widgets": []}')
        try:
            client.get_dashboard(DashboardName=page)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException"):
                raise
            found.append(False)
        else:
            found.append(True)
    return found[0], found[1]


def test_a_role_reads_the_dashboards_that_it_may(strict_account: Any) -> None:
    assert dashboards(strict_account) == (True, False)


def test_a_stock_cloud_knows_no_dashboard(stock_strict_account: Any) -> None:
    """When this fails, the extension's part about dashboards is needless."""
    assert dashboards(stock_strict_account) == (False, False)
