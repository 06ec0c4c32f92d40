"""The table, the gate and the picture."""

from pathlib import Path

import pytest
from PIL import Image

from training.errors import GateError
from training.make import Made, Task
from training.optimise.compare import Row, check_gate, compare, draw_pareto, front, loss_of


def row(how: str, worth: float, *, bytes_: int = 100, p50: float = 1.0, name: str = "accuracy") -> Row:
    return Row(how, bytes_, p50, p50 * 2, {name: worth}, 0.0)


def test_the_same_file_twice_is_two_equal_rows_but_for_the_clock(trained: tuple[Task, Made]) -> None:
    task, made = trained
    one, other = compare({"one": made.path, "other": made.path}, task.data, runs=30)
    assert one.metrics == other.metrics
    assert one.metrics["accuracy"] == made.metrics["test_accuracy"]
    assert one.bytes == other.bytes == made.path.stat().st_size
    assert 0 < one.p50_ms <= one.p95_ms


def test_a_loss_up_to_the_bound_passes_and_one_above_is_refused() -> None:
    parent = row("digits:1", 0.96)
    check_gate(row("int8", 0.95), parent, "classification", most=0.01)
    with pytest.raises(GateError, match=r"the accuracy of int4 is 0\.9400, that of digits:1 0\.9600"):
        check_gate(row("int4", 0.94), parent, "classification", most=0.01)


def test_numbers_lose_by_share_of_the_parent_s_error() -> None:
    parent = row("p:1", 2.0, name="rmse")
    assert loss_of(row("int8", 2.1, name="rmse"), parent, "regression") == pytest.approx(0.05)
    check_gate(row("int8", 1.9, name="rmse"), parent, "regression", most=0)


def test_the_front_is_what_nothing_beats_in_both() -> None:
    assert front([3.0, 1.0, 2.0, 4.0], [0.9, 0.5, 0.95, 0.95]) == [1, 2]


def test_the_picture_has_every_row(tmp_path: Path) -> None:
    rows = [row("digits:1", 0.96), row("int8", 0.95, bytes_=40, p50=0.5)]
    draw_pareto(rows, "classification", tmp_path / "pareto.png", title="digits")
    with Image.open(tmp_path / "pareto.png") as picture:
        assert picture.width > 800
