"""A loaded model: arrays in, arrays out. Knows nothing of HTTP, JSON, S3 or Lambda.

No framework in sight, so the same object serves a request, a benchmark and a notebook.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from functions.inference.artifact import Artifact
from functions.protocol.tensors import Array
from model_store.contract.errors import SwitchyardError

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


class Stop(Protocol):
    """Asks a run to end early; onnxruntime's ``RunOptions`` are one."""

    terminate: bool


class Engine(Protocol):
    """Whatever runs a model: the wanted outputs in the wanted order, or ``BadInputError``.

    Safe to call from several threads at once; the arrays that come back belong to the caller.
    """

    def __call__(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]: ...


class Predictor:
    """Built once per Lambda environment, called once per request.

    A failure while running is the caller's: a version that cannot run its golden sample is never released.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    @classmethod
    def load(
        cls, artifact: Artifact, *, threads: int = 1, providers: Sequence[str] = ("CPUExecutionProvider",)
    ) -> Predictor:
        """Load the artifact, once all of its files are verified (law 2).

        By path and not from bytes: external data are found beside the graph, and no second copy of the
        model is made on the way.
        """
        graph = artifact.verified() / artifact.manifest.entry
        return cls(ort.InferenceSession(str(graph), _options(threads), providers=list(providers)))

    @property
    def providers(self) -> list[str]:
        """Where onnxruntime really runs the model, which may be less than it was asked for."""
        found: list[str] = self._session.get_providers()
        return found

    def __call__(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        *,
        options: Stop | None = None,
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
