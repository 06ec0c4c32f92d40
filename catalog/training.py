"""``[stages.x.training]`` and ``[models.x.pipeline]``: where jobs run, and what starts a model's pipeline.

Sources: SageMaker API reference, ``StoppingCondition`` (a job runs at most 28 days); EventBridge Scheduler
user guide, "Schedule types".
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from catalog import heavy
from catalog.instances import known_types, nearest_type
from catalog.mistakes import between, mistake

MAX_HOURS = 28 * 24

_READS = re.compile(r"arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/\S*\*")
_EMR_IMAGE = re.compile(r"[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.[a-z0-9._-]+/\S+")
_RELEASE = re.compile(r"emr-7\.(1[1-9]|[2-9][0-9])\.[0-9]+")
_SCHEDULE = re.compile(r"(rate\([1-9][0-9]* (minute|hour|day)s?\)|cron\(\S+( \S+){5}\)|at\(\S+\))")


def _instance(value: str) -> str:
    if value in known_types("sagemaker"):
        return value
    near = nearest_type("sagemaker", value)
    raise mistake(
        f"is `{value}`, not an instance type of SageMaker",
        f"{f'Did you mean `{near}`? ' if near else ''}Write, say, `ml.m5.xlarge`.",
    )


def _reads(value: tuple[str, ...]) -> tuple[str, ...]:
    for arn in value:
        if not _READS.fullmatch(arn):
            raise mistake(
                f"names `{arn}`, not objects below a prefix",
                "Write the ARN with a star at its end: `arn:aws:s3:::lake/digits/*`.",
            )
    return value


def _emr_image(value: str) -> str:
    if _EMR_IMAGE.fullmatch(value):
        return value
    raise mistake(
        f"is `{value}`, not an image of ECR",
        "Build `training/data/spark.Dockerfile`, push it to a private repository, and write its name.",
    )


def _release(value: str) -> str:
    if _RELEASE.fullmatch(value):
        return value
    raise mistake(f"is `{value}`, not a release of EMR from 7.11 on", "Write, say, `emr-7.11.0`.")


def _schedule(value: str) -> str:
    if _SCHEDULE.fullmatch(value):
        return value
    raise mistake(
        f"is `{value}`, not a schedule", "Write `rate(7 days)` or `cron(0 3 ? * MON *)`, as EventBridge does."
    )


def _file(value: str) -> str:
    if value.endswith(".toml") and not value.startswith("/") and ".." not in value.split("/"):
        return value
    raise mistake(
        f"is `{value}`, not a pipeline of this repository",
        "Write a path relative to the repository's root, for example `examples/digits/pipeline.toml`.",
    )


Instance = Annotated[str, AfterValidator(_instance)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Spark(_Table):
    """EMR Serverless for the data step of pipelines whose ``data.toml`` says ``engine = "spark"``.

    ``image`` is built from ``training/data/spark.Dockerfile`` for the ``release``, in a private repository
    that lets EMR Serverless read it. All jobs together take no more than the two limits; what nobody uses
    costs nothing.
    """

    image: Annotated[str, AfterValidator(_emr_image)]
    release: Annotated[str, AfterValidator(_release)] = "emr-7.11.0"
    architecture: Literal["X86_64", "ARM64"] = "X86_64"
    max_vcpu: Annotated[int, between(8, 4_000, "vCPU", "a driver and an executor have 4 each")] = 64
    max_memory_gb: Annotated[int, between(32, 30_000, "GB", "a driver and an executor have 16 each")] = 256


class Training(_Table):
    """Jobs of a stage: their container, their machines, what they may read besides their own bucket.

    Training runs on ``instance_type``, on spare capacity unless ``spot = false``; the other steps on
    ``step_instance_type``. No job runs longer than ``max_hours``. What jobs made is kept for ``keep_days``;
    versions stay in the model store. Machines stand in the stage's network if it has one;
    ``endpoint_key`` encrypts their disks.
    """

    image: heavy.Image
    instance_type: Instance = "ml.m5.xlarge"
    step_instance_type: Instance = "ml.m5.large"
    spot: bool = True
    max_hours: Annotated[int, between(1, MAX_HOURS, "hours", "SageMaker stops a job after 28 days")] = 2
    keep_days: Annotated[int, between(1, 3_650, "days", "reports of ten years ago help nobody")] = 90
    reads: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_reads)] = ()
    spark: Spark | None = None


class Pipeline(_Table):
    """A model's pipeline and what starts it by itself. Without any of them somebody starts it.

    ``on_new_data``: a ``_SUCCESS`` below ``data/MODEL/`` in the training bucket. ``on_drift``: an alarm of
    the monitor, for which the model has to capture requests.
    """

    file: Annotated[str, AfterValidator(_file)]
    schedule: Annotated[str, AfterValidator(_schedule)] | None = None
    on_new_data: bool = False
    on_drift: bool = False
