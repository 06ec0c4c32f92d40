"""Parity: a file that answers otherwise is refused, whichever of its outputs it is."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from training.errors import ExportError
from training.export.parity import Array, check_parity, samples_of


@pytest.fixture
def doubles(tmp_path: Path) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "doubles",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


GOLDEN = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_the_largest_difference_is_said(doubles: Path) -> None:
    def trained(inputs: Array) -> list[Array]:
        return [inputs * 2 + np.float32(1e-5)]

    found = check_parity(trained, doubles, samples_of(GOLDEN, seed=1), tolerance=1e-4)
    assert found.rows == 4 + 17 + 1
    assert found.difference == pytest.approx(1e-5, rel=0.2)


def test_a_difference_above_the_tolerance_names_output_and_sample(doubles: Path) -> None:
    with pytest.raises(ExportError, match=r"`y` of the exported file differs by 0\.5 on the golden sample"):
        check_parity(lambda x: [2 * x + 0.5], doubles, samples_of(GOLDEN, seed=1), tolerance=1e-4)


def test_a_fault_that_shows_on_one_row_only_is_found(doubles: Path) -> None:
    def trained(inputs: Array) -> list[Array]:
        return [2 * inputs if len(inputs) > 1 else 3 * inputs]

    samples = samples_of(GOLDEN + 1, seed=1)
    with pytest.raises(ExportError, match="single sample"):
        check_parity(trained, doubles, samples, tolerance=1e-4)


def test_another_shape_is_refused(doubles: Path) -> None:
    with pytest.raises(ExportError, match="has the shape"):
        check_parity(lambda x: [x[:, :2]], doubles, samples_of(GOLDEN, seed=1), tolerance=1e-4)


def test_random_rows_lie_where_the_data_do() -> None:
    random = samples_of(GOLDEN, seed=1)["random"]
    assert (random >= GOLDEN.min(0)).all()
    assert (random <= GOLDEN.max(0)).all()
    words = samples_of(np.zeros((4, 6), np.int64), seed=1, whole_numbers_below=50)["random"]
    assert words.dtype == np.int64
    assert 10 < words.max() < 50
