"""Distillation: the loss is the field's, and a student hears its teacher."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.errors import RecipeError
from training.export.parity import Session
from training.make import Made, Task, make, read_task
from training.measured import measured
from training.optimise.distil import check_same_data, distilled, soft_loss


def test_the_soft_loss_is_the_divergence_at_the_temperature_times_its_square() -> None:
    drawn = torch.Generator().manual_seed(1)
    said, told = torch.randn(5, 3, generator=drawn), torch.randn(5, 3, generator=drawn)
    one, other = functional.softmax(told / 4, 1), functional.softmax(said / 4, 1)
    by_hand = float((one * (one / other).log()).sum() * 16)
    assert float(soft_loss(said, told, 4.0)) == pytest.approx(by_hand, rel=1e-5)
    assert float(soft_loss(told, told, 4.0)) == pytest.approx(0, abs=1e-5)


def test_a_student_of_a_teacher_answers_more_like_it_than_one_that_learned_alone(
    trained: tuple[Task, Made], folder: Path, kept: Path, tmp_path: Path
) -> None:
    task, made = trained
    student = read_task(folder / "small.toml", kept)
    taught = Session(distilled(student, made.path, tmp_path / "taught", soft=1.0))
    alone = Session(make(student, tmp_path / "alone").path)
    rows = task.data.test.inputs
    teacher = Session(made.path)(rows)["probabilities"]

    def distance(session: Session) -> float:
        return float(-(teacher * np.log(session(rows)["probabilities"] + 1e-9)).sum(1).mean())

    assert distance(taught) < distance(alone)


def test_numbers_are_taught_too(task: Callable[..., Task], tmp_path: Path) -> None:
    read = task("perceptron")
    made = make(read, tmp_path / "teacher")
    path = distilled(task("perceptron", ("[16, 8]", "[4]")), made.path, tmp_path / "student")
    assert measured(Session(path), read.data.test, read.data.task)["r2"] > 0.2


def test_a_student_of_other_data_is_refused(task: Callable[..., Task], trained: tuple[Task, Made]) -> None:
    with pytest.raises(RecipeError, match="not those of the version"):
        check_same_data(task("perceptron"), str(trained[0].data.digest))
