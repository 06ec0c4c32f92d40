"""What a file is made of."""

from collections.abc import Callable
from pathlib import Path

from training.export.report import report
from training.make import Task, export_task


def test_operators_weights_and_bytes_are_counted(task: Callable[..., Task], tmp_path: Path) -> None:
    read = task("convolutional")
    export_task(read, read.network().state_dict(), tmp_path / "model.onnx")
    found = report(tmp_path / "model.onnx")
    assert found.operators["Conv"] == 2
    assert found.operators["Gemm"] == 1
    trained = sum(parameter.numel() for parameter in read.network().parameters())
    assert trained <= found.weights["float"] <= trained + 2
    assert found.bytes == (tmp_path / "model.onnx").stat().st_size
    assert found.largest[0][0].endswith("weight")
    assert found.opset == 18
