"""A model's pipeline as a state machine: the graph of ``model_store.contract.training``, a job for each step.

The same graph and steps that ``yard pipeline`` walks in one process (``training.pipeline``). Data, optimise,
 evaluate and publish are SageMaker processing jobs, train is a training job, what belongs to releases
is a call of the operations function. Folders go from step to step through the training bucket; what a choice
goes by comes in a job's exit message.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as states
from constructs import Construct

from infra.constructs.python_function import ROLE_PATH
from model_store.contract.environment import TRAINING_BUCKET
from model_store.contract.training import OPERATIONS, STEPS, TRAINING, Step

CONTAINER = "/opt/ml"
"""Where SageMaker puts channels, takes results from and keeps checkpoints: fixed by its contract."""

LIVE = "SWITCHYARD_LIVE"
"""As ``training.job`` reads it."""

FOLLOW_EVERY_S = 30

DATA = "data"
"""The step that may run on Spark."""

PYTHON_ON_SPARK = "/usr/bin/python3.11"
"""As ``training/data/spark.Dockerfile`` installs it."""

FILLED_IN = (
    *("CreateProcessingJob", "CreateTrainingJob", "Operations", "Bucket", "Key", "Store", "Code"),
    *("Trainer", "Promoter"),
)
"""What CloudFormation knows: integrations and function, bucket and key, the store's bucket, code, roles."""

ON_SPARK = ("StartJobRun", "Application", "Script", "Cleaner")
"""What it fills in besides where data are read on Spark: integration, application, script, its role."""

MAX_JOB_NAME = 63
"""Source: botocore, sagemaker, ``TrainingJobName`` and ``ProcessingJobName``."""

_RANDOM = 8
_AWS_TROUBLE = [
    "SageMaker.AmazonSageMakerException",
    "SageMaker.ResourceLimitExceededException",
    "SageMaker.ThrottlingException",
]
"""What may be gone minutes later: no capacity, somebody else's job within the quota, too many calls."""

