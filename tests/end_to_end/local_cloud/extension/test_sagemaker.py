"""Endpoints as real processes of the container's code: made, asked, failing, slow, put back, gone with the cloud."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from onnx import helper

from local_cloud import cloud as local_cloud
from model_store.contract.environment import MODEL_PACKAGE
from model_store.contract.tensors import TensorSpec
from tests.unit.functions.conftest import Layer, lay_out, onnx_model

pytestmark = pytest.mark.cloud

ROLE = "arn:aws:iam::000000000000:role/any"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/switchyard-endpoint:cpu"
PATIENCE_S = 90.0


def until(said: Callable[[], Any]) -> Any:
    """Ask until there is an answer."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := said()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def layer_of(folder: Path, factor: float, version: int) -> Layer:
    """A model that multiplies."""
    x, y = TensorSpec("x", "FP32", ("batch", 2)), TensorSpec("y", "FP32", ("batch", 2))
    constants = {"factor": np.array([factor], np.float32)}
    model = onnx_model([helper.make_node("Mul", ["x", "factor"], ["y"])], [x], [y], constants)
    files = {"model.onnx": model.SerializeToString()}
    golden = {"x": np.ones((1, 2), np.float32)}
    return lay_out(folder / MODEL_PACKAGE, files, inputs=[x], outputs=[y], golden=golden, version=version)


class Hosting:
    """Endpoints of one account, deleted when the test is over."""

    def __init__(self, account: Any, folder: Path) -> None:
        self.account = account
        self.folder = folder
        self.client = account.client("sagemaker")
        self.runtime = account.client("sagemaker-runtime")
        self.bucket = f"models-{uuid.uuid4().hex[:8]}"
        account.client("s3").create_bucket(Bucket=self.bucket)
        self.made: list[str] = []

    def laid_out(self, factor: float, version: int = 2) -> tuple[str, dict[str, str]]:
        """Put a version into the bucket as a folder; where it is, and what a container is told of it."""
        layer = layer_of(self.folder / str(version), factor, version)
        prefix = f"served/{version}/"
        for path in layer.package.rglob("*"):
            if path.is_file():
                key = prefix + path.relative_to(layer.package).as_posix()
                self.account.client("s3").put_object(Bucket=self.bucket, Key=key, Body=path.read_bytes())
        return f"s3://{self.bucket}/{prefix}", {**layer.environ, "SWITCHYARD_GRPC_PORT": "off"}

    def configured(self, factor: float, *, version: int = 2, image: str = IMAGE, **more: Any) -> str:
        """A model and a configuration; the name of both."""
        name = f"e-{uuid.uuid4().hex[:10]}"
        uri, told = self.laid_out(factor, version)
        source = {"S3Uri": uri, "S3DataType": "S3Prefix", "CompressionType": "None"}
        container = {
            "Image": image,
            "Environment": {**told, **more.pop("environment", {})},
            "ModelDataSource": {"S3DataSource": source},
        }
        self.client.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        variant = {
            "VariantName": "all",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        if more.pop("components", False):
            del variant["ModelName"]
            more["ExecutionRoleArn"] = ROLE
        self.client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **more)
        return name

    def create(self, config: str) -> str:
        self.client.create_endpoint(EndpointName=config, EndpointConfigName=config)
        self.made.append(config)
        return config

    def status(self, name: str) -> str:
        return str(self.client.describe_endpoint(EndpointName=name)["EndpointStatus"])

    def settled(self, name: str) -> dict[str, Any]:
        until(lambda: self.status(name) not in ("Creating", "Updating"))
        return dict(self.client.describe_endpoint(EndpointName=name))

    def component(self, name: str) -> dict[str, Any]:
        return dict(self.client.describe_inference_component(InferenceComponentName=name))

    def ask(self, name: str, *row: float, **more: str) -> dict[str, Any]:
        x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": list(row)}
        body = json.dumps({"inputs": [x]}).encode()
        return dict(
            self.runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=body, **more)
        )

    def refused(self, name: str, body: bytes = b"{}") -> dict[str, Any]:
        with pytest.raises(ClientError) as refused:
            self.runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=body)
        return dict(refused.value.response)


@pytest.fixture
def hosting(account: Any, tmp_path: Path) -> Iterator[Hosting]:
    made = Hosting(account, tmp_path)
    yield made
    account.day()
    for name in made.made:
        made.settled(name)
        made.client.delete_endpoint(EndpointName=name)


