"""The loop: it learns, stops, refuses to diverge, and comes out the same after a kill."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.unit.training.processes import DIES, fit_in
from training import checkpoint
from training.errors import FitError
from training.fit import Epoch, Fitted, fit, shifted
from training.make import Task

Read = Callable[..., Task]


def fitted(task: Task, folder: Path, heard: list[Epoch] | None = None) -> Fitted:
    on_epoch = heard.append if heard is not None else None
    return fit(task.network(), task.recipe, task.data, folder, of=task.of, on_epoch=on_epoch)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_best_epoch_is_kept_and_every_epoch_is_heard_of(task: Read, tmp_path: Path) -> None:
    heard: list[Epoch] = []
    done = fitted(task("softmax"), tmp_path / "out", heard)
    assert tuple(heard) == done.history
    assert [epoch.number for epoch in heard] == [1, 2, 3, 4]
    assert done.best_epoch == min(heard, key=lambda epoch: epoch.validation_loss).number
    assert heard[-1].score > 0.85
    assert heard[-1].train_loss < heard[0].train_loss / 2


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop", "adagrad"])
def test_every_optimiser_by_name_lowers_the_loss(name: str, task: Read, tmp_path: Path) -> None:
    more = f'optimiser = "{name}"\n' + ("momentum = 0.9\n" if name == "sgd" else "")
    done = fitted(task("softmax", ("learning_rate = 0.01", more + "learning_rate = 0.02")), tmp_path / "out")
    assert done.history[-1].train_loss < done.history[0].train_loss


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_numbers_are_fitted_by_each_loss(loss: str, task: Read, tmp_path: Path) -> None:
    done = fitted(task("perceptron", ("epochs = 30", f'epochs = 30\nloss = "{loss}"')), tmp_path / "out")
    # The score is the mean squared error of targets whose variance is 1: below it, something was learned.
    assert done.history[done.best_epoch - 1].score < 0.7


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_what_single_does(precision: str, task: Read, tmp_path: Path) -> None:
    done = fitted(task("softmax", ("seed = 1", f'seed = 1\nprecision = "{precision}"')), tmp_path / "out")
    assert done.history[-1].score > 0.85


def test_clipped_gradients_move_less(task: Read, tmp_path: Path) -> None:
    def moved(read: Task, folder: str) -> float:
        before = read.network().state_dict()["network.weight"]
        return float((fitted(read, tmp_path / folder).weights["network.weight"] - before).norm())

    free = moved(task("softmax", ("epochs = 4", 'epochs = 1\noptimiser = "sgd"')), "free")
    assert moved(task("softmax", ("seed = 1", "seed = 1\nclip_norm = 0.01")), "clipped") < free / 10


def test_it_stops_when_the_validation_loss_stands_still(task: Read, tmp_path: Path) -> None:
    stopping = "epochs = 300\nearly_stopping = { patience = 2, least = 0.05 }"
    read = task("softmax", ("epochs = 4", stopping))
    done = fitted(read, tmp_path / "out")
    assert done.stopped_early
    assert len(done.history) == done.best_epoch + 2
    # What has stopped stays stopped: asking again fits nothing more.
    assert fitted(read, tmp_path / "out").history == done.history


def test_a_loss_that_is_no_number_ends_it_with_the_remedy(task: Read, tmp_path: Path) -> None:
    wild = task("perceptron", ("learning_rate = 0.01", 'learning_rate = 1e30\noptimiser = "sgd"'))
    with pytest.raises(FitError, match="not a number any more in epoch 1") as refused:
        fitted(wild, tmp_path / "out")
    assert "learning_rate" in str(refused.value.hint)


def test_pictures_move_whole_and_what_comes_in_is_blank() -> None:
    picture = torch.zeros(50, 1, 4, 4)
    picture[:, 0, 1, 1] = 1.0
    moved = shifted(picture.flatten(1), (1, 4, 4), 1, torch.Generator().manual_seed(1)).view(50, 4, 4)
    assert moved.sum((1, 2)).tolist() == [1.0] * 50
    places = {tuple(place) for place in moved.nonzero()[:, 1:].tolist()}
    assert places == {(row, column) for row in (0, 1, 2) for column in (0, 1, 2)}


def test_a_killed_fit_that_goes_on_ends_with_the_same_bits(task: Read, recipes: Path, kept: Path) -> None:
    """kill -9 in the middle of an epoch; dropout and shifted pictures are drawn as if nothing had happened."""
    (recipes / "dies.py").write_text(
        DIES.format(network="convolutional", when='str(self.steps) == os.environ.get("DIES_AT")')
    )
    read = task(
        "convolutional", ('name = "convolutional"', 'file = "dies.py"'), ("epochs = 25", "epochs = 5")
    )
    straight = fitted(read, recipes / "straight")

    # Nine steps an epoch and a checkpoint after every third: it has that of the third step of the third epoch.
    killed = recipes / "killed"
    assert fit_in(recipes / "convolutional.toml", killed, kept, DIES_AT="23") == [-signal.SIGKILL]
    left = checkpoint.read(killed, of=read.of)
    assert left
    assert (left.epoch, left.step) == (2, 3)

    resumed = fitted(read, killed)
    assert resumed.resumed == left.epoch
    assert resumed.history == straight.history
    assert same(resumed.weights, straight.weights)


def test_going_on_with_another_recipe_is_refused(task: Read, tmp_path: Path) -> None:
    fitted(task("softmax"), tmp_path / "out")
    with pytest.raises(FitError, match="another recipe"):
        fitted(task("softmax", ("seed = 1", "seed = 2")), tmp_path / "out")
