"""The same recipe as a SageMaker training job: what is uploaded, and the request, as plain data.

One machine, as many processes as it has GPUs (or one). The container brings torch; ``start.sh`` installs what
else ``requirements-train.txt`` names and starts torchrun. On spot capacity an interrupted job goes on from
the checkpoint that SageMaker keeps in S3, and so does a later job of the same recipe and data.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from model_store.contract.environment import TRAINING_BUCKET
from training.errors import RecipeError
from training.make import Task

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("training", "model_store", "drift")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+")
_INSTANCE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
# Where SageMaker puts channels, takes the model from and keeps checkpoints: fixed by its contract.
_CONTAINER = "/opt/ml"


@dataclass(frozen=True, slots=True)
class Machine:
    """What the job runs on. ``image`` is a container with torch, ``hours`` the most that is paid for."""

    image: str
    instance: str = "ml.m5.xlarge"
    processes: int = 1
    disk_gb: int = 30
    hours: float = 1.0
    spot: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """The deployment's bucket for training and the role that the job runs as, as ``cdk deploy`` made them.

    ``key`` encrypts what the job writes to S3 and ``volume_key`` its disk; with ``subnets`` and
    ``security_groups`` its machine stands in the account's own network. Empty: as AWS does by itself.
    """

    bucket: str
    role: str
    key: str = ""
    volume_key: str = ""
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()


class Jobs(Protocol):
    """What is asked of AWS: an object that is stored, a job that is begun."""

    def upload(self, bucket: str, key: str, data: bytes) -> None: ...

    def begin(self, request: dict[str, Any]) -> str:
        """Begin a job and return its ARN."""
        ...


def submit(task: Task, recipe: Path, place: Place, machine: Machine, jobs: Jobs, *, began: str) -> str:
    """Upload code and recipe, begin the job, and return its ARN. ``began`` makes the job's name its own."""
    request = training_job(task, place, machine, began=began)
    for key, data in uploads(task, recipe, machine).items():
        jobs.upload(place.bucket, key, data)
    return jobs.begin(request)


def training_job(task: Task, place: Place, machine: Machine, *, began: str) -> dict[str, Any]:
    """The ``CreateTrainingJob`` request. Raises ``RecipeError`` for what is no role or no instance type."""
    if not _ROLE.fullmatch(place.role):
        raise RecipeError(f"`{place.role}` is not the ARN of a role", hint="Write arn:aws:iam::…:role/NAME.")
    if not _INSTANCE.fullmatch(machine.instance):
        raise RecipeError(f"`{machine.instance}` is not an instance type", hint="Write, say, ml.m5.xlarge.")
    seconds = round(machine.hours * 3600)
    prefix = f"s3://{place.bucket}/{_prefix(task)}"
    stopping = {"MaxRuntimeInSeconds": seconds}
    if machine.spot:
        # Waiting for capacity counts; twice the time is room for one long interruption.
        stopping["MaxWaitTimeInSeconds"] = 2 * seconds
    return {
        "TrainingJobName": f"switchyard-{task.recipe.model}-{_short(task)}-{began}"[:63].rstrip("-"),
        "RoleArn": place.role,
        "AlgorithmSpecification": {
            "TrainingImage": machine.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["bash", f"{_CONTAINER}/input/data/code/start.sh"],
            "MetricDefinitions": [
                {"Name": "train_loss", "Regex": r"train ([0-9.]+)"},
                {"Name": "validation_loss", "Regex": r"validation ([0-9.]+)"},
                {"Name": "score", "Regex": r"score ([0-9.]+)"},
            ],
        },
        "InputDataConfig": [_channel("code", f"{prefix}/code/"), _channel("recipe", f"{prefix}/recipe/")],
        "OutputDataConfig": {
            "S3OutputPath": f"{prefix}/output/",
            **({"KmsKeyId": place.key} if place.key else {}),
        },
        "CheckpointConfig": {"S3Uri": f"{prefix}/checkpoints/", "LocalPath": f"{_CONTAINER}/checkpoints"},
        "ResourceConfig": {
            "InstanceType": machine.instance,
            "InstanceCount": 1,
            "VolumeSizeInGB": machine.disk_gb,
            **({"VolumeKmsKeyId": place.volume_key} if place.volume_key else {}),
        },
        **_network(place),
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": machine.spot,
        "Environment": {
            "PYTHONPATH": f"{_CONTAINER}/input/data/code",
            TRAINING_BUCKET: place.bucket,
        },
        "Tags": [
            {"Key": "switchyard:model", "Value": task.recipe.model},
            {"Key": "switchyard:data", "Value": str(task.data.digest)},
            {"Key": "switchyard:recipe", "Value": task.recipe_digest},
        ],
    }


def uploads(task: Task, recipe: Path, machine: Machine) -> dict[str, bytes]:
    """What the job needs besides its image, by key: the rooms, the recipe's folder, and how to start."""
    prefix = _prefix(task)
    found = {
        f"{prefix}/code/{path.relative_to(_ROOT).as_posix()}": path.read_bytes()
        for package in _PACKAGES
        for path in sorted((_ROOT / package).rglob("*.py"))
    }
    for name in ("requirements-train.txt", "constraints.txt"):
        found[f"{prefix}/code/{name}"] = (_ROOT / name).read_bytes()
    found[f"{prefix}/code/start.sh"] = start(recipe.name, machine.processes).encode()
    beside = (path for path in sorted(recipe.parent.rglob("*")) if path.is_file())
    found |= {
        f"{prefix}/recipe/{path.relative_to(recipe.parent).as_posix()}": path.read_bytes() for path in beside
    }
    return found


def start(recipe: str, processes: int) -> str:
    """What the container runs: the image keeps its torch, the rest is installed at the pinned versions."""
    code, data = f"{_CONTAINER}/input/data/code", f"{_CONTAINER}/input/data/recipe"
    worker = shlex.join(
        [
            *("torchrun", "--standalone", "--nproc-per-node", str(processes), "--max-restarts", "3"),
            *("-m", "training", f"{data}/{recipe}", f"{_CONTAINER}/model", "--finish"),
            *("--checkpoints", f"{_CONTAINER}/checkpoints", "--keep", "/tmp/prepared"),  # noqa: S108
        ]
    )
    return (
        "set -euo pipefail\n"
        f"grep -v '^torch==' {code}/requirements-train.txt > /tmp/requirements.txt\n"
        f"pip install --quiet -r /tmp/requirements.txt -c {code}/constraints.txt "
        "boto3 onnx onnxruntime pydantic\n"
        f"exec {worker}\n"
    )


def _network(place: Place) -> dict[str, Any]:
    if not place.subnets:
        return {}
    return {"VpcConfig": {"Subnets": list(place.subnets), "SecurityGroupIds": list(place.security_groups)}}


def _channel(name: str, uri: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }


def _prefix(task: Task) -> str:
    return f"training/{task.recipe.model}/{_short(task)}"


def _short(task: Task) -> str:
    """Names recipe and data together: jobs of the same share their checkpoint."""
    return hashlib.sha256(task.of.encode()).hexdigest()[:12]
