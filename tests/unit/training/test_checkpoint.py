"""Checkpoints: whole or not there, of one training only, and nothing that runs when it is read."""

import pickle
from pathlib import Path

import pytest
import torch

from training import checkpoint
from training.checkpoint import FILE, Checkpoint
from training.errors import FitError


def _one(epoch: int = 3) -> Checkpoint:
    return Checkpoint(
        of="recipe data",
        epoch=epoch,
        step=2,
        weights={"weight": torch.arange(4.0)},
        optimiser={"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        scaler={},
        sums=[1.5, 60.0],
        history=[{"number": 1, "train_loss": 2.0}],
        best_loss=0.25,
        best_epoch=2,
    )


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    checkpoint.write(_one(), tmp_path / "new")
    found = checkpoint.read(tmp_path / "new", of="recipe data")
    assert found is not None
    assert torch.equal(found.weights.pop("weight"), torch.arange(4.0))
    assert (found.epoch, found.step, found.sums, found.best_loss) == (3, 2, [1.5, 60.0], 0.25)
    assert found.optimiser == _one().optimiser


def test_the_newer_one_takes_the_place_of_the_older_and_nothing_else_stays(tmp_path: Path) -> None:
    for epoch in (1, 2):
        checkpoint.write(_one(epoch), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    found = checkpoint.read(tmp_path, of="recipe data")
    assert found
    assert found.epoch == 2


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path, of="recipe data") is None


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    checkpoint.write(_one(), tmp_path)
    with pytest.raises(FitError, match="another recipe or other data"):
        checkpoint.read(tmp_path, of="other data")


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("/nowhere"),))  # type: ignore[return-value]


def test_reading_one_executes_nothing(tmp_path: Path) -> None:
    """Law 12: what executes code when it is loaded is refused."""
    (tmp_path / FILE).write_bytes(pickle.dumps(_Runs(), protocol=2))
    with pytest.raises(FitError, match="cannot be read"):
        checkpoint.read(tmp_path, of="recipe data")
