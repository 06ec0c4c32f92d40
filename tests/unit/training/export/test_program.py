"""torch to ONNX: any batch size, one file, nothing of this machine in it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from training.errors import ExportError
from training.export.parity import Session
from training.export.program import export
from training.make import Task, export_task

Read = Callable[..., Task]


def test_the_same_weights_are_the_same_bytes_without_this_machine_in_them(task: Read, tmp_path: Path) -> None:
    read = task("softmax")
    weights = read.network().state_dict()
    for name in ("one", "two"):
        export_task(read, weights, tmp_path / name / "model.onnx")
    data = (tmp_path / "one" / "model.onnx").read_bytes()
    assert data == (tmp_path / "two" / "model.onnx").read_bytes()
    assert b".py" not in data


def test_the_caller_chooses_the_batch_and_the_recipe_the_opset(task: Read, tmp_path: Path) -> None:
    read = task("softmax", ('input = "image"', 'input = "image"\nopset = 20'))
    export_task(read, read.network().state_dict(), tmp_path / "model.onnx")
    session = Session(tmp_path / "model.onnx")
    assert session.input == "image"
    for rows in (1, 3, 40):
        assert session(np.zeros((rows, 64), np.float32))["probabilities"].shape == (rows, 10)
    assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == 20


class _Asks(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs if float(inputs.sum()) > 0 else -inputs


def test_what_depends_on_values_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be exported") as refused:
        export(_Asks(), torch.ones(2, 3), tmp_path / "model.onnx", names=("x", ("y",)), opset=18)
    assert "Replace" in str(refused.value.hint)
    assert not (tmp_path / "model.onnx").exists()
