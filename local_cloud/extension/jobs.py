"""SageMaker jobs, training and processing: a process here, between what is fetched and what is kept.

Stock: there is no SageMaker, and Step Functions knows none of its integrations.
AWS: SageMaker API reference (``CreateTrainingJob``, ``CreateProcessingJob`` and their ``Describe`` and
``Stop``); developer guide, "How Amazon SageMaker AI Provides Training Information" (channels in
``/opt/ml/input/data``, the model in ``/opt/ml/model``), "Use checkpoints", "Uncompressed model output", "Save
and Access Metadata Information About Your Processing Job" (``ExitMessage``). Step Functions developer guide,
"Create and manage SageMaker AI jobs with Step Functions": ``.sync`` gives the job's description, and
``States.TaskFailed`` with it as the cause.

``/opt/ml`` is a folder of the job's own: wherever the request says it, the program is told that folder. What
an image is says ``containers``. Jobs run with the account's own rights; roles, spot interruptions, networks,
several instances and metrics are not there.
"""

from __future__ import annotations

import contextvars
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region
from ministack.services import stepfunctions

from local_cloud.extension import containers
from local_cloud.extension.services import RefusedError, arn
from local_cloud.extension.workers import INHERITED

CONTAINER = "/opt/ml"
TRAINING, PROCESSING = "TrainingJob", "ProcessingJob"
ACTIONS = tuple(f"{verb}{kind}" for verb in ("Create", "Describe", "Stop") for kind in (TRAINING, PROCESSING))
MESSAGE_BYTES = 1_024

_POLL_S = 0.1
_OVER = ("Completed", "Failed", "Stopped")

jobs: Any = {kind: AccountRegionScopedDict() for kind in (TRAINING, PROCESSING)}
_running: dict[str, subprocess.Popen[str]] = {}


def control(action: str, request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one call about a job. Raises ``RefusedError``."""
    kind = TRAINING if action.endswith(TRAINING) else PROCESSING
    name = str(request[f"{kind}Name"])
    if action.startswith("Create"):
        return _create(kind, name, request)
    job = _found(kind, name)
    if action.startswith("Stop"):
        if job[f"{kind}Status"] not in _OVER and (program := _running.get(job[f"{kind}Arn"])):
            program.terminate()
        return {}
    return dict(job)


def reset() -> None:
    """Forget every job."""
    for store in jobs.values():
        store.clear()


def _found(kind: str, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = jobs[kind][name]
    except KeyError:
        raise RefusedError("ValidationException", "Requested resource not found.") from None
    return found


def _create(kind: str, name: str, request: dict[str, Any]) -> dict[str, Any]:
    if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name):
        raise RefusedError("ValidationException", f"1 validation error detected: Value '{name}' is no name")
    if name in jobs[kind]:
        raise RefusedError(
            "ResourceInUse", f"Job name must be unique within an AWS account and region: {name}"
        )
    key = f"{kind}Arn"
    job = {
        **request,
        key: arn("sagemaker", f"{'training' if kind == TRAINING else 'processing'}-job/{name.lower()}"),
        f"{kind}Status": "InProgress",
        "CreationTime": time.time(),
    }
    jobs[kind][name] = job
    context = contextvars.copy_context()
    threading.Thread(target=lambda: context.run(_carry_out, kind, name, job), daemon=True).start()
    return {key: job[key]}


def _carry_out(kind: str, name: str, job: dict[str, Any]) -> None:
    """Run a job to its end; whatever goes wrong is its failure and stands in its description."""
    folder = Path(tempfile.mkdtemp(prefix="job-"))
    try:
        ended = _run(kind, name, job, folder)
        message = folder / "ml" / "output" / "message"
        if kind == PROCESSING and message.is_file():
            job["ExitMessage"] = message.read_bytes()[:MESSAGE_BYTES].decode()
        if ended == 0:
            _keep(kind, name, job, folder)
        else:
            job["FailureReason"] = f"AlgorithmError: the container ended with {ended}"
        status = "Completed" if ended == 0 else "Failed"
    except Exception as error:  # noqa: BLE001 - a job must not stay InProgress for ever
        job["FailureReason"] = f"ClientError: {type(error).__name__}: {error}"
        status = "Failed"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    job[f"{kind}EndTime"] = time.time()
    job[f"{kind}Status"] = status


def _run(kind: str, name: str, job: dict[str, Any], folder: Path) -> int:
    """Fetch what the program is given, run it, and say how it ended."""
    own = folder / "ml"
    (folder / "tmp").mkdir()
    (own / "output").mkdir(parents=True)
    for uri, place in _given(kind, job):
        _fetch(uri, _inside(place, own))
    for place in _made(kind, job):
        _inside(place, own).mkdir(parents=True, exist_ok=True)
    container = job["AlgorithmSpecification" if kind == TRAINING else "AppSpecification"]
    image = container.get("TrainingImage") or container.get("ImageUri") or ""
    command, told = containers.command_of(image)
    words = [*container.get("ContainerEntrypoint", ()), *container.get("ContainerArguments", ())]
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {key: str(value) for key, value in (job.get("Environment") or {}).items()}
    environment |= told
    environment |= {
        "TMPDIR": str(folder / "tmp"),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        "AWS_ACCESS_KEY_ID": get_account_id(),
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": get_region(),
        "AWS_DEFAULT_REGION": get_region(),
    }
    log = containers.logger(f"/aws/sagemaker/{kind}s", f"{name}/algo-1")
    program = containers.begin(
        [*command, *(word.replace(CONTAINER, str(own)) for word in words)], environment, folder
    )
    _running[job[f"{kind}Arn"]] = program
    try:
        assert program.stdout is not None
        for line in program.stdout:
            log(line.rstrip("\n"))
        return program.wait()
    finally:
        del _running[job[f"{kind}Arn"]]


def _given(kind: str, job: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is fetched before the program starts: an address in S3, and where it is put."""
    if kind == PROCESSING:
        for item in job.get("ProcessingInputs", ()):
            yield item["S3Input"]["S3Uri"], item["S3Input"]["LocalPath"]
        return
    for channel in job.get("InputDataConfig", ()):
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        yield uri, f"{CONTAINER}/input/data/{channel['ChannelName']}"
    if checkpoints := job.get("CheckpointConfig"):
        yield checkpoints["S3Uri"], checkpoints.get("LocalPath", f"{CONTAINER}/checkpoints")


def _made(kind: str, job: dict[str, Any]) -> list[str]:
    if kind == TRAINING:
        return [f"{CONTAINER}/model"]
    return [item["S3Output"]["LocalPath"] for item in job["ProcessingOutputConfig"]["Outputs"]]


def _fetch(uri: str, folder: Path) -> None:
    bucket, prefix = containers.place(uri)
    folder.mkdir(parents=True, exist_ok=True)
    for key, body in containers.objects(bucket, prefix):
        relative = key.removeprefix(prefix).lstrip("/") or key.rpartition("/")[2]
        if not prefix.endswith("/") and key != prefix and not key.startswith(f"{prefix}/"):
            relative = key.rpartition("/")[2]
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)


