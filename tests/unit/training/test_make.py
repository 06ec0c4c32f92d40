"""From a recipe to a folder that can be published."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.errors import RecipeError
from training.export.parity import Session
from training.make import Task, make, read_made

Read = Callable[..., Task]


def test_a_recipe_becomes_a_file_its_metrics_and_its_curves(task: Read, tmp_path: Path) -> None:
    read = task("softmax")
    made = make(read, tmp_path / "out")
    rows = read.data.test
    right = (Session(made.path)(rows.inputs)["label"] == rows.targets).mean()
    assert made.metrics["test_accuracy"] == right > 0.85
    assert made.lineage["data"] == str(read.data.digest)
    assert made.lineage["recipe"] == read.recipe_digest
    assert made.parity.difference < 1e-5
    with Image.open(tmp_path / "out" / "curves.png") as curves:
        assert curves.format == "PNG"
        assert np.asarray(curves.convert("L")).std() > 1
    assert np.load(tmp_path / "out" / "sample.npz")["image"].shape == (4, 64)
    assert read_made(tmp_path / "out") == made


def test_making_it_again_fits_nothing_and_gives_the_same_file(task: Read, tmp_path: Path) -> None:
    first = make(task("softmax"), tmp_path / "out")
    data = first.path.read_bytes()
    heard: list[object] = []
    again = make(task("softmax"), tmp_path / "out", on_epoch=heard.append)
    assert heard == []
    assert again == first
    assert again.path.read_bytes() == data
    make(task("softmax"), tmp_path / "out", on_epoch=heard.append, fresh=True)
    assert len(heard) == 4


def test_numbers_are_made_and_measured_in_their_own_unit(task: Read, tmp_path: Path) -> None:
    made = make(task("perceptron"), tmp_path / "out")
    # The standard deviation of the targets is 77: a model below it knows something.
    assert 30 < made.metrics["test_rmse"] < 70
    assert made.metrics["test_r2"] > 0.2


def test_a_folder_without_a_model_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="holds no model that was made here"):
        read_made(tmp_path)
