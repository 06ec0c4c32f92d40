"""The weights of a version, back in the recipe's network."""

from pathlib import Path

import pytest
import torch

from training.errors import RecipeError
from training.make import Made, Task, export_task, read_task
from training.optimise.weights import weights_of


def test_what_was_exported_is_found_again(trained: tuple[Task, Made], tmp_path: Path) -> None:
    task, made = trained
    weights = weights_of(made.path, task)
    export_task(task, weights, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == made.path.read_bytes()
    assert all(isinstance(value, torch.Tensor) for value in weights.values())


def test_another_recipe_s_network_is_not_filled(trained: tuple[Task, Made], folder: Path, kept: Path) -> None:
    with pytest.raises(RecipeError, match="the version has no weights"):
        weights_of(trained[1].path, read_task(folder / "small.toml", kept))
