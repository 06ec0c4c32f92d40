"""What the environment asks of this server. SageMaker, EC2 and a laptop set the same variables.

The model is named as for a Lambda function (``model_store.contract.environment``): ``SWITCHYARD_MODEL``,
``SWITCHYARD_VERSION`` and ``SWITCHYARD_DIGEST``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from functions.inference.limits import Limits
from model_store.contract import environment
from model_store.contract.errors import IntegrityError

MODEL_DIR = "SWITCHYARD_MODEL_DIR"
HOST = "SWITCHYARD_HOST"
GRPC_PORT = "SWITCHYARD_GRPC_PORT"
SAGEMAKER_PORT = "SAGEMAKER_BIND_TO_PORT"
ENGINE = "SWITCHYARD_ENGINE"
DEVICE = "SWITCHYARD_DEVICE"
AUTOCAST = "SWITCHYARD_AUTOCAST"
CUDA_GRAPHS = "SWITCHYARD_CUDA_GRAPHS"
WORKERS = "SWITCHYARD_WORKERS"
THREADS = "SWITCHYARD_THREADS"
BATCHING = "SWITCHYARD_BATCHING"
MAX_QUEUE_DELAY_MS = "SWITCHYARD_MAX_QUEUE_DELAY_MS"
QUEUE_SIZE = "SWITCHYARD_QUEUE_SIZE"
MAX_BODY_BYTES = "SWITCHYARD_MAX_BODY_BYTES"
DRAIN_S = "SWITCHYARD_DRAIN_S"

_WORDS = {
    ENGINE: ("auto", "onnxruntime", "torch"),
    DEVICE: ("auto", "cpu", "cuda"),
    AUTOCAST: ("off", "bf16", "fp16"),
    CUDA_GRAPHS: ("on", "off"),
    BATCHING: ("auto", "on", "off"),
    environment.TRACING: ("off", "on"),
}

_MOST = {GRPC_PORT: 65_535, SAGEMAKER_PORT: 65_535, DRAIN_S: 29}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything but the model. A port 0 lets the system choose; gRPC is off where its port is ``None``.

    ``workers`` are threads that run the model; ``None`` leaves it to what the model turns out to be: one,
    or none for a model that is quicker than waking a thread (``functions.endpoint.trial.is_quick``).
    ``batching`` is ``auto`` (as many rows as pay, ``functions.endpoint.trial.rows_that_pay``), ``on`` (up to
    ``max_batch``, whatever that costs) or ``off``.
    """

    model_dir: Path = Path("/opt/ml/model")
    host: str = "0.0.0.0"  # noqa: S104 - a container's network decides who reaches it
    port: int = 8080
    grpc_port: int | None = 8081
    engine: str = "auto"
    device: str = "auto"
    autocast: str = "off"
    cuda_graphs: bool = True
    workers: int | None = None
    threads: int = 1
    batching: str = "auto"
    max_batch: int = 32
    max_queue_delay_ms: float = 0.0
    queue_size: int = 512
    max_body_bytes: int = 64 * 1_048_576
    timeout_s: int = 55
    drain_s: int = 25
    tracing: bool = False
    explain: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read every variable. Raises ``IntegrityError`` for one that says what cannot be."""
        workers = _whole(environ, WORKERS, 1) if environ.get(WORKERS) else None
        default = cls()
        return cls(
            model_dir=Path(environ.get(MODEL_DIR) or default.model_dir),
            host=environ.get(HOST) or default.host,
            port=_whole(environ, SAGEMAKER_PORT, default.port, least=0),
            grpc_port=None if environ.get(GRPC_PORT) == "off" else _whole(environ, GRPC_PORT, 8081, least=0),
            engine=_word(environ, ENGINE),
            device=_word(environ, DEVICE),
            autocast=_word(environ, AUTOCAST),
            cuda_graphs=_word(environ, CUDA_GRAPHS) == "on",
            workers=workers,
            threads=_whole(environ, THREADS, max(1, (os.cpu_count() or 1) // (workers or 1))),
            batching=_word(environ, BATCHING),
            max_batch=_whole(environ, environment.MAX_BATCH, default.max_batch),
            max_queue_delay_ms=_milliseconds(environ, MAX_QUEUE_DELAY_MS),
            queue_size=_whole(environ, QUEUE_SIZE, default.queue_size),
            max_body_bytes=_whole(environ, MAX_BODY_BYTES, default.max_body_bytes),
            timeout_s=_whole(environ, environment.TIMEOUT, default.timeout_s),
            drain_s=_whole(environ, DRAIN_S, default.drain_s),
            tracing=_word(environ, environment.TRACING) == "on",
            explain=environment.EXPLAIN in environ,
        )

    def limits(self, environ: Mapping[str, str]) -> EndpointLimits:
        """What a caller is told to keep to; rows are limited where the environment says so."""
        return EndpointLimits(
            max_payload_bytes=self.max_body_bytes,
            max_batch=self.max_batch if environ.get(environment.MAX_BATCH) else None,
            deadline_ms=self.timeout_s * 1000,
            explain_max_parts=environment.EXPLAIN_MAX_PARTS if self.explain else None,
        )


class EndpointLimits(Limits):
    """Limits where no Lambda is in the way: binary data travel as they are."""

    __slots__ = ()

    @property
    def max_binary_bytes(self) -> int:
        return self.max_payload_bytes


def _whole(environ: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    text = environ.get(name) or ""
    if not text:
        return default
    most = _MOST.get(name, 1 << 31)
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise IntegrityError(
        f"the environment variable `{name}` is `{text}`, and has to be a whole number from {least} to {most}"
    )


def _milliseconds(environ: Mapping[str, str], name: str) -> float:
    text = environ.get(name) or "0"
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 <= value <= 10_000:
        return value
    raise IntegrityError(
        f"the environment variable `{name}` is `{text}`, and has to be a number of milliseconds up to 10000"
    )


def _word(environ: Mapping[str, str], name: str) -> str:
    words = _WORDS[name]
    text = environ.get(name) or words[0]
    if text in words:
        return text
    raise IntegrityError(f"the environment variable `{name}` is `{text}`, and has to be {' or '.join(words)}")
