"""A loaded model: arrays in, arrays out. Knows nothing of HTTP, JSON, S3 or Lambda.

No framework in sight, so the same object serves a request, a benchmark and a notebook.
"""

from __future__ import annotations

import os.path
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from functions.inference.artifact import Artifact
from functions.protocol.errors import BadInputError as BadInputError
from functions.protocol.tensors import Array
from model_store.contract.environment import PIPELINE_FILE
from model_store.contract.errors import IntegrityError, PictureError

if TYPE_CHECKING:
    from model_store.contract.pipeline import Session

MEMORY_MB_PER_VCPU = 1769
"""Source: AWS Lambda developer guide, "Configure Lambda function memory": 1,769 MB is one vCPU."""

CPU_PROVIDER = "CPUExecutionProvider"

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

# Compiled when something is refused, and not at every start.
_NODE = r"while running (?P<node>\w+) node"
_STATUS = r"(?s:Status Message: (?P<status>.*))"
_SOURCE_FILE = r"(?s:^\S*/\S+:\d+ .*?(?: was false\. |$))"


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

    def __init__(self, session: Session, providers: Sequence[str] = (CPU_PROVIDER,)) -> None:
        self._session = session
        # Made once: without options onnxruntime makes some for every run, which takes two microseconds.
        self._unwatched = ort.RunOptions()
        self.providers = tuple(providers)
        """Where onnxruntime really runs the model, which may be less than it was asked for."""

    @classmethod
    def load(
        cls,
        artifact: Artifact,
        *,
        threads: int = 1,
        providers: Sequence[str] = (CPU_PROVIDER,),
        memory_mb: int = 0,
    ) -> Predictor:
        """Load the artifact, once all of its files are verified (law 2).

        ``memory_mb`` is what Lambda gives the function, 0 elsewhere.

        By path and not from bytes: external data are found beside the graph, and no second copy of the
        model is made on the way.
        """
        folder, entry = artifact.verified(), artifact.manifest.entry
        library = _library(artifact) if artifact.manifest.lineage.get("operators") else None
        if entry == PIPELINE_FILE:
            return cls(*_chain(folder, threads, providers, library, memory_mb))
        session = _session(os.path.join(folder, entry), threads, providers, library)
        return cls(session, session.get_providers())

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
            results = self._session.run(outputs, inputs, options or self._unwatched)
        except _RUN_ERRORS as error:
            raise BadInputError(_why_not(error)) from error
        return {
            name: array if type(array) is np.ndarray else np.asarray(array)
            for name, array in zip(outputs, results, strict=True)
        }


def threads_for(memory_mb: int) -> int:
    """As many threads as the memory size buys whole vCPUs, and at least one.

    Rounded down: a thread beyond the share of CPU does not compute more, it gets the whole process
    throttled while it spins.
    """
    return max(1, memory_mb // MEMORY_MB_PER_VCPU)


def _library(artifact: Artifact) -> str | None:
    """The library of operators that this version's graphs need, if they need one.

    Raises ``IntegrityError`` where it is not there: a release would have refused, so somebody changed the
    layer since.
    """
    from model_store.contract.extensions import DOMAIN, find_library, needs_extensions

    if not needs_extensions(artifact.manifest.lineage):
        return None
    if (library := find_library(sys.path)) is not None:
        return library
    raise IntegrityError(
        f"{artifact.manifest.ref} uses operators of `{DOMAIN}`, and no layer of this function has them",
        hint='Set `runtime = "text"` for the model in the catalog, and deploy.',
    )


def _session(graph: str, threads: int, providers: Sequence[str], library: str | None) -> ort.InferenceSession:
    options = _options(threads)
    if library is not None:
        options.register_custom_ops_library(library)
    session = ort.InferenceSession(graph, options, providers=list(providers))
    if any(node.type == "tensor(bfloat16)" for node in (*session.get_inputs(), *session.get_outputs())):
        from functions.inference.bfloat16 import Bfloat16Session

        return Bfloat16Session(session)
    return session


def _chain(
    folder: str, threads: int, providers: Sequence[str], library: str | None, memory_mb: int
) -> tuple[Session, list[str]]:
    """The steps that a pipeline names, and the providers that run every graph of it.

    Few artifacts are one, so the others do not import it.
    """
    from model_store.contract.pictures import Pictures, PictureStep
    from model_store.contract.pipeline import Chain, Step, read_steps

    common = list(providers)

    def step(path: str | PictureStep) -> tuple[Step, Session]:
        if isinstance(path, PictureStep):
            from functions.inference.pictures import library as reading

            return Step.of(path), Pictures(path, reading(), memory_mb=memory_mb)
        session = _session(os.path.join(folder, path), threads, providers, library)
        common[:] = [name for name in common if name in session.get_providers()]
        inputs, outputs = session.get_inputs(), session.get_outputs()
        return Step(path, tuple(node.name for node in inputs), tuple(node.name for node in outputs)), session

    with open(os.path.join(folder, PIPELINE_FILE), "rb") as file:
        return Chain([step(path) for path in read_steps(file.read())]), common


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
    if isinstance(error, PictureError):
        return str(error)
    text = str(error).strip()
    node = re.search(_NODE, text)
    status = re.search(_STATUS, text)
    if node is None or status is None:
        return "the model cannot run on these inputs"
    reason = re.sub(_SOURCE_FILE, "", status["status"]).strip().rstrip(".")
    refused = f"the model cannot run on these inputs, its `{node['node']}` step refuses them"
    return f"{refused}: {reason}" if reason else refused