@pytest.fixture
def doubling(hosting: Hosting) -> str:
    """An endpoint in service, whose model doubles."""
    name = hosting.create(hosting.configured(2.0))
    assert hosting.status(name) == "Creating"
    assert hosting.settled(name)["EndpointStatus"] == "InService"
    return name


def test_an_endpoint_is_made_asked_and_described(hosting: Hosting, doubling: str) -> None:
    """The container verifies the files that were copied from S3, and says in each answer what it serves."""
    answer = hosting.ask(doubling, 1, 2)
    assert json.loads(answer["Body"].read())["outputs"][0]["data"] == [2, 4]
    assert answer["InvokedProductionVariant"] == "all"
    assert "x-switchyard-model=digits:2;x-switchyard-digest=sha256:" in answer["CustomAttributes"]
    described = hosting.client.describe_endpoint(EndpointName=doubling)
    assert described["EndpointConfigName"] == doubling
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    listed = hosting.client.list_endpoints(NameContains=doubling)["Endpoints"]
    assert [item["EndpointName"] for item in listed] == [doubling]


def test_what_the_model_refuses_is_a_model_error_with_its_own_status(hosting: Hosting, doubling: str) -> None:
    refused = hosting.refused(doubling, b"no JSON")
    assert refused["Error"]["Code"] == "ModelError"
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert refused["OriginalStatusCode"] == 400
    assert "is not JSON" in json.loads(refused["OriginalMessage"])["error"]


def test_a_bad_day_throttles_and_fails(hosting: Hosting, doubling: str) -> None:
    hosting.account.day(endpoint_throttle_rate=1)
    assert hosting.refused(doubling)["Error"]["Code"] == "ThrottlingException"
    hosting.account.day(endpoint_throttle_rate=0, endpoint_error_rate=1)
    assert hosting.refused(doubling)["OriginalStatusCode"] == 500
    hosting.account.day()
    assert hosting.ask(doubling, 1, 1)["ContentType"] == "application/json"


def test_an_update_replaces_the_container_and_a_silent_undo_does_not(hosting: Hosting, doubling: str) -> None:
    """Law 9: after an undo the endpoint is InService, gives no reason, and names its old configuration."""
    tripling = hosting.configured(3.0, version=3)
    hosting.account.day(endpoint_undo_rate=1)
    hosting.client.update_endpoint(EndpointName=doubling, EndpointConfigName=tripling)
    undone = hosting.settled(doubling)
    assert (undone["EndpointStatus"], undone["EndpointConfigName"]) == ("InService", doubling)
    assert "FailureReason" not in undone
    hosting.account.day()
    hosting.client.update_endpoint(EndpointName=doubling, EndpointConfigName=tripling)
    assert hosting.settled(doubling)["EndpointConfigName"] == tripling
    assert json.loads(hosting.ask(doubling, 1, 2)["Body"].read())["outputs"][0]["data"] == [3, 6]


def test_an_endpoint_takes_as_long_as_the_day_says_and_nobody_finds_it_before(hosting: Hosting) -> None:
    hosting.account.day(endpoint_creating_s=600)
    name = hosting.configured(2.0)
    hosting.client.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert hosting.status(name) == "Creating"
    assert "not found" in hosting.refused(name)["Error"]["Message"]
    with pytest.raises(ClientError, match="in-progress"):
        hosting.client.delete_endpoint(EndpointName=name)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"environment": {"SWITCHYARD_THREADS": "many"}}, "did not pass the ping health check"),
        ({"image": "unheard-of:latest"}, "does not exist or you do not have access"),
    ],
)
def test_an_endpoint_that_cannot_start_is_failed_with_a_reason(
    hosting: Hosting, changes: dict[str, Any], reason: str
) -> None:
    name = hosting.create(hosting.configured(2.0, **changes))
    failed = hosting.settled(name)
    assert failed["EndpointStatus"] == "Failed"
    assert reason in failed["FailureReason"]


def test_what_the_container_writes_is_in_its_log_group(hosting: Hosting, doubling: str) -> None:
    logs = hosting.account.client("logs")
    group = f"/aws/sagemaker/Endpoints/{doubling}"
    lines = until(lambda: [e["message"] for e in logs.filter_log_events(logGroupName=group)["events"]])
    assert any("listening" in line or "ready" in line for line in lines)


