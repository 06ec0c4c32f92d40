"""onnxruntime, on the best that is there: TensorRT, then CUDA, then the processor."""

from __future__ import annotations

from collections.abc import Sequence

import onnxruntime as ort

from functions.inference.artifact import Artifact
from functions.inference.predictor import Predictor
from model_store.contract.errors import IntegrityError

TENSORRT = "TensorrtExecutionProvider"
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"

PREFERENCE = (TENSORRT, CUDA, CPU)


def load(artifact: Artifact, *, threads: int, device: str = "auto") -> Predictor:
    """Load a verified artifact on ``device``: ``auto``, ``cpu`` or ``cuda``.

    onnxruntime falls back to the processor without a word when a GPU does not work. Where a GPU is paid
    for, ``cuda`` makes that an ``IntegrityError`` instead (law 9).
    """
    available = ort.get_available_providers()
    if device != "cpu" and CUDA in available:
        # NVIDIA's libraries lie in Python packages, where the system's linker does not look.
        ort.preload_dlls()
    predictor = Predictor.load(artifact, threads=threads, providers=providers_for(device, available))
    if device == "cuda" and not {TENSORRT, CUDA} & set(predictor.providers):
        raise IntegrityError(
            f"a GPU is asked for, and onnxruntime runs the model on {', '.join(predictor.providers)}",
            hint="Check the driver on the host and that this image is the CUDA one.",
        )
    return predictor


def providers_for(device: str, available: Sequence[str]) -> list[str]:
    """The providers to ask for, best first; the processor is always the last resort."""
    if device == "cpu":
        return [CPU]
    return [name for name in PREFERENCE if name in available or name == CPU]