_LAMBDA_TROUBLE = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "ServiceError",
    "StoreUnavailableError",
    "LeaseHeldError",
    "LostRaceError",
    "ShiftRunningError",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What the jobs of a pipeline are: plain values, and ``${…}`` for what CloudFormation knows.

    ``spark`` is the recipe, within the archive of the code, of a model whose data are read on Spark.
    """

    stage: str
    model: str
    alias: str
    file: str
    image: str
    instance_type: str
    step_instance_type: str
    spot: bool
    max_hours: int
    step_volume_key: str = ""
    volume_key: str = ""
    sign_with: str = ""
    spark: str = ""
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()


def job_prefix(stage: str, model: str) -> str:
    """What the names of a model's jobs begin with; a long model's name is cut, for names of 63 characters."""
    longest = max(len(step.name) for step in STEPS)
    room = MAX_JOB_NAME - len(f"switchyard-{stage}--") - longest - 1 - _RANDOM
    return f"switchyard-{stage}-{model[:room].rstrip('-')}-"


class PipelineMachine(Construct):
    """``machine`` and its ``role``, which has no permission yet."""

    def __init__(
        self, scope: Construct, id_: str, *, name: str, jobs: Jobs, substitutions: dict[str, str]
    ) -> None:
        super().__init__(scope, id_)
        self.role = iam.Role(
            self,
            "Role",
            path=ROLE_PATH,
            description=f"Runs {name}",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
        )
        self.machine = states.StateMachine(
            self,
            "Machine",
            state_machine_name=name,
            comment=f"Trains {jobs.model} and releases what is better",
            role=self.role,
            definition_body=states.DefinitionBody.from_string(json.dumps(definition(jobs), indent=1)),
            definition_substitutions=substitutions,
        )
        self.machine.node.add_dependency(self.role)


def definition(jobs: Jobs) -> dict[str, Any]:
    """The machine in Amazon States Language.

    CloudFormation fills in what stands in ``FILLED_IN``.
    """
    made: dict[str, Any] = {
        "Begin": {
            "Type": "Pass",
            "Comment": "Every execution has a folder of its own in the training bucket",
            "Parameters": {
                "run.$": "States.Hash($$.Execution.Id, 'MD5')",
                "started.$": "States.JsonToString($$.Execution.Input)",
            },
            "Next": _named(STEPS[0]),
        }
    }
    for step, after in zip(STEPS, (*STEPS[1:], None), strict=True):
        then = _named(after) if after else "HowItWent"
        state = _carried_out(step, jobs)
        if step.decides:
            made[_named(step)] = {**state, "Next": f"{_named(step)}d"}
            made[f"{_named(step)}d"] = _choice(step, then)
        else:
            made[_named(step)] = {**state, "Next": then}
    return {
        "Comment": f"Trains {jobs.model} and releases by a shift what is better than what is live.",
        "StartAt": "Begin",
        "States": {**made, **_ends(jobs)},
    }


def _carried_out(step: Step, jobs: Jobs) -> dict[str, Any]:
    if step.name == DATA and jobs.spark:
        return _on_spark(step, jobs)
    return {OPERATIONS: _asked, TRAINING: _trained}.get(step.by, _processed)(step, jobs)


def _choice(step: Step, then: str) -> dict[str, Any]:
    return {
        "Type": "Choice",
        "Choices": [
            {"Variable": f"$.{step.name}.said.go_on", "BooleanEquals": True, "Next": then},
        ],
        "Default": "NothingBetter",
    }


def _ends(jobs: Jobs) -> dict[str, Any]:
    """The shift has a machine of its own, which this one follows."""
    return {
        "HowItWent": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.release.phase", "StringEquals": "done", "Next": "Done"},
                {"Variable": "$.release.phase", "StringEquals": "taken back", "Next": "TakenBack"},
            ],
            "Default": "UnderWay",
        },
        "UnderWay": {"Type": "Wait", "Seconds": FOLLOW_EVERY_S, "Next": "Follow"},
        "Follow": {
            **_call(jobs, "follow", {"shift.$": "$.release.shift"}),
            "Comment": "Asks how the shift goes",
            "ResultPath": "$.release",
            "Next": "HowItWent",
        },
        "Done": {"Type": "Succeed"},
        "NothingBetter": {"Type": "Succeed", "Comment": "What is live stays; nothing was published"},
        "TakenBack": {
            "Type": "Fail",
            "Error": "TakenBack",
            "Cause": "The version before serves everything again; the ledger of the alias says why.",
        },
    }


def _named(step: Step) -> str:
    return step.name.title()


def _asked(step: Step, jobs: Jobs) -> dict[str, Any]:
    more = {
        "look": {},
        "release": {
            "version.$": "$.publish.said.version",
            "against.$": "$.look.live",
            "shift.$": "$.publish.said.shift",
            "reason.$": "States.Format('{}; run {}, started by {}', $.evaluate.said.said, $.run, $.started)",
        },
    }[step.name]
    return {**_call(jobs, step.name, more), "Comment": step.does, "ResultPath": f"$.{step.name}"}


def _call(jobs: Jobs, do: str, more: dict[str, str]) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "${Operations}",
        "Parameters": {"action": "pipeline", "do": do, "model": jobs.model, "alias": jobs.alias, **more},
        "Retry": [_repeat(_LAMBDA_TROUBLE, attempts=8, interval_s=2)],
    }


def _trained(step: Step, jobs: Jobs) -> dict[str, Any]:
    seconds = jobs.max_hours * 3_600
    stopping = {"MaxRuntimeInSeconds": seconds}
    if jobs.spot:
        # Waiting for capacity counts; twice the time is room for one long interruption.
        stopping["MaxWaitTimeInSeconds"] = 2 * seconds
    words = _words(step, jobs, done=f"{CONTAINER}/input/data", out=f"{CONTAINER}/model")
    parameters = {
        "TrainingJobName.$": _job_name(step, jobs),
        "RoleArn": _role(step),
        "AlgorithmSpecification": {
            "TrainingImage": jobs.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": _entrypoint(f"{CONTAINER}/input/data/code"),
            "ContainerArguments": [*words, "--checkpoints", f"{CONTAINER}/checkpoints"],
            "MetricDefinitions": [
                {"Name": "train_loss", "Regex": "train ([0-9.]+)"},
                {"Name": "validation_loss", "Regex": "validation ([0-9.]+)"},
                {"Name": "score", "Regex": "score ([0-9.]+)"},
            ],
        },
        "InputDataConfig": [
            _channel("code", {"S3Uri": "${Code}"}),
            *(_channel(name, _folder(name, jobs)) for name in step.given),
        ],
        "OutputDataConfig": {
            "S3OutputPath.$": _below(f"{step.name}/", jobs),
            # As files: the next step is given this folder like any other.
            "CompressionType": "NONE",
            "KmsKeyId": "${Key}",
        },
        "CheckpointConfig": {
            "S3Uri.$": _below("checkpoints/", jobs),
            "LocalPath": f"{CONTAINER}/checkpoints",
        },
        "ResourceConfig": {
            "InstanceType": jobs.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": 30,
            **_encrypted(jobs.volume_key),
        },
        **({"VpcConfig": _network(jobs)} if jobs.subnets else {}),
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": jobs.spot,
        "Environment": {TRAINING_BUCKET: "${Bucket}"},
        "Tags": _tags(jobs),
    }
    return {
        **_job(step, "CreateTrainingJob", parameters),
        "ResultSelector": {"folder.$": "$.ModelArtifacts.S3ModelArtifacts"},
    }


def _processed(step: Step, jobs: Jobs) -> dict[str, Any]:
    inside = f"{CONTAINER}/processing"
    environment: dict[str, str] = {TRAINING_BUCKET: "${Bucket}"}
    if step.decides:
        environment[f"{LIVE}.$"] = "States.Format('{}', $.look.live)"
    parameters = {
        "ProcessingJobName.$": _job_name(step, jobs),
        "RoleArn": _role(step),
        "AppSpecification": {
            "ImageUri": jobs.image,
            "ContainerEntrypoint": _entrypoint(f"{inside}/input/code"),
            "ContainerArguments": [
                *_words(step, jobs, done=f"{inside}/input", out=f"{inside}/output"),
                *("--message", f"{CONTAINER}/output/message"),
            ],
        },
        "ProcessingInputs": [
            _input("code", {"S3Uri": "${Code}"}, inside),
            *(_input(name, _folder(name, jobs), inside) for name in step.given),
        ],
        "ProcessingOutputConfig": {
            "KmsKeyId": "${Key}",
            "Outputs": [
                {
                    "OutputName": step.name,
                    "S3Output": {
                        "S3Uri.$": _below(f"{step.name}/", jobs),
                        "LocalPath": f"{inside}/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ],
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceType": jobs.step_instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": 30,
                **_encrypted(jobs.step_volume_key),
            }
        },
        **({"NetworkConfig": {"VpcConfig": _network(jobs)}} if jobs.subnets else {}),
        "StoppingCondition": {"MaxRuntimeInSeconds": jobs.max_hours * 3_600},
        "Environment": environment,
        "Tags": _tags(jobs),
    }
    return {
        **_job(step, "CreateProcessingJob", parameters),
        "ResultSelector": {"said.$": "States.StringToJson($.ExitMessage)"},
    }


def _on_spark(step: Step, jobs: Jobs) -> dict[str, Any]:
    """An EMR Serverless job that leaves the folder which the processing job would.

    Its own retries are for a driver that was lost. Source: Step Functions developer guide, "Create and manage
    Amazon EMR Serverless applications"; EMR Serverless user guide, "Using different Python versions".
    """
    words = ("--recipe", jobs.spark, "--bucket", "${Bucket}", "--out")
    told = ", ".join((*(f"'{word}'" for word in words), _below(f"{step.name}/", jobs)))
    pythons = ("emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON", "emr-serverless.driverEnv.PYSPARK_PYTHON")
    parameters = {
        "ApplicationId": "${Application}",
        "ExecutionRoleArn": "${Cleaner}",
        "Name": job_prefix(jobs.stage, jobs.model) + step.name,
        "JobDriver": {
            "SparkSubmit": {
                "EntryPoint": "${Script}",
                "EntryPointArguments.$": f"States.Array({told})",
                "SparkSubmitParameters": " ".join(
                    ("--py-files ${Code}", *(f"--conf spark.{name}={PYTHON_ON_SPARK}" for name in pythons))
                ),
            }
        },
        "ExecutionTimeoutMinutes": jobs.max_hours * 60,
        "RetryPolicy": {"MaxAttempts": 2},
    }
    return {
        "Type": "Task",
        "Comment": step.does,
        "Resource": "${StartJobRun}",
        "Parameters": parameters,
        "ResultPath": None,
    }


def _job(step: Step, call: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Comment": step.does,
        "Resource": f"${{{call}}}",
        "Parameters": parameters,
        "ResultPath": f"$.{step.name}",
        "Retry": [_repeat(_AWS_TROUBLE, attempts=5, interval_s=60)],
    }


def _words(step: Step, jobs: Jobs, *, done: str, out: str) -> list[str]:
    """What ``training.job`` is told."""
    words = [step.name, "--pipeline", f"pipeline/{jobs.file}", "--done", done, "--out", out]
    if step.store:
        words += ["--store", "${Store}"]
    if step.store == "writes":
        words += ["--by", f"pipeline {jobs.model}, {jobs.stage}"]
        words += ["--sign-with", jobs.sign_with] if jobs.sign_with else []
    return words


def _entrypoint(code: str) -> list[str]:
    unpack = (
        f'set -e; cd "$(mktemp -d)"; python3 -m zipfile -e {code}/*.zip .; exec bash training/start.sh "$@"'
    )
    return ["bash", "-c", unpack, "job"]


def _job_name(step: Step, jobs: Jobs) -> str:
    """Another one each time: a name is used once in an account, also by a state that is repeated."""
    some = "States.ArrayGetItem(States.StringSplit(States.UUID(), '-'), 0)"
    return f"States.Format('{job_prefix(jobs.stage, jobs.model)}{step.name}-{{}}', {some})"


def _role(step: Step) -> str:
    return "${Promoter}" if step.store else "${Trainer}"


def _below(what: str, jobs: Jobs) -> str:
    return f"States.Format('s3://${{Bucket}}/pipelines/{jobs.model}/{{}}/{what}', $.run)"


def _folder(step: str, jobs: Jobs) -> dict[str, str]:
    """Where a step's folder is: a training job puts it below a name of its own choice."""
    trained = any(found.name == step and found.by == TRAINING for found in STEPS)
    return {"S3Uri.$": f"$.{step}.folder" if trained else _below(f"{step}/", jobs)}


def _channel(name: str, uri: dict[str, str]) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                **uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }


def _input(name: str, uri: dict[str, str], inside: str) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            **uri,
            "LocalPath": f"{inside}/input/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        },
    }


def _encrypted(key: str) -> dict[str, str]:
    return {"VolumeKmsKeyId": key} if key else {}


def _network(jobs: Jobs) -> dict[str, list[str]]:
    return {"Subnets": list(jobs.subnets), "SecurityGroupIds": list(jobs.security_groups)}


def _tags(jobs: Jobs) -> list[dict[str, str]]:
    return [
        {"Key": "switchyard:stage", "Value": jobs.stage},
        {"Key": "switchyard:model", "Value": jobs.model},
    ]


def _repeat(errors: list[str], *, attempts: int, interval_s: int) -> dict[str, Any]:
    return {
        "ErrorEquals": errors,
        "IntervalSeconds": interval_s,
        "BackoffRate": 2,
        "MaxAttempts": attempts,
        "JitterStrategy": "FULL",
    }
