"""``infra.constructs.pipeline_machine``: the graph that runs here as a state machine, with requests that AWS takes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from infra.constructs.pipeline_machine import FILLED_IN, LIVE, ON_SPARK, Jobs, definition, job_prefix
from model_store.contract.training import OPERATIONS, STEPS, TRAINING
from training import job

JOBS = Jobs(
    stage="prod",
    model="a-model-with-a-name-of-forty-characters-x",
    alias="live",
    file="pipeline.toml",
    image="123456789012.dkr.ecr.eu-central-1.amazonaws.com/torch:2.13",
    instance_type="ml.m5.xlarge",
    step_instance_type="ml.m5.large",
    spot=True,
    max_hours=2,
    volume_key="arn:aws:kms:eu-central-1:123456789012:key/1",
    step_volume_key="arn:aws:kms:eu-central-1:123456789012:key/1",
    sign_with="arn:aws:kms:eu-central-1:123456789012:key/2",
    subnets=("subnet-1",),
    security_groups=("sg-1",),
)
STATES = definition(JOBS)["States"]


def filled_in(value: Any) -> Any:
    """A state's parameters with what is known when it runs: an expression becomes a text of its shape."""
    if isinstance(value, dict):
        return {
            key.removesuffix(".$"): said(found) if key.endswith(".$") else filled_in(found)
            for key, found in value.items()
        }
    if isinstance(value, list):
        return [filled_in(found) for found in value]
    return value.replace("${Bucket}", "the-training") if isinstance(value, str) else value


def said(expression: str) -> str:
    template = re.match(r"States\.Format\('([^']*)'", expression)
    if template is None:
        return "s3://the-training/somewhere/"
    return template[1].replace("{}", "0a1b2c3d").replace("${Bucket}", "the-training")


def walked() -> list[str]:
    """The tasks from the first to the last, as they follow each other when all goes well."""
    name, found = "Begin", []
    while STATES[name]["Type"] not in ("Succeed", "Fail"):
        if STATES[name]["Type"] == "Task":
            found.append(name)
        name = (
            STATES[name]["Choices"][0]["Next"] if STATES[name]["Type"] == "Choice" else STATES[name]["Next"]
        )
    return found


def test_the_machine_walks_the_graph_that_runs_here() -> None:
    assert [name.lower() for name in walked()] == [step.name for step in STEPS]
    kinds = {OPERATIONS: "${Operations}", TRAINING: "${CreateTrainingJob}"}
    for step in STEPS:
        resource = STATES[step.name.title()]["Resource"]
        assert resource == kinds.get(step.by, "${CreateProcessingJob}")


@pytest.mark.parametrize(
    "step", [step for step in STEPS if step.by != OPERATIONS], ids=lambda step: step.name
)
def test_a_request_is_one_that_the_api_takes(step: Any) -> None:
    call = "CreateTrainingJob" if step.by == TRAINING else "CreateProcessingJob"
    request = filled_in(STATES[step.name.title()]["Parameters"])
    request["RoleArn"] = "arn:aws:iam::123456789012:role/switchyard/trainer"
    shape = botocore.session.get_session().get_service_model("sagemaker").operation_model(call).input_shape
    assert shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    # What botocore does not check itself: patterns and lengths.
    name = request["TrainingJobName" if step.by == TRAINING else "ProcessingJobName"]
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name), name
    assert name.startswith(job_prefix("prod", JOBS.model))
    container = request["AlgorithmSpecification" if step.by == TRAINING else "AppSpecification"]
    assert all(
        len(word) <= 256 for word in (*container["ContainerEntrypoint"], *container["ContainerArguments"])
    )


def test_each_step_is_given_what_the_graph_says_and_no_more() -> None:
    for step in STEPS:
        if step.by == OPERATIONS:
            continue
        parameters = STATES[step.name.title()]["Parameters"]
        given = [item["ChannelName"] for item in parameters.get("InputDataConfig", ())]
        given += [item["InputName"] for item in parameters.get("ProcessingInputs", ())]
        assert given == ["code", *step.given]
        assert parameters["RoleArn"] == ("${Promoter}" if step.store else "${Trainer}")
        words = (parameters.get("AlgorithmSpecification") or parameters["AppSpecification"])[
            "ContainerArguments"
        ]
        assert ("--store" in words) is bool(step.store)
        assert ("--sign-with" in words) is (step.store == "writes")


def test_the_evaluation_is_told_what_is_live_where_the_job_looks() -> None:
    environment = STATES["Evaluate"]["Parameters"]["Environment"]
    assert environment[f"{LIVE}.$"] == "States.Format('{}', $.look.live)"
    assert LIVE == job.LIVE


def test_what_is_not_better_ends_without_a_version() -> None:
    assert STATES["Evaluated"]["Default"] == "NothingBetter"
    assert STATES["NothingBetter"]["Type"] == "Succeed"


@pytest.mark.parametrize("spark", ["", "pipeline/recipe.toml"], ids=["in-memory", "on-spark"])
@pytest.mark.parametrize("broken", [False, True], ids=["as-it-is", "with-a-state-that-does-nothing"])
def test_the_definition_is_valid_states_language(broken: bool, spark: str) -> None:
    written = definition(replace(JOBS, spark=spark))
    if broken:
        del written["States"]["Data"]["Resource"]
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "RoleArn": "arn:aws:iam::123456789012:role/machine",
                    "DefinitionString": json.dumps(written),
                    "DefinitionSubstitutions": dict.fromkeys(
                        (*FILLED_IN, *(ON_SPARK if spark else ())), "arn:aws:states:::x:y"
                    ),
                },
            }
        },
    }
    found = lint(json.dumps(template), config=ManualArgs(regions=["eu-central-1"]))
    assert bool(found) is broken, found


def test_data_that_are_read_on_spark_are_a_request_that_the_api_takes() -> None:
    on_spark = definition(replace(JOBS, spark="pipeline/recipe.toml"))["States"]
    assert on_spark["Train"] == STATES["Train"]
    data = on_spark["Data"]
    assert (data["Resource"], data["Next"], data["ResultPath"]) == ("${StartJobRun}", "Train", None)
    submit = data["Parameters"]["JobDriver"]["SparkSubmit"]
    # The folder is the one that the processing job would leave.
    uploaded = STATES["Data"]["Parameters"]["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri.$"]
    assert submit.pop("EntryPointArguments.$") == (
        "States.Array('--recipe', 'pipeline/recipe.toml', '--bucket', '${Bucket}', '--out', " + uploaded + ")"
    )
    submit["EntryPointArguments"] = ["--recipe", "pipeline/recipe.toml"]
    request = as_the_api_names_it(data["Parameters"])
    request |= {"applicationId": "00abc", "clientToken": "once"}
    request["executionRoleArn"] = "arn:aws:iam::123456789012:role/switchyard/cleaner"
    service = botocore.session.get_session().get_service_model("emr-serverless")
    shape = service.operation_model("StartJobRun").input_shape
    assert shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    assert len(request["name"]) <= 256


def as_the_api_names_it(value: Any) -> Any:
    """Step Functions writes in capitals what the API of EMR Serverless begins with a small letter."""
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: as_the_api_names_it(found) for key, found in value.items()}
    return value
