"""``local_cloud.extension.jobs``: files in, a program, files out; and how a state machine hears of it."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

import boto3
import pytest

from local_cloud.cloud import Cloud

pytestmark = pytest.mark.cloud

COPY = (
    "set -e; cat /opt/ml/processing/input/data/* > /opt/ml/processing/output/all; "
    "echo -n $SAID > /opt/ml/output/message"
)
BUCKET = "jobs-work-here"


def client(cloud: Cloud, service: Any) -> Any:
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=cloud.endpoint_url,
        region_name=cloud.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture(scope="module")
def s3(cloud: Cloud) -> Any:
    made = client(cloud, "s3")
    made.create_bucket(Bucket=BUCKET)
    for name in ("one", "two"):
        made.put_object(Bucket=BUCKET, Key=f"given/{name}", Body=f"{name} ".encode())
    return made


def processing(script: str, name: str) -> dict[str, Any]:
    return {
        "ProcessingJobName": name,
        "RoleArn": "arn:aws:iam::000000000000:role/any",
        "AppSpecification": {
            "ImageUri": "switchyard-training:local",
            "ContainerEntrypoint": ["bash", "-c", script],
        },
        "ProcessingInputs": [
            {
                "InputName": "data",
                "S3Input": {
                    "S3Uri": f"s3://{BUCKET}/given/",
                    "LocalPath": "/opt/ml/processing/input/data",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "made",
                    "S3Output": {
                        "S3Uri": f"s3://{BUCKET}/made/{name}/",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        "Environment": {"SAID": "well"},
    }


def over(cloud: Cloud, name: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while True:
        found: dict[str, Any] = client(cloud, "sagemaker").describe_processing_job(ProcessingJobName=name)
        if found["ProcessingJobStatus"] != "InProgress":
            return found
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_job_is_given_its_files_and_what_it_leaves_is_kept(cloud: Cloud, s3: Any) -> None:
    client(cloud, "sagemaker").create_processing_job(**processing(COPY, "copying"))
    found = over(cloud, "copying")
    assert (found["ProcessingJobStatus"], found["ExitMessage"]) == ("Completed", "well")
    assert s3.get_object(Bucket=BUCKET, Key="made/copying/all")["Body"].read() == b"one two "
    with pytest.raises(client(cloud, "sagemaker").exceptions.ResourceInUse):
        client(cloud, "sagemaker").create_processing_job(**processing(COPY, "copying"))


def test_a_job_that_fails_leaves_nothing_and_says_so(cloud: Cloud, s3: Any) -> None:
    client(cloud, "sagemaker").create_processing_job(**processing(f"{COPY}; exit 3", "failing"))
    found = over(cloud, "failing")
    assert (found["ProcessingJobStatus"], found["ExitMessage"]) == ("Failed", "well")
    assert "ended with 3" in found["FailureReason"]
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="made/failing/")


def test_a_state_machine_waits_for_a_training_job_and_catches_one_that_fails(cloud: Cloud, s3: Any) -> None:
    states = client(cloud, "stepfunctions")

    def training(script: str) -> dict[str, Any]:
        return {
            "TrainingJobName.$": "States.Format('job-{}', $$.Execution.Name)",
            "RoleArn": "arn:aws:iam::000000000000:role/any",
            "AlgorithmSpecification": {
                "TrainingImage": "switchyard-training:local",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["bash", "-c", script],
            },
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models", "CompressionType": "NONE"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }

    def run(script: str) -> dict[str, Any]:
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
            "Parameters": training(script),
            "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"}],
            "End": True,
        }
        definition = {"StartAt": "Train", "States": {"Train": task, "Caught": {"Type": "Pass", "End": True}}}
        machine = states.create_state_machine(
            name=f"m-{uuid4().hex[:8]}",
            definition=json.dumps(definition),
            roleArn="arn:aws:iam::000000000000:role/any",
        )["stateMachineArn"]
        begun = states.start_execution(stateMachineArn=machine, name=uuid4().hex[:8])["executionArn"]
        end = time.monotonic() + 60
        while (found := states.describe_execution(executionArn=begun))["status"] == "RUNNING":
            assert time.monotonic() < end
            time.sleep(0.05)
        assert found["status"] == "SUCCEEDED"
        output: dict[str, Any] = json.loads(found["output"])
        return output

    done = run("echo weights > /opt/ml/model/model.onnx")
    place = done["ModelArtifacts"]["S3ModelArtifacts"]
    assert place == f"s3://{BUCKET}/models/{done['TrainingJobName']}/output/model/"
    key = place.removeprefix(f"s3://{BUCKET}/") + "model.onnx"
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"weights\n"
    failed = run("exit 7")
    assert failed["Error"] == "States.TaskFailed"
    assert "ended with 7" in json.loads(failed["Cause"])["FailureReason"]
