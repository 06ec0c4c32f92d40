"""Lambda entry point: custom resources of a deploy, states of shifts and pipelines, alarms, a daily look."""

from __future__ import annotations

import json
import os
import threading
import traceback
from typing import Any

import boto3

from functions.operations import reply
from functions.operations.actions import hear_alarms, keep_all_awake, serve_pipeline, take_step
from functions.operations.resources import apply, physical_id
from model_store.adapters.kms import KmsKeys
from model_store.adapters.s3 import S3Store
from model_store.contract.endpoints import EC2, SAGEMAKER
from model_store.contract.environment import (
    ALARM_PERIOD,
    ALARM_TOPIC,
    BUCKET,
    LEASE,
    SHIFTS,
    SIGNED_BY,
    STAGE,
)
from model_store.contract.errors import SwitchyardError
from releases.adapters.aws import LambdaFunctions
from releases.adapters.cloudwatch import CloudWatchMonitoring
from releases.adapters.ec2 import FleetEndpoints
from releases.adapters.elb import ElbGrpcCalls
from releases.adapters.sagemaker import SageMakerEndpoints
from releases.adapters.step_functions import StepFunctionsExecutions
from releases.deploy import Deploy
from releases.errors import DisagreementError
from releases.ports import SystemClock
from releases.stage import Stage

GRACE_S = 20.0
"""How long before the function's own time-out the answer is sent that it did not finish in time."""


def handler(event: dict[str, Any], context: Any) -> Any:
    """Do what the event asks: who sent it follows from its shape."""
    if "ResourceType" in event:
        return _answer(event, context)
    if event.get("action") == "shift":
        answer = take_step(event, _stage)
        print(json.dumps({"shift": answer["shift"], "did": event["do"], "said": answer.get("said")}))  # noqa: T201
        return answer
    if event.get("action") == "pipeline":
        found = serve_pipeline(event, _stage("Switchyard, a pipeline", shifts=os.environ[SHIFTS]))
        print(json.dumps({"pipeline": event["model"], "did": event["do"], **found}))  # noqa: T201
        return found
    if event.get("action") == "keep-awake":
        for line in keep_all_awake(_stage("Switchyard, once a day")):
            print(json.dumps(line))  # noqa: T201
        return None
    if "Records" in event:
        for said in hear_alarms(event, _stage):
            print(json.dumps({"alarm": said}))  # noqa: T201
        return None
    raise DisagreementError("this event is nothing that the operations function knows")


def _answer(event: dict[str, Any], context: Any) -> None:
    """Carry a custom resource out, and answer in every case: also on errors, also when time runs out."""
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
    stage = _stage(f"cdk deploy ({event['StackId'].rsplit('/', 2)[-2]})")
    return apply(
        event["ResourceType"],
        properties,
        deploy=Deploy(stage),
        store=stage.store,
        rolling_back=event["RequestType"] == "Update" and _rolling_back(event["StackId"]),
    )


def _stage(by: str, *, shifts: str | None = None) -> Stage:
    bucket = os.environ[BUCKET]
    signed_by = os.environ.get(SIGNED_BY)
    store = S3Store(bucket)
    return Stage(
        os.environ[STAGE],
        store,
        LambdaFunctions(store, bucket=bucket),
        SystemClock(),
        by=by,
        say=_say,
        monitoring=CloudWatchMonitoring(topic=os.environ[ALARM_TOPIC]),
        executions=StepFunctionsExecutions(shifts) if shifts else None,
        alarm_period_s=int(os.environ[ALARM_PERIOD]),
        endpoints={SAGEMAKER: SageMakerEndpoints(), EC2: FleetEndpoints()},
        grpc=ElbGrpcCalls(os.environ[STAGE]),
        lease_s=float(os.environ[LEASE]),
        keys=KmsKeys() if signed_by else None,
        signed_by=signed_by,
    )


def _rolling_back(stack_id: str) -> bool:
    """Whether CloudFormation is undoing an update: then nothing new is published."""
    stacks = boto3.client("cloudformation").describe_stacks(StackName=stack_id)["Stacks"]
    return "ROLLBACK" in stacks[0]["StackStatus"]


def _say(text: str) -> None:
    print(json.dumps({"step": text}))  # noqa: T201
