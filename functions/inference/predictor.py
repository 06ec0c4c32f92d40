"""A loaded model: arrays in, arrays out. Knows nothing of HTTP, JSON, S3 or Lambda.

No framework in sight, so the same object serves a request, a benchmark and a notebook.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from functions.protocol.tensors import Array
from model_store.contract.errors import IntegrityError, SwitchyardError
from model_store.contract.manifest import Manifest

MEMORY_MB_PER_VCPU = 1769
"""Source: AWS Lambda developer guide, "Configure Lambda function memory": 1,769 MB is one vCPU."""

_FATAL_ONLY = 4

# What a session raises while it runs. numpy's own come from outputs of absurd size, and from string
# outputs that are not UTF-8.
_RUN_ERRORS: tuple[type[Exception], ...] = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.RuntimeException,
    ort_errors.NotImplemented,
    ort_errors.EPFail,
    ValueError,
    MemoryError,
)

_NODE = re.compile(r"while running (?P<node>\w+) node")
_STATUS = re.compile(r"Status Message: (?P<status>.*)", re.DOTALL)
_SOURCE_FILE = re.compile(r"^\S*/\S+:\d+ .*?(?: was false\. |$)", re.DOTALL)


class BadInputError(SwitchyardError, ValueError):
    """These arrays do not go through the model. The caller can fix it."""


class Predictor:
    """Built once per Lambda environment, called once per request.

    A failure while running is the caller's: a version that cannot run its golden sample is never
    released, and ``functions.inference.served`` runs it again before the first request.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    @classmethod
    def load(cls, folder: Path, manifest: Manifest, *, threads: int = 1) -> Predictor:
        """Load the artifact in ``folder``, if its files are byte for byte the manifest's (law 2).

        A single file goes from the verified bytes into memory. A graph with external data has to be
        opened by path, so every file is verified first and no other may lie beside them.
        """
        unexpected = _files_in(folder) - {file.path for file in manifest.files}
        if unexpected:
            raise IntegrityError(
                f"the artifact of {manifest.ref} has `{min(unexpected)}`, which its manifest does not name"
            )
        if len(manifest.files) == 1:
            model: bytes | str = _verified_bytes(folder, manifest)
        else:
            for file in manifest.files:
                file.digest.verify_file(_present(folder / file.path, file.path, manifest))
            model = str(folder / manifest.entry)
        return cls(ort.InferenceSession(model, _options(threads), providers=["CPUExecutionProvider"]))

    def __call__(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        *,
        options: ort.RunOptions | None = None,
    ) -> dict[str, Array]:
        """Run the model and return the wanted outputs in the wanted order.

        Another thread may set ``options.terminate``; a run that ends so raises ``BadInputError`` too.
        """
        try:
            results = self._session.run(list(outputs), dict(inputs), options)
        except _RUN_ERRORS as error:
            raise BadInputError(_why_not(error)) from error
        return dict(zip(outputs, map(np.asarray, results), strict=True))


def threads_for(memory_mb: int) -> int:
    """As many threads as the memory size buys whole vCPUs, and at least one.

    Rounded down: a thread beyond the share of CPU does not compute more, it gets the whole process
    throttled while it spins.
    """
    return max(1, memory_mb // MEMORY_MB_PER_VCPU)


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # What fails is told to the caller; onnxruntime would write the caller's shapes and values to the log.
    options.log_severity_level = _FATAL_ONLY
    return options


def _files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def _verified_bytes(folder: Path, manifest: Manifest) -> bytes:
    (file,) = manifest.files
    return file.digest.verify(_present(folder / file.path, file.path, manifest).read_bytes())


def _present(path: Path, name: str, manifest: Manifest) -> Path:
    if path.is_file():
        return path
    raise IntegrityError(f"the artifact of {manifest.ref} lacks `{name}`, which its manifest names")


def _why_not(error: Exception) -> str:
    """Say which step refused and why, without the paths and signatures of onnxruntime's sources."""
    text = str(error).strip()
    node = _NODE.search(text)
    status = _STATUS.search(text)
    if node is None or status is None:
        return "the model cannot run on these inputs"
    reason = _SOURCE_FILE.sub("", status["status"]).strip().rstrip(".")
    refused = f"the model cannot run on these inputs, its `{node['node']}` step refuses them"
    return f"{refused}: {reason}" if reason else refused
