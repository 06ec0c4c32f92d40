"""The digits model with a step before and one after: pictures in, words out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.digits.steps import WORDS, build
from model_store.adapters.memory import MemoryStore
from model_store.contract.tensors import TensorSpec
from model_store.publish import publish

DIGITS = Path(__file__).parents[4] / "examples" / "digits"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def run(folder: Path) -> Any:
    from model_store.artifact import find_source
    from model_store.onnx_file import open_model

    return open_model(find_source(folder)).session.run


def pictures(scale: int = 1) -> tuple[Any, Any]:
    """The held-out digits as bytes, every pixel ``scale`` times as large."""
    with np.load(DIGITS / "held_out.npz") as file:
        image, label = file["image"].astype(np.float32), file["label"]
    pixels = np.rint(image * 255 / image.max()).astype(np.uint8).reshape(-1, 8, 8)
    return pixels.repeat(scale, axis=1).repeat(scale, axis=2), label


@pytest.mark.parametrize("scale", [1, 4])
def test_pictures_of_any_size_are_read_as_well_as_the_model_s_own_input(run: Any, scale: int) -> None:
    pixels, label = pictures(scale)
    (digit,) = run(["digit"], {"pixels": pixels})
    accuracy = float(np.mean([WORDS.index(word) for word in digit] == label))
    recorded = json.loads((DIGITS / "metrics.json").read_text())["versions"]["1"]["accuracy"]
    assert accuracy >= recorded - 0.02


def test_the_chain_is_published_as_one_model_with_a_golden_sample_of_the_whole(folder: Path) -> None:
    manifest = publish(MemoryStore(), "digits", folder, created_by="tests").manifest
    assert manifest.entry == "pipeline.json"
    assert manifest.inputs == (TensorSpec("pixels", "UINT8", ("batch", "height", "width")),)
    assert [(spec.name, spec.datatype) for spec in manifest.outputs] == [
        ("probabilities", "FP32"),
        ("digit", "BYTES"),
    ]
    (words,) = [tensor.data for tensor in manifest.golden.outputs if tensor.name == "digit"]
    assert set(words) <= set(WORDS)


def test_building_it_twice_is_the_same_artifact(folder: Path, tmp_path: Path) -> None:
    store = MemoryStore()
    first = publish(store, "digits", folder, created_by="tests")
    again = publish(store, "digits", build(tmp_path / "again"), created_by="tests")
    assert (first.created, again.created) == (True, False)
