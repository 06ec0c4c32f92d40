"""Sizes that Lambda refuses."""

from __future__ import annotations

import json
import os
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.cloud

LENGTH = "def handler(event, context):\n    return len(event)\n"


def test_a_request_over_six_megabytes_is_refused_and_one_below_arrives(account: Any) -> None:
    name = account.function(LENGTH)
    assert account.call(name, "x" * 6_291_454) == 6_291_454
    with pytest.raises(ClientError, match="Request must be smaller than 6291456 bytes") as refused:
        account.call(name, "x" * 6_291_455)
    assert refused.value.response["Error"]["Code"] == "RequestEntityTooLargeException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_a_stock_cloud_takes_requests_of_any_size(stock_account: Any) -> None:
    assert stock_account.call(stock_account.function(LENGTH), "x" * 6_291_455) == 6_291_455


def test_an_answer_over_six_megabytes_is_an_error(account: Any) -> None:
    name = account.function("def handler(event, context):\n    return 'x' * event\n")
    assert len(account.call(name, 6_291_000)) == 6_291_000
    assert account.call(name, 6_291_555)["errorType"] == "Function.ResponseSizeTooLarge"


def test_an_asynchronous_request_over_one_megabyte_is_refused(account: Any) -> None:
    name = account.function(LENGTH)
    with pytest.raises(ClientError, match="too large for the Event invocation type"):
        account.client("lambda").invoke(
            FunctionName=name, Payload=json.dumps("x" * 1_048_576), InvocationType="Event"
        )


def test_an_upload_over_fifty_megabytes_is_refused(account: Any, archive: Any) -> None:
    with pytest.raises(ClientError, match="Request must be smaller than 70167211 bytes"):
        account.client("lambda").publish_layer_version(
            LayerName="big", Content={"ZipFile": archive({"python/blob": os.urandom(53_000_000)})}
        )


@pytest.mark.parametrize("kind", ["layer", "function"])
def test_a_template_whose_package_unpacks_to_over_250_megabytes_is_refused(
    account: Any, archive: Any, kind: str
) -> None:
    s3 = account.client("s3")
    bucket = f"packages-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="big.zip", Body=archive({"python/zeros": bytes(262_144_001)}))
    code = {"S3Bucket": bucket, "S3Key": "big.zip"}
    resources = {
        "layer": {"Type": "AWS::Lambda::LayerVersion", "Properties": {"Content": code}},
        "function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Code": code,
                "Handler": "main.handler",
                "Role": "arn:aws:iam::000000000000:role/any",
                "Runtime": "python3.13",
            },
        },
    }
    name = f"big-{kind}"
    assert account.stack(name, {"Big": resources[kind]})["StackStatus"] == "ROLLBACK_COMPLETE"
    events = account.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    reasons = [event.get("ResourceStatusReason", "") for event in events]
    assert any("Unzipped size must be smaller than 262144000 bytes" in reason for reason in reasons)
