"""One small version of digits, trained once and published to a store of each test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_store.adapters.memory import MemoryStore
from tests.unit.training.conftest import CONVOLUTIONAL, DIGITS
from training.make import Made, Task, make, read_task
from training.publishing import publish_made

SMALL = CONVOLUTIONAL.replace("channels = [8, 8]", "channels = [4]").replace("epochs = 25", "epochs = 6")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipes, the data, and a version that was made from them."""
    folder = tmp_path_factory.mktemp("optimise")
    (folder / "digits.toml").write_text(DIGITS)
    (folder / "recipe.toml").write_text(CONVOLUTIONAL.replace("epochs = 25", "epochs = 12"))
    (folder / "small.toml").write_text(SMALL)
    return folder


@pytest.fixture(scope="session")
def trained(folder: Path, kept: Path) -> tuple[Task, Made]:
    read = read_task(folder / "recipe.toml", kept)
    return read, make(read, folder / "made")


@pytest.fixture
def store(trained: tuple[Task, Made], folder: Path) -> MemoryStore:
    store = MemoryStore()
    publish_made(store, trained[1], created_by="ana", code=folder)
    return store
