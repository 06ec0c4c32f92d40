"""Lambda entry point for CloudFormation's custom-resource events."""

from __future__ import annotations

import json
import os
import threading
import traceback
from typing import Any

import boto3

from functions.operations import reply
from functions.operations.resources import apply, physical_id
from model_store.adapters.s3 import S3Store
from model_store.contract.errors import SwitchyardError
from releases.adapters.aws import LambdaFunctions
from releases.deploy import Deploy
from releases.ports import SystemClock
from releases.stage import Stage

GRACE_S = 20.0
"""How long before the function's own time-out the answer is sent that it did not finish in time."""


def handler(event: dict[str, Any], context: Any) -> None:
    """Do what the event asks, and answer in every case: also on errors, also when time runs out."""
    properties = event.get("ResourceProperties", {})
    id_ = event.get("PhysicalResourceId") or physical_id(event["ResourceType"], properties)
    late = threading.Timer(
        max(context.get_remaining_time_in_millis() / 1000 - GRACE_S, 1.0),
        reply.send,
        (event, reply.failure(event, physical_id=id_, reason="the operations function ran out of time")),
    )
    late.daemon = True
    late.start()
    try:
        answer = reply.success(event, physical_id=id_, data=_carry_out(event, properties))
    except SwitchyardError as error:
        answer = reply.failure(event, physical_id=id_, reason=f"{error}. {error.hint or ''}".strip())
    except Exception as error:  # noqa: BLE001  # a stack must never wait for an answer that cannot come
        traceback.print_exc()
        answer = reply.failure(event, physical_id=id_, reason=f"{type(error).__name__}: {error}")
    late.cancel()
    print(json.dumps({"resource": id_, "request": event["RequestType"], "status": answer["Status"]}))  # noqa: T201
    reply.send(event, answer)


def _carry_out(event: dict[str, Any], properties: dict[str, Any]) -> dict[str, str]:
    if event["RequestType"] == "Delete":
        return {}
    bucket = os.environ["SWITCHYARD_BUCKET"]
    store = S3Store(bucket)
    stage = Stage(
        os.environ["SWITCHYARD_STAGE"],
        store,
        LambdaFunctions(store, bucket=bucket),
        SystemClock(),
        by=f"cdk deploy ({event['StackId'].rsplit('/', 2)[-2]})",
        say=_say,
    )
    return apply(
        event["ResourceType"],
        properties,
        deploy=Deploy(stage),
        store=store,
        rolling_back=event["RequestType"] == "Update" and _rolling_back(event["StackId"]),
    )


def _rolling_back(stack_id: str) -> bool:
    """Whether CloudFormation is undoing an update: then nothing new is published."""
    stacks = boto3.client("cloudformation").describe_stacks(StackName=stack_id)["Stacks"]
    return "ROLLBACK" in stacks[0]["StackStatus"]


def _say(text: str) -> None:
    print(json.dumps({"step": text}))  # noqa: T201
