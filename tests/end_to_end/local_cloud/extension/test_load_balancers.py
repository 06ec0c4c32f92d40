"""Permissions on rules of load balancers, with policies enforced (the strict profile).

What load balancers do is shown where there is something behind them: ``test_fleet_stacks``.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

pytestmark = pytest.mark.cloud

FIXED = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "nobody"}
NOBODY = [{"Type": "fixed-response", "FixedResponseConfig": FIXED}]
EVERYTHING = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}]


def leader(account: Any, prefix: str) -> Any:
    """A client that may do what the operations function may: change rules below ``prefix``, as its stack has it."""
    name = f"leads-{uuid.uuid4().hex[:8]}"
    iam = account.client("iam")
    trusted = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}}
    role = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Statement": [{**trusted, "Action": "sts:AssumeRole"}]}),
    )["Role"]["Arn"]
    place = f"arn:aws:elasticloadbalancing:{account.cloud.region}:000000000000"
    statements = [
        {
            "Effect": "Allow",
            "Action": "elasticloadbalancing:CreateRule",
            "Resource": f"{place}:listener/app/{prefix}*/*",
        },
        {
            "Effect": "Allow",
            "Action": ["elasticloadbalancing:ModifyRule", "elasticloadbalancing:DeleteRule"],
            "Resource": f"{place}:listener-rule/app/{prefix}*/*",
        },
        {"Effect": "Allow", "Action": "elasticloadbalancing:DescribeRules", "Resource": "*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName="lead", PolicyDocument=document)
    given = account.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    make: Any = boto3.client  # its stubs want a literal name
    return make(
        "elbv2",
        endpoint_url=account.cloud.endpoint_url,
        region_name=account.cloud.region,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        verify=account.cloud.environment().get("AWS_CA_BUNDLE") or True,
        config=Config(retries={"total_max_attempts": 1}),
    )


def listener(account: Any, name: str) -> str:
    elb = account.client("elbv2")
    (made,) = elb.create_load_balancer(Name=name, Subnets=["subnet-1"])["LoadBalancers"]
    (found,) = elb.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=NOBODY
    )["Listeners"]
    return str(found["ListenerArn"])


def rule(client: Any, on: str) -> str:
    (made,) = client.create_rule(ListenerArn=on, Priority=50_000, Conditions=EVERYTHING, Actions=NOBODY)[
        "Rules"
    ]
    return str(made["RuleArn"])


def test_whoever_leads_calls_changes_rules_of_its_stage_s_load_balancers_and_of_no_other(
    strict_account: Any,
) -> None:
    stage = f"switchyard-{uuid.uuid4().hex[:8]}-"
    own, other = listener(strict_account, f"{stage}own"), listener(strict_account, f"{stage[:-2]}other")
    client = leader(strict_account, stage)
    made = rule(client, own)
    client.modify_rule(RuleArn=made, Actions=NOBODY)
    assert len(client.describe_rules(ListenerArn=own)["Rules"]) == 2
    client.delete_rule(RuleArn=made)
    with pytest.raises(ClientError, match="AccessDenied"):
        rule(client, other)
    theirs = rule(strict_account.client("elbv2"), other)
    for change in (client.modify_rule, client.delete_rule):
        with pytest.raises(ClientError, match="AccessDenied"):
            change(RuleArn=theirs, **({"Actions": NOBODY} if change == client.modify_rule else {}))


def test_a_stock_cloud_knows_no_rule_by_itself(stock_strict_account: Any) -> None:
    """When this fails, the patch has become needless, or means something else."""
    stage = f"switchyard-{uuid.uuid4().hex[:8]}-"
    own = listener(stock_strict_account, f"{stage}own")
    made = rule(stock_strict_account.client("elbv2"), own)
    with pytest.raises(ClientError, match="AccessDenied"):
        leader(stock_strict_account, stage).modify_rule(RuleArn=made, Actions=NOBODY)
