"""REST APIs as callers see them: what stands before the stage, and what a function's failure comes to."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from typing import Any

import pytest

from model_store.contract.rest_events import as_http_event
from switchyard_client import Credentials, sign

pytestmark = pytest.mark.cloud

CODE = (
    "import json\ndef handler(event, context):\n"
    "    if event['path'] == '/broken': raise ValueError('planted')\n"
    "    return {'statusCode': 200, 'body': json.dumps(event)}\n"
)
INSIDE, OUTSIDE = "vpce-0123456789abcdef0", "vpce-0fedcba9876543210"
RATE = {"RateBasedStatement": {"Limit": 10, "AggregateKeyType": "IP"}}
SEEN = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": True, "MetricName": "x"}


def stack_of(
    account: Any, *, api: dict[str, Any] | None = None, acl: bool = False, authorization: str = "NONE"
) -> dict[str, str]:
    """Deploy a REST API in front of a function, and return what the stack says."""
    name = f"rest-{uuid.uuid4().hex[:8]}"
    uri = (
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
        f"arn:aws:lambda:us-east-1:000000000000:function:{account.function(CODE)}/invocations"
    )
    rest = {"Ref": "Api"}
    resources: dict[str, Any] = {
        "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": f"/{name}"}},
        "Api": {
            "Type": "AWS::ApiGateway::RestApi",
            "Properties": {"Name": name, "BinaryMediaTypes": ["*/*"], **(api or {})},
        },
        "Path": {
            "Type": "AWS::ApiGateway::Resource",
            "Properties": {
                "RestApiId": rest,
                "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
                "PathPart": "{proxy+}",
            },
        },
        "Any": {
            "Type": "AWS::ApiGateway::Method",
            "Properties": {
                "RestApiId": rest,
                "ResourceId": {"Ref": "Path"},
                "HttpMethod": "ANY",
                "AuthorizationType": authorization,
                "Integration": {"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "Uri": uri},
            },
        },
        "Deployed": {
            "Type": "AWS::ApiGateway::Deployment",
            "DependsOn": "Any",
            "Properties": {"RestApiId": rest},
        },
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": {
                "RestApiId": rest,
                "StageName": "it",
                "DeploymentId": {"Ref": "Deployed"},
                "MethodSettings": [
                    {
                        "ResourcePath": "/~1{proxy+}",
                        "HttpMethod": "GET",
                        "ThrottlingRateLimit": 0.01,
                        "ThrottlingBurstLimit": 3,
                    }
                ],
                "AccessLogSetting": {
                    "DestinationArn": {"Fn::GetAtt": ["Log", "Arn"]},
                    "Format": "$context.status $context.error.responseType $context.resourcePath",
                },
            },
        },
    }
    if acl:
        rule = {"Name": "r", "Priority": 0, "Action": {"Block": {}}, "Statement": RATE}
        resources["Acl"] = {
            "Type": "AWS::WAFv2::WebACL",
            "Properties": {
                "Scope": "REGIONAL",
                "DefaultAction": {"Allow": {}},
                "VisibilityConfig": SEEN,
                "Rules": [rule | {"VisibilityConfig": SEEN}],
            },
        }
        resources["Before"] = {
            "Type": "AWS::WAFv2::WebACLAssociation",
            "Properties": {
                "WebACLArn": {"Fn::GetAtt": ["Acl", "Arn"]},
                "ResourceArn": {"Fn::Sub": "arn:aws:apigateway:us-east-1::/restapis/${Api}/stages/${Stage}"},
            },
        }
    said = account.stack(
        name,
        resources,
        {
            "Url": {"Fn::Join": ["", ["https://", rest, ".execute-api.us-east-1.amazonaws.com/it"]]},
            "Through": {
                "Fn::Join": ["", ["https://", rest, f"-{INSIDE}.execute-api.us-east-1.amazonaws.com/it"]]
            },
        },
    )
    assert said["StackStatus"] == "CREATE_COMPLETE"
    return {**said, "Log": f"/{name}"}


def ask(url: str, body: bytes = b"x") -> tuple[int, Any]:
    request = urllib.request.Request(url, data=body, headers={"Accept": "*/*"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_the_address_that_a_template_writes_is_one_here_and_calls_are_logged(account: Any) -> None:
    said = stack_of(account)
    assert said["Url"].startswith(account.cloud.endpoint_url)
    status, event = ask(f"{said['Url']}/a?x=1")
    assert (status, event["path"], event["isBase64Encoded"]) == (200, "/a", True)
    assert "version" not in event  # an HTTP API's events of format 1.0 have one, a REST API's do not
    assert ask(f"{said['Url']}/broken") == (502, {"message": "Internal server error"})
    assert ask(f"{said['Url']}/a", bytes(5 * 1024 * 1024))[0] == 413
    statuses = []
    for _ in range(4):
        try:
            with urllib.request.urlopen(f"{said['Url']}/a") as answer:
                statuses.append(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                statuses.append(error.code)
    assert statuses == [200, 200, 200, 429]
    found = account.client("logs").filter_log_events(logGroupName=said["Log"])["events"]
    assert [event["message"] for event in found] == [
        "200 - /{proxy+}",
        "502 DEFAULT_5XX /{proxy+}",
        "413 REQUEST_TOO_LARGE /{proxy+}",
        *("200 - /{proxy+}",) * 3,
        "429 THROTTLED /{proxy+}",
    ]


def test_a_stock_cloud_leaves_the_address_to_aws(stock_account: Any) -> None:
    assert "amazonaws.com" in stack_of(stock_account)["Url"]


def test_a_private_api_is_there_for_its_endpoints_only(account: Any) -> None:
    elsewhere = {"StringNotEquals": {"aws:SourceVpce": [INSIDE]}}
    every = {"Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", **every, "Condition": elsewhere}, {"Effect": "Allow", **every}],
    }
    private = {"EndpointConfiguration": {"Types": ["PRIVATE"], "VpcEndpointIds": [INSIDE]}, "Policy": policy}
    said = stack_of(account, api=private)
    assert ask(f"{said['Through']}/a")[0] == 200
    assert ask(f"{said['Url']}/a")[0] == 403
    assert ask(f"{said['Through'].replace(INSIDE, OUTSIDE)}/a")[0] == 403


def test_a_firewall_stops_an_address_that_asks_too_often(account: Any) -> None:
    said = stack_of(account, acl=True)
    statuses = [ask(f"{said['Url']}/a")[0] for _ in range(12)]
    assert statuses == [*(200,) * 10, 403, 403]


def test_an_api_that_asks_for_iam_hears_who_signed_and_refuses_who_did_not(account: Any) -> None:
    """What a function makes of the caller: ``model_store.contract.rest_events``."""
    url = stack_of(account, authorization="AWS_IAM")["Url"]
    assert ask(f"{url}/a") == (403, {"message": "Missing Authentication Token"})
    iam, name = account.client("iam"), f"u-{uuid.uuid4().hex[:8]}"
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    signed = sign(
        "GET", f"{url}/a", {}, b"", credentials=credentials, region="us-east-1", service="execute-api"
    )
    request = urllib.request.Request(f"{url}/a", headers=signed)
    with urllib.request.urlopen(request) as answer:
        event = json.loads(answer.read())
    said = as_http_event(event)["requestContext"]["authorizer"]["iam"]
    assert (said["accountId"], said["userArn"]) == ("000000000000", arn)
