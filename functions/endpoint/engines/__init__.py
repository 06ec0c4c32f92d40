"""What runs a model. One module per engine, imported only where it is asked for.

An engine is ``functions.inference.predictor.Engine``. Its laws, checked for every engine in
``tests/contract/test_engines.py``:

* it gives the wanted outputs, in the wanted order, as arrays of the manifest's datatypes;
* it may be called from several threads at once, and each call gets its own answer;
* what the model refuses is ``BadInputError``, and the next call is not touched by it;
* a run that is told to stop ends early with ``BadInputError`` (not TorchScript and compiled packages, which
  nothing can interrupt; their callers are told in time all the same);
* no file is read before it is verified (law 2).
"""

from __future__ import annotations

from functions.endpoint.settings import Settings
from functions.inference.artifact import Artifact
from functions.inference.predictor import Engine
from model_store.contract.errors import IntegrityError
from model_store.contract.kinds import ONNX, RUNS_ON


def engine_of(kind: str, engine: str) -> str:
    """Which engine runs a kind of artifact. Raises ``IntegrityError`` where ``engine`` asks for another."""
    if kind not in RUNS_ON["sagemaker"]:
        raise IntegrityError(
            f"a {kind} artifact executes code when it is loaded, and is not served",
            hint="Export the model to ONNX or with `torch.export`, and publish that.",
        )
    found = "onnxruntime" if kind == ONNX else "torch"
    if engine not in ("auto", found):
        raise IntegrityError(
            f"`SWITCHYARD_ENGINE` is `{engine}`, and a {kind} artifact runs on {found}",
            hint="Leave `SWITCHYARD_ENGINE` out: the engine follows from the artifact.",
        )
    return found


def load_engine(artifact: Artifact, settings: Settings) -> Engine:
    """Load the model with the engine that its kind wants. Takes as long as it takes."""
    if engine_of(artifact.manifest.kind, settings.engine) == "onnxruntime":
        from functions.endpoint.engines import onnx

        return onnx.load(artifact, threads=settings.threads, device=settings.device)
    try:
        from functions.endpoint.engines import torch
    except ModuleNotFoundError as error:
        raise IntegrityError(
            f"a {artifact.manifest.kind} artifact needs torch, which this image does not have",
            hint="Build the image with `--build-arg ENGINE=torch`.",
        ) from error
    return torch.load(
        artifact,
        threads=settings.threads,
        device=settings.device,
        autocast=settings.autocast,
        cuda_graphs=settings.cuda_graphs,
        lanes=settings.workers or 1,
    )