def _keep(kind: str, name: str, job: dict[str, Any], folder: Path) -> None:
    """Put what the program left where the request says."""
    own = folder / "ml"
    if kind == PROCESSING:
        for item in job["ProcessingOutputConfig"]["Outputs"]:
            _put(_inside(item["S3Output"]["LocalPath"], own), item["S3Output"]["S3Uri"])
        return
    output = job["OutputDataConfig"]
    place = f"{output['S3OutputPath'].rstrip('/')}/{name}/output/"
    if output.get("CompressionType") == "NONE":
        _put(own / "model", f"{place}model/")
        job["ModelArtifacts"] = {"S3ModelArtifacts": f"{place}model/"}
    else:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(own / "model", arcname=".")
        bucket, key = containers.place(f"{place}model.tar.gz")
        containers.s3().put_object(Bucket=bucket, Key=key, Body=packed.getvalue())
        job["ModelArtifacts"] = {"S3ModelArtifacts": f"{place}model.tar.gz"}
    if checkpoints := job.get("CheckpointConfig"):
        place = checkpoints.get("LocalPath", f"{CONTAINER}/checkpoints")
        _put(_inside(place, own), checkpoints["S3Uri"])


def _put(folder: Path, uri: str) -> None:
    bucket, prefix = containers.place(uri)
    s3 = containers.s3()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            key = f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}"
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())


def _inside(place: str, own: Path) -> Path:
    """A path of the container in the job's own folder. One outside it is refused."""
    if not place.startswith(f"{CONTAINER}/"):
        raise RefusedError("ValidationException", f"`{place}` is not below {CONTAINER}")
    return own / place.removeprefix(f"{CONTAINER}/")


def _integration(resource: str, request: dict[str, Any]) -> dict[str, Any]:
    """``createTrainingJob`` and ``createProcessingJob`` of a state machine, with ``.sync`` or not."""
    kind = TRAINING if "TrainingJob" in resource else PROCESSING
    try:
        begun = control(f"Create{kind}", request)
    except RefusedError as error:
        raise stepfunctions._ExecutionError(f"SageMaker.{error.code}", str(error)) from error
    if not resource.endswith(".sync"):
        return begun
    name = str(request[f"{kind}Name"])
    while (job := control(f"Describe{kind}", {f"{kind}Name": name}))[f"{kind}Status"] not in _OVER:
        time.sleep(_POLL_S)
    if job[f"{kind}Status"] != "Completed":
        raise stepfunctions._ExecutionError("States.TaskFailed", json.dumps(job, default=str))
    return job


def install() -> None:
    """Let state machines begin jobs; the API of jobs is ``sagemaker``'s."""
    for kind in (TRAINING, PROCESSING):
        stepfunctions._SERVICE_DISPATCH[f"arn:aws:states:::sagemaker:create{kind}"] = _integration
