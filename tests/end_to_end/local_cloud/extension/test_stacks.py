"""Stacks with functions and custom resources: order, rollback, attributes."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

pytestmark = pytest.mark.cloud

ROLE = "arn:aws:iam::000000000000:role/any"

PROVIDER = """
import json, time, urllib.request
import boto3

def handler(event, context):
    properties = event["ResourceProperties"]
    line = {"type": event["RequestType"], "value": properties["Value"], "name": event["LogicalResourceId"],
            "old": event.get("OldResourceProperties", {}).get("Value")}
    line["stack"] = boto3.client("cloudformation").describe_stacks(StackName=event["StackId"])["Stacks"][0]["StackStatus"]
    print("EVENT " + json.dumps(line))
    answer = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    answer["PhysicalResourceId"] = "same"
    answer["Status"], answer["Reason"] = ("FAILED", "no such value") if properties["Value"] == "bad" else ("SUCCESS", "")
    answer["Data"] = {"Echo": properties["Value"]}
    request = urllib.request.Request(event["ResponseURL"], data=json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).close()
"""


def provider(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": name,
            "Code": {"ZipFile": PROVIDER},
            "Handler": "index.handler",
            "Runtime": "python3.13",
            "Role": ROLE,
            "Timeout": 20,
        },
    }


def custom(value: str, **more: Any) -> dict[str, Any]:
    token = {"Fn::GetAtt": ["Provider", "Arn"]}
    return {
        "Type": "Custom::Probe",
        "Properties": {"ServiceToken": token, "ServiceTimeout": 20, "Value": value},
        **more,
    }


def events(account: Any, function: str) -> list[dict[str, Any]]:
    """Return what the provider was told, oldest first."""
    found = account.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
    lines = [
        e["message"] for e in sorted(found, key=lambda e: e["timestamp"]) if e["message"].startswith("EVENT ")
    ]
    return [json.loads(line.removeprefix("EVENT ")) for line in lines]


@pytest.fixture
def name() -> str:
    return f"probe-{uuid.uuid4().hex[:8]}"


def test_a_failed_update_sends_the_old_properties_back_while_the_stack_says_so(
    account: Any, name: str
) -> None:
    """Law 4: a stack rollback moves no alias; the custom resource learns what it has to go back to."""
    account.stack(name, {"Provider": provider(name), "A": custom("one"), "B": custom("one", DependsOn="A")})
    ended = account.stack(
        name, {"Provider": provider(name), "A": custom("two"), "B": custom("bad", DependsOn="A")}
    )
    assert ended["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    told = [(e["name"], e["type"], e["value"], e["old"], e["stack"]) for e in events(account, name)][2:]
    assert told[:2] == [
        ("A", "Update", "two", "one", "UPDATE_IN_PROGRESS"),
        ("B", "Update", "bad", "one", "UPDATE_IN_PROGRESS"),
    ]
    assert sorted(told[2:]) == [
        ("A", "Update", "one", "two", "UPDATE_ROLLBACK_IN_PROGRESS"),
        ("B", "Update", "one", "bad", "UPDATE_ROLLBACK_IN_PROGRESS"),
    ]


def test_the_reason_of_a_failed_custom_resource_reads_as_on_amazon(account: Any, name: str) -> None:
    account.stack(name, {"Provider": provider(name), "A": custom("bad")})
    found = account.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    reasons = [event.get("ResourceStatusReason", "") for event in found]
    expected = "Received response status [FAILED] from custom resource. Message returned: no such value"
    assert expected in reasons


def test_a_custom_resource_that_leaves_the_template_with_its_provider_is_told_first(
    account: Any, name: str
) -> None:
    keep = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}
    account.stack(name, {"Provider": provider(name), "A": custom("one"), "Keep": keep})
    assert account.stack(name, {"Keep": keep})["StackStatus"] == "UPDATE_COMPLETE"
    assert [event["type"] for event in events(account, name)] == ["Create", "Delete"]


def test_deleting_a_stack_tells_the_custom_resource_before_its_provider_goes(account: Any, name: str) -> None:
    account.stack(name, {"Provider": provider(name), "A": custom("one")})
    stack = account.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    account.client("cloudformation").delete_stack(StackName=name)
    assert account.stack_at_rest(stack)["StackStatus"] == "DELETE_COMPLETE"
    assert [event["type"] for event in events(account, name)] == ["Create", "Delete"]


def test_after_a_stack_update_a_function_is_ready_at_once_and_keeps_its_versions_and_aliases(
    account: Any, name: str
) -> None:
    """Law 4: the template never owns what is live."""
    lambda_ = account.client("lambda")
    account.stack(name, {"Provider": provider(name)})
    lambda_.publish_version(FunctionName=name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    changed = provider(name)
    changed["Properties"]["MemorySize"] = 512
    account.stack(name, {"Provider": changed, "A": custom("one")})
    now = lambda_.get_function_configuration(FunctionName=name)
    assert (now["MemorySize"], now["LastUpdateStatus"], now["State"]) == (512, "Successful", "Active")
    assert lambda_.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == "1"
    assert lambda_.get_function_configuration(FunctionName=name, Qualifier="1")["MemorySize"] == 128


def test_the_kinds_of_resources_of_this_project_have_their_attributes(account: Any, name: str) -> None:
    resources = {
        "Provider": provider(name),
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Key": {
            "Type": "AWS::KMS::Key",
            "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": []}},
        },
        "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 7}},
        "Parameter": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "v"}},
        "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": name, "ProtocolType": "HTTP"}},
        "Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": "Provider"},
                "Principal": "apigateway.amazonaws.com",
            },
        },
        "A": custom("one"),
    }
    wanted = [
        ("Provider", "Arn"),
        ("Provider", "SnapStartResponse.OptimizationStatus"),
        ("Bucket", "Arn"),
        ("Bucket", "RegionalDomainName"),
        ("Bucket", "DualStackDomainName"),
        ("Key", "Arn"),
        ("Key", "KeyId"),
        ("Group", "Arn"),
        ("Parameter", "Value"),
        ("Api", "ApiEndpoint"),
        ("Api", "ApiId"),
        ("Permission", "Id"),
        ("A", "Echo"),
    ]
    outputs = {f"O{number}": {"Fn::GetAtt": list(pair)} for number, pair in enumerate(wanted)}
    made = account.stack(name, resources, outputs)
    assert made.pop("StackStatus") == "CREATE_COMPLETE"
    assert len([value for value in made.values() if value]) == len(wanted)
    assert made["O9"].startswith(account.cloud.endpoint_url)
    groups = account.client("logs").describe_log_groups(logGroupNamePrefix=made["O7"].split(":")[6])[
        "logGroups"
    ]
    assert groups[0]["retentionInDays"] == 7


def test_only_the_command_line_of_the_cdk_waits_for_a_stack_to_come_to_rest(account: Any, name: str) -> None:
    slow = provider(name)
    slow["Properties"]["Code"]["ZipFile"] = PROVIDER.replace(
        "    properties =", "    time.sleep(1)\n    properties ="
    )
    template = json.dumps({"Resources": {"Provider": slow, "A": custom("one")}})
    cloudformation = account.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=template)
    started = time.monotonic()
    assert cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "CREATE_IN_PROGRESS"
    assert time.monotonic() - started < 0.9

    def as_cdk(request: Any, **_: Any) -> None:
        request.headers["User-Agent"] = "aws-cdk/2"

    cloudformation.meta.events.register("before-sign", as_cdk)
    try:
        assert cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    finally:
        cloudformation.meta.events.unregister("before-sign", as_cdk)


def test_a_stock_cloud_words_the_reason_its_own_way_and_lacks_an_attribute(
    stock_account: Any, name: str
) -> None:
    stock_account.stack(name, {"Provider": provider(name), "A": custom("bad")})
    found = stock_account.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    assert "no such value" in [event.get("ResourceStatusReason") for event in found]
    other = f"{name}-2"
    attribute = {"Status": {"Fn::GetAtt": ["Provider", "SnapStartResponse.OptimizationStatus"]}}
    made = stock_account.stack(other, {"Provider": provider(other)}, attribute)
    assert made["StackStatus"] == "ROLLBACK_COMPLETE"


def test_a_stock_cloud_goes_on_while_a_function_is_being_updated(stock_account: Any, name: str) -> None:
    stock_account.stack(name, {"Provider": provider(name)})
    changed = provider(name)
    changed["Properties"]["MemorySize"] = 512
    stock_account.stack(name, {"Provider": changed})
    now = stock_account.client("lambda").get_function_configuration(FunctionName=name)
    assert now["LastUpdateStatus"] == "InProgress"
