"""Where the files of a version lie when a Lambda function starts: in a layer, or in ``/tmp``, read from S3.

A version that fits travels as a layer: a start then reads local disk and needs nothing else. A larger
one stays in the store, and every environment reads it when it starts. That takes time, ``/tmp`` and a
permission, so a model may do it only where the catalog gives it ``ephemeral_mb``.
"""

from __future__ import annotations

from model_store.contract.manifest import Manifest

LAYER_BYTES = 130_000_000
"""What a model layer may take unzipped: Lambda's 262,144,000 bytes less the runtime layer's budget
(``layers.build`` refuses over 120 MB) and the function's own code."""

DEFAULT_EPHEMERAL_MB = 512
"""What ``/tmp`` has unless somebody asks for more, in MiB. Source: Lambda API, ``EphemeralStorage``."""

MAX_EPHEMERAL_MB = 10_240
"""The most that ``/tmp`` can have. Source: the same."""

SNAPSTART_EPHEMERAL_MB = 512
"""The most that ``/tmp`` may have with SnapStart. Source: Lambda developer guide, "Lambda SnapStart"."""

START_S = 10.0
"""What a start on demand may take before Lambda begins it anew, inside the first request and within its
time limit; ``/tmp`` stays as it was. Source: Lambda developer guide, "execution environment lifecycle"."""

PATIENT_START_S = 130.0
"""What a start may take with SnapStart or provisioned concurrency, or the function's own time limit if
that is longer. Source: the same."""

READ_BYTES_PER_S = 60_000_000
"""How fast a function reads from S3, for estimates. Assumed: AWS publishes no number."""

RUNTIME_MB = 128
"""What interpreter, packages and the parts in flight take beside the model. Measured, ADR 23."""

_MIB = 1_048_576
_GRAPH = ".onnx"


def fits_a_layer(manifest: Manifest) -> bool:
    """Whether the version travels as a Lambda layer."""
    return manifest.size <= LAYER_BYTES


def memory_needed_mb(manifest: Manifest) -> int:
    """The memory without which the version cannot be loaded, in MiB, rounded up.

    onnxruntime holds a graph file's weights twice while it loads it: as read, and as it lays them out.
    External data are mapped, and take room once. Measured, ADR 23.
    """
    held = sum(file.size * (2 if file.path.endswith(_GRAPH) else 1) for file in manifest.files)
    return RUNTIME_MB - (-held // _MIB)


def ephemeral_needed_mb(manifest: Manifest) -> int:
    """The ``/tmp`` without which the version cannot be read from S3, in MiB, rounded up."""
    return -(-manifest.size // _MIB)


def reading_s(size: int) -> float:
    """How long reading ``size`` bytes from S3 may take, by estimate."""
    return size / READ_BYTES_PER_S


def start_limit_s(*, patient: bool, timeout_s: int) -> float:
    """What a start may take, ``patient`` being one with SnapStart or provisioned concurrency."""
    return max(PATIENT_START_S, timeout_s) if patient else START_S
