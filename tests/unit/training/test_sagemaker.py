"""A training job's request is one that SageMaker's own model of its API takes."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.validate import ParamValidator
from moto import mock_aws

from training.aws_jobs import AwsJobs
from training.errors import FitError, RecipeError
from training.make import Task
from training.sagemaker import Machine, Place, start, submit, training_job, uploads

Read = Callable[..., Task]
PLACE = Place("the-training", "arn:aws:iam::123456789012:role/switchyard-training")
MACHINE = Machine("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.13-cpu", processes=2)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield (
            boto3.client("sagemaker", region_name="us-east-1"),
            boto3.client("s3", region_name="us-east-1"),
        )


@pytest.mark.parametrize("spot", [True, False], ids=["spot", "on-demand"])
def test_the_request_is_one_that_the_api_takes(spot: bool, task: Read, recipes: Path) -> None:
    machine = Machine(MACHINE.image, spot=spot)
    request = training_job(task("softmax"), PLACE, machine, began="1122-1700")
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape = model.operation_model("CreateTrainingJob").input_shape
    assert shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    assert ("MaxWaitTimeInSeconds" in request["StoppingCondition"]) is spot
    assert request["EnableManagedSpotTraining"] is spot
    # What botocore does not check itself: the pattern and the length of the name.
    pattern = shape.members["TrainingJobName"].metadata
    assert len(request["TrainingJobName"]) <= pattern["max"]


def test_a_job_has_every_room_that_it_imports(task: Read, recipes: Path) -> None:
    sent = uploads(task("softmax"), recipes / "softmax.toml", MACHINE)
    code = {key.partition("/code/")[2]: data for key, data in sent.items() if key.endswith(".py")}
    rooms = {path.parent.name for path in Path().glob("*/__init__.py")}
    imported = {
        name.partition(".")[0]
        for data in code.values()
        for node in ast.walk(ast.parse(data))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported & rooms == {key.partition("/")[0] for key in code if key} & rooms


def test_jobs_of_the_same_recipe_and_data_share_their_checkpoint(task: Read, recipes: Path) -> None:
    def job(read: Task, began: str) -> dict[str, Any]:
        return training_job(read, PLACE, MACHINE, began=began)

    one, again = job(task("softmax"), "1"), job(task("softmax"), "2")
    assert one["TrainingJobName"] != again["TrainingJobName"]
    assert one["CheckpointConfig"] == again["CheckpointConfig"]
    other = job(task("softmax", ("seed = 1", "seed = 2")), "1")
    assert other["CheckpointConfig"] != one["CheckpointConfig"]


def test_the_container_starts_the_same_fit_that_runs_here() -> None:
    script = start("softmax.toml", 4)
    assert "torchrun --standalone --nproc-per-node 4 --max-restarts 3 -m training" in script
    assert "/opt/ml/input/data/recipe/softmax.toml /opt/ml/model --finish" in script
    assert "--checkpoints /opt/ml/checkpoints" in script
    assert "grep -v '^torch=='" in script


def test_code_and_recipe_are_uploaded_and_the_job_begins(
    task: Read, recipes: Path, aws: tuple[Any, Any]
) -> None:
    sagemaker, s3 = aws
    s3.create_bucket(Bucket=PLACE.bucket)
    read = task("softmax")
    jobs = AwsJobs(sagemaker=sagemaker, s3=s3)
    arn = submit(read, recipes / "softmax.toml", PLACE, MACHINE, jobs, began="1122-1700")
    (begun,) = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    assert begun["TrainingJobArn"] == arn
    keys = {
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=PLACE.bucket)
        for item in page["Contents"]
    }
    assert keys == set(uploads(read, recipes / "softmax.toml", MACHINE))
    for end in ("code/training/fit.py", "code/model_store/publish.py", "code/start.sh", "recipe/digits.toml"):
        assert any(key.endswith(end) for key in keys), end


def test_what_aws_refuses_is_one_error(task: Read, recipes: Path, aws: tuple[Any, Any]) -> None:
    jobs = AwsJobs(sagemaker=aws[0], s3=aws[1])
    with pytest.raises(FitError, match="s3://the-training/training/digits/"):
        submit(task("softmax"), recipes / "softmax.toml", PLACE, MACHINE, jobs, began="1")


@pytest.mark.parametrize(
    ("place", "machine", "said"),
    [
        (Place("b", "role/training"), MACHINE, "not the ARN of a role"),
        (PLACE, Machine("image", instance="m5.xlarge"), "not an instance type"),
    ],
    ids=["role", "instance"],
)
def test_what_sagemaker_would_refuse_by_its_form_is_refused_here(
    place: Place, machine: Machine, said: str, task: Read, recipes: Path
) -> None:
    with pytest.raises(RecipeError, match=said):
        training_job(task("softmax"), place, machine, began="1")