def test_a_deleted_endpoint_answers_nobody(hosting: Hosting) -> None:
    name = hosting.configured(2.0)
    hosting.client.create_endpoint(EndpointName=name, EndpointConfigName=name)
    hosting.settled(name)
    hosting.client.delete_endpoint(EndpointName=name)
    assert hosting.refused(name)["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="Could not find endpoint"):
        hosting.status(name)


def test_a_large_request_is_not_carried(hosting: Hosting, doubling: str) -> None:
    assert hosting.refused(doubling, b" " * 6_291_457)["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_an_asynchronous_answer_lies_where_it_was_promised(hosting: Hosting) -> None:
    s3 = hosting.account.client("s3")
    output = {"S3OutputPath": f"s3://{hosting.bucket}/out", "S3FailurePath": f"s3://{hosting.bucket}/bad"}
    name = hosting.create(hosting.configured(2.0, AsyncInferenceConfig={"OutputConfig": output}))
    hosting.settled(name)
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    s3.put_object(Bucket=hosting.bucket, Key="in/1", Body=json.dumps({"inputs": [x]}).encode())
    s3.put_object(Bucket=hosting.bucket, Key="in/2", Body=b"no JSON")

    def ask(key: str) -> dict[str, Any]:
        return dict(
            hosting.runtime.invoke_endpoint_async(
                EndpointName=name, InputLocation=f"s3://{hosting.bucket}/in/{key}"
            )
        )

    def lies(prefix: str) -> list[str]:
        found = s3.list_objects_v2(Bucket=hosting.bucket, Prefix=prefix).get("Contents", [])
        return [item["Key"] for item in found]

    place = ask("1")["OutputLocation"].removeprefix(f"s3://{hosting.bucket}/")
    assert until(lambda: lies("out/")) == [place]
    body = s3.get_object(Bucket=hosting.bucket, Key=place)["Body"].read()
    assert json.loads(body)["outputs"][0]["data"] == [2, 4]
    ask("2")
    (failure,) = until(lambda: lies("bad/"))
    assert b"is not JSON" in s3.get_object(Bucket=hosting.bucket, Key=failure)["Body"].read()


def test_an_asynchronous_endpoint_sleeps_keeps_what_waits_and_is_woken_by_its_alarm(hosting: Hosting) -> None:
    """Scale to zero as the developer guide has it: a backlog without capacity, an alarm, a step, a machine."""
    account = hosting.account
    account.day(minute_s=1.0)
    sns, sqs, scaling = (account.client(name) for name in ("sns", "sqs", "application-autoscaling"))
    topic = sns.create_topic(Name=f"done-{uuid.uuid4().hex[:8]}")["TopicArn"]
    queue = sqs.create_queue(QueueName=f"done-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    output = {"S3OutputPath": f"s3://{hosting.bucket}/out", "NotificationConfig": {"SuccessTopic": topic}}
    settings = {"OutputConfig": output, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1}}
    name = hosting.create(hosting.configured(2.0, AsyncInferenceConfig=settings))
    hosting.settled(name)
    assert hosting.refused(name)["Error"]["Code"] == "ValidationError"

    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/all",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=0, MaxCapacity=2)
    steps = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
    }
    policy = scaling.put_scaling_policy(
        **target, PolicyName="wake", PolicyType="StepScaling", StepScalingPolicyConfiguration=steps
    )["PolicyARN"]
    account.client("cloudwatch").put_metric_alarm(
        AlarmName=f"asleep-{name}",
        Namespace="AWS/SageMaker",
        MetricName="HasBacklogWithoutCapacity",
        Dimensions=[{"Name": "EndpointName", "Value": name}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Threshold=1,
        AlarmActions=[policy],
    )
    none = [{"VariantName": "all", "DesiredInstanceCount": 0}]
    hosting.client.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=none)
    (variant,) = hosting.client.describe_endpoint(EndpointName=name)["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 0

    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    body = json.dumps({"inputs": [x]}).encode()
    asked = hosting.runtime.invoke_endpoint_async(EndpointName=name, Body=body, InferenceId="one")
    (message,) = until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    told = json.loads(json.loads(message["Body"])["Message"])
    assert (told["invocationStatus"], told["inferenceId"]) == ("Completed", "one")
    assert told["responseParameters"]["outputLocation"] == asked["OutputLocation"]
    described = hosting.settled(name)
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1


@pytest.fixture
def component(hosting: Hosting) -> Iterator[str]:
    """A component in service, on an endpoint of its own name."""
    name = hosting.configured(2.0, components=True)
    hosting.create(name)
    hosting.settled(name)
    copies = {"ModelName": name, "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 512}}
    hosting.client.create_inference_component(
        InferenceComponentName=name,
        EndpointName=name,
        VariantName="all",
        Specification=copies,
        RuntimeConfig={"CopyCount": 1},
    )
    until(lambda: hosting.component(name)["InferenceComponentStatus"] == "InService")
    yield name
    until(lambda: hosting.component(name)["InferenceComponentStatus"] == "InService")
    with pytest.raises(ClientError, match="hosts inference components"):
        hosting.client.delete_endpoint(EndpointName=name)
    hosting.client.delete_inference_component(InferenceComponentName=name)


def test_a_component_is_asked_by_its_name_and_sleeps_and_is_woken_by_who_asks(
    hosting: Hosting, component: str
) -> None:
    """Scale to zero as "Scale an endpoint to zero instances" has it: a failure, an alarm, a step, a copy."""
    account = hosting.account
    account.day(minute_s=1.0)
    answer = hosting.ask(component, 1, 2, InferenceComponentName=component)
    assert json.loads(answer["Body"].read())["outputs"][0]["data"] == [2, 4]
    assert "header is required" in hosting.refused(component)["Error"]["Message"]

    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"inference-component/{component}",
        "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
    }
    scaling = account.client("application-autoscaling")
    scaling.register_scalable_target(**target, MinCapacity=0, MaxCapacity=2)
    policy = scaling.put_scaling_policy(
        **target,
        PolicyName="wake",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
        },
    )["PolicyARN"]
    account.client("cloudwatch").put_metric_alarm(
        AlarmName=f"asleep-{component}",
        Namespace="AWS/SageMaker",
        MetricName="NoCapacityInvocationFailures",
        Dimensions=[{"Name": "InferenceComponentName", "Value": component}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Threshold=1,
        AlarmActions=[policy],
    )
    hosting.client.update_inference_component_runtime_config(
        InferenceComponentName=component, DesiredRuntimeConfig={"CopyCount": 0}
    )
    (variant,) = hosting.client.describe_endpoint(EndpointName=component)["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 0
    with pytest.raises(ClientError, match="has no capacity to process this request"):
        hosting.ask(component, 1, 2, InferenceComponentName=component)
    until(lambda: hosting.component(component)["RuntimeConfig"]["CurrentCopyCount"] == 1)
    assert hosting.ask(component, 1, 2, InferenceComponentName=component)["InvokedProductionVariant"] == "all"


def test_an_endpoint_that_is_not_asynchronous_says_so(hosting: Hosting, doubling: str) -> None:
    with pytest.raises(ClientError, match="not an asynchronous"):
        hosting.runtime.invoke_endpoint_async(EndpointName=doubling, InputLocation="s3://a/b")


def children(pid: int) -> set[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for task in found for child in task.read_text().split()}


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("ending", ["stop", "killed"])
def test_endpoints_end_with_the_cloud_however_it_ends(
    tmp_path: Path, account: Any, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setenv("SWITCHYARD_CLOUD_PARENT_PID", str(os.getpid()))
    home = tmp_path / "cloud"
    cloud = local_cloud.start(home)
    try:
        other = Hosting(type(account)(cloud), tmp_path)
        before = children(cloud.pid)
        name = other.configured(2.0)
        other.client.create_endpoint(EndpointName=name, EndpointConfigName=name)
        assert other.settled(name)["EndpointStatus"] == "InService"
        (endpoint,) = children(cloud.pid) - before
        if ending == "killed":
            os.kill(cloud.pid, 9)
            until(lambda: not alive(endpoint))
    finally:
        local_cloud.stop(home)
    until(lambda: not alive(endpoint))


def test_a_stock_cloud_has_no_sagemaker(stock_account: Any) -> None:
    """When this fails, ministack has learned it: see what of ours can go."""
    with pytest.raises(ClientError) as refused:
        stock_account.client("sagemaker").list_endpoints()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
