"""Pruning: zeros that stay zero, units that are gone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from training.errors import RecipeError
from training.export.parity import Session
from training.export.report import report
from training.make import Made, Task, fit_here
from training.measured import measured
from training.optimise.compare import zeros
from training.optimise.prune import pruned, smallest, without_units
from training.optimise.weights import weights_of


def test_the_smallest_weights_go_wherever_they_are() -> None:
    weights = {
        "a.weight": torch.tensor([[1.0, 5.0]]),
        "b.weight": torch.tensor([[2.0, 6.0]]),
        "b.bias": torch.ones(1),
    }
    masks = smallest(weights, 0.5)
    assert masks["a.weight"].tolist() == [[0, 1]]
    assert masks["b.weight"].tolist() == [[0, 1]]
    assert "b.bias" not in masks


def test_what_was_zeroed_is_zero_after_fitting_again(trained: tuple[Task, Made], tmp_path: Path) -> None:
    task, made = trained
    path = pruned(task, weights_of(made.path, task), 0.5, tmp_path / "out")
    assert zeros(path) == pytest.approx(0.5, abs=0.02)
    accuracy = measured(Session(path), task.data.test, task.data.task)["accuracy"]
    assert accuracy > made.metrics["test_accuracy"] - 0.05


def test_units_that_are_taken_are_gone_from_the_graph(trained: tuple[Task, Made], tmp_path: Path) -> None:
    task, made = trained
    path = without_units(task, weights_of(made.path, task), 0.5, tmp_path / "out")
    before, after = report(made.path), report(path)
    assert after.parameters < before.parameters * 0.55
    assert measured(Session(path), task.data.test, task.data.task)["accuracy"] > 0.75


def test_taking_units_that_say_nothing_changes_no_answer(
    task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The surgery itself, without the fitting after it: a perceptron half of whose units are silent."""
    read = task("perceptron", ("epochs = 30", "epochs = 2"))
    weights = fit_here(read, tmp_path / "fit").weights
    for layer, units in (("network.0", 8), ("network.2", 4)):
        for kind in ("weight", "bias"):
            weights[f"{layer}.{kind}"][units:] = 0
    whole = read.network(weights)
    seen: list[dict[str, torch.Tensor]] = []

    def caught(task: Task, start: dict[str, torch.Tensor], *_: object) -> Path:
        seen.append(start)
        rows = torch.from_numpy(task.data.test.inputs)
        with torch.no_grad():
            assert np.allclose(task.network(start)(rows), whole(rows), atol=1e-6)
        return tmp_path

    monkeypatch.setattr("training.optimise.prune._fitted", caught)
    without_units(read, weights, 0.5, tmp_path)
    assert seen[0]["network.0.weight"].shape == (8, 10)
    assert seen[0]["network.2.weight"].shape == (4, 8)


def test_units_of_a_network_that_has_none_cannot_be_taken(task: Callable[..., Task], tmp_path: Path) -> None:
    read = task("softmax")
    with pytest.raises(RecipeError, match="not from `linear`"):
        without_units(read, read.network().state_dict(), 0.5, tmp_path)
