"""The example model that the end-to-end tests publish, one request to it, and requests that tell versions apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.crowd import Question
from examples.demo.load import Images
from tests.conftest import ROOT

DIGITS = ROOT / "examples" / "digits"
REQUEST = json.loads((DIGITS / "request.json").read_text())


def telling(files: dict[str, str]) -> list[Question]:
    """Images on which not all versions agree, so that no answer can pass for the other's.

    ``files`` says which of the two example models each version is: ``{"1": "v1", "2": "v2"}``.
    """
    with np.load(DIGITS / "held_out.npz") as file:
        images = Images(file["image"].astype(np.float32), file["label"].astype(np.int64))
    said = {name: _labels(DIGITS / name / "model.onnx", images) for name in set(files.values())}
    return [
        Question(
            json.dumps(images.request(index)).encode(),
            {version: [said[name][index]] for version, name in files.items()},
        )
        for index in range(len(images.pixels))
        if len({labels[index] for labels in said.values()}) > 1
    ]


def _labels(model: Path, images: Images) -> list[int]:
    """What a model says about every image, asked here and not over HTTP."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, {session.get_inputs()[0].name: images.pixels})[names.index("label")]
    return [int(label) for label in found]
