"""``functions.endpoint.engines.onnx``: on the best that is there, and never on less than was asked for."""

from __future__ import annotations

import onnxruntime as ort
import pytest

from functions.endpoint.engines.onnx import CPU, CUDA, TENSORRT, load, providers_for
from functions.inference.artifact import find_artifact
from model_store.contract.errors import IntegrityError
from tests.unit.functions.conftest import Layer


@pytest.mark.parametrize(
    ("device", "available", "expected"),
    [
        ("auto", [CPU, CUDA, TENSORRT], [TENSORRT, CUDA, CPU]),
        ("auto", [CUDA, CPU], [CUDA, CPU]),
        ("auto", ["AzureExecutionProvider", CPU], [CPU]),
        ("cuda", [], [CPU]),
        ("cpu", [CUDA, CPU], [CPU]),
    ],
)
def test_the_best_provider_comes_first(device: str, available: list[str], expected: list[str]) -> None:
    assert providers_for(device, available) == expected


@pytest.mark.skipif(CUDA in ort.get_available_providers(), reason="this machine's onnxruntime has a GPU")
def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(linear_layer: Layer) -> None:
    """Law 9: what is there is compared with what was asked for."""
    artifact = find_artifact(linear_layer.environ, package=str(linear_layer.package))
    assert artifact is not None
    with pytest.raises(IntegrityError, match="a GPU is asked for"):
        load(artifact, threads=1, device="cuda")
    assert load(artifact, threads=1).providers == (CPU,)
