"""Container images as processes: an image is a command of this machine, its model a folder of files from S3.

AWS: SageMaker developer guide, "Use your own inference code with hosting services" (``IMAGE serve``, port
8080 or ``SAGEMAKER_BIND_TO_PORT``, ``GET /ping`` within 2 s, SIGTERM and 30 s later SIGKILL), "Deploying
uncompressed models" (every object below an S3 prefix at its own relative path), ``ModelDataUrl`` (an
archive, unpacked).

Which image is which command is said by whoever starts the cloud, in ``SWITCHYARD_CLOUD_IMAGES``: JSON, a
regular expression to ``{"command": [...], "environment": {...}}``; ``{model}`` in a value is where the
files were put. The map's environment wins over the container's, which was written for other machines.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from ministack.core import tls
from ministack.core.responses import get_account_id, get_region

from local_cloud.extension.workers import INHERITED

PING_S = 2.0
DRAIN_S = 30.0

_WITH_PARENT = Path(__file__).with_name("with_parent.py")

# The kernel's "kill me with my parent" looks at the thread that started the process: this one never ends.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="containers")

_lock = threading.Lock()
_running: set[Container] = set()


class NoSuchImageError(Exception):
    """No command is known for an image: it cannot be pulled."""


class Container:
    """One running container. ``log`` hears every line that it writes; ``grpc_port`` is 0 without gRPC."""

    def __init__(self, definition: Mapping[str, Any], *, log: Any, grpc: bool = False) -> None:
        """Lay the model's files out and start the program; it is not waited for."""
        command, told = command_of(str(definition.get("Image", "")))
        self._log = log
        self.folder = Path(tempfile.mkdtemp(prefix="container-"))
        model = self.folder / "model"
        model.mkdir()
        _lay_out(definition, model)
        self.port = _free_port()
        self.grpc_port = _free_port() if grpc else 0
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {str(k): str(v) for k, v in (definition.get("Environment") or {}).items()}
        environment |= {name: value.format(model=model) for name, value in told.items()}
        environment |= {"SAGEMAKER_BIND_TO_PORT": str(self.port), "AWS_REGION": get_region()}
        if grpc:
            environment["SWITCHYARD_GRPC_PORT"] = str(self.grpc_port)
        self.process = begin(command, environment, self.folder)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        with _lock:
            _running.add(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        """Whether a ping is answered with 200 at the moment."""
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=PING_S) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def ended(self) -> bool:
        """Whether the program is gone, by itself or because it was told to."""
        return self.process.poll() is not None

    def stop(self) -> None:
        """Tell it to end, give it its time, and take its files away."""
        with _lock:
            _running.discard(self)
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        self.process.kill()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._log(line.rstrip("\n"))


def logger(group: str, stream: str) -> Any:
    """Writes lines into a stream of a log group, and makes both when the first line comes."""
    logs: Any = None
    context = contextvars.copy_context()

    def write(line: str) -> None:
        nonlocal logs
        try:
            if logs is None:
                logs = client("logs")
                for make, names in (
                    (logs.create_log_group, {"logGroupName": group}),
                    (logs.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
                ):
                    try:
                        make(**names)
                    except logs.exceptions.ResourceAlreadyExistsException:
                        continue
            event = {"timestamp": round(time.time() * 1000), "message": line}
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
        except Exception:  # noqa: BLE001 - a log that cannot be written must not end the endpoint
            return

    return lambda line: context.run(write, line)


def kill_all() -> None:
    """End every container at once; the cloud ends with them."""
    with _lock:
        left = list(_running)
        _running.clear()
    for container in left:
        container.kill()


def begin(command: list[str], environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    """Start a program that ends with the cloud; what it writes is one stream."""
    return _starter.submit(_start, command, environment, folder).result()


def _start(command: list[str], environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", str(_WITH_PARENT), str(os.getpid()), *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=environment,
    )


def command_of(image: str) -> tuple[list[str], dict[str, str]]:
    """The program that an image is here, and its environment. Raises ``NoSuchImageError``."""
    known: dict[str, Any] = json.loads(os.environ.get("SWITCHYARD_CLOUD_IMAGES") or "{}")
    for pattern, found in known.items():
        if re.search(pattern, image):
            return [str(word) for word in found["command"]], dict(found.get("environment") or {})
    raise NoSuchImageError(image)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _lay_out(definition: Mapping[str, Any], folder: Path) -> None:
    """Put the model's files where the container finds them, as the two ways to name them have it."""
    source = (definition.get("ModelDataSource") or {}).get("S3DataSource") or {}
    if source.get("S3DataType") == "S3Prefix":
        bucket, prefix = place(str(source["S3Uri"]))
        for key, body in objects(bucket, prefix):
            target = folder / key.removeprefix(prefix).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
    url = definition.get("ModelDataUrl") or (source.get("S3Uri") if source else None)
    if url and source.get("S3DataType") != "S3Prefix":
        bucket, key = place(str(url))
        body = s3().get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            archive.extractall(folder, filter="data")


def objects(bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Every object below a prefix, with its bytes."""
    client = s3()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            if not item["Key"].endswith("/"):
                yield item["Key"], client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()


def place(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def s3() -> Any:
    """S3 of the account that is served at the moment, as its root: roles are the strict profile's concern."""
    return client("s3")


def client(service: str) -> Any:
    """A service of this cloud, over its own port like everybody else."""
    scheme = "https" if tls.use_ssl_enabled() else "http"
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=f"{scheme}://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        region_name=get_region(),
        aws_access_key_id=get_account_id(),
        aws_secret_access_key="test",  # noqa: S106 - any will do
        verify=False if tls.use_ssl_enabled() else None,
    )
