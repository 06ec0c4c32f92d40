"""Small real data and recipes that are fitted in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from training.make import Task, read_task

DIGITS = """
name = "digits"
task = "classification"
[source]
kind = "sklearn"
set = "digits"
[columns]
features = ["pixel_*"]
target = "target"
[split]
seed = 1797
stratify = true
"""

DIABETES = """
name = "diabetes"
task = "regression"
[source]
kind = "sklearn"
set = "diabetes"
[columns]
features = ["feature_*"]
target = "target"
"""

SOFTMAX = """
model = "digits"
data = "digits.toml"
[network]
name = "linear"
[input]
divide_by = 16
[fit]
epochs = 4
seed = 1
learning_rate = 0.01
[export]
input = "image"
"""

CONVOLUTIONAL = """
model = "digits"
data = "digits.toml"
[network]
name = "convolutional"
options = { image = [1, 8, 8], channels = [8, 8], dropout = 0.2 }
[input]
divide_by = 16
[fit]
epochs = 25
seed = 2
batch_size = 128
learning_rate = 2e-3
shift_pixels = 1
image = [1, 8, 8]
checkpoint_steps = 3
"""

PERCEPTRON = """
model = "diabetes"
data = "diabetes.toml"
[network]
name = "perceptron"
options = { hidden = [16, 8] }
[input]
standardise = true
standardise_target = true
[fit]
epochs = 30
seed = 3
learning_rate = 0.01
[fit.schedule]
name = "cosine"
warmup = 0.1
"""


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where prepared data are kept for all tests."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """A folder with the data and recipes above."""
    for name, text in (
        ("digits.toml", DIGITS),
        ("diabetes.toml", DIABETES),
        ("softmax.toml", SOFTMAX),
        ("convolutional.toml", CONVOLUTIONAL),
        ("perceptron.toml", PERCEPTRON),
    ):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def task(recipes: Path, kept: Path) -> Callable[..., Task]:
    """Read a recipe of the folder, with ``old`` replaced by ``new``."""

    def read(name: str, *changes: tuple[str, str]) -> Task:
        path = recipes / f"{name}.toml"
        text = path.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return read_task(path, kept)

    return read
