"""Prune: set small weights to zero, or take whole units away; then fit what is left a little more."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.errors import RecipeError
from training.fit import AfterStep
from training.make import Task, export_task, fit_here
from training.recipe import Recipe

PRUNE, PRUNE_UNITS = "prune", "prune-units"
State = dict[str, Any]


def pruned(task: Task, weights: State, share: float, folder: Path) -> Path:
    """Zero the ``share`` of all weights that are smallest, fit the others again, export; returns the file.

    The file has as many numbers as before: zeros compress, and skip nothing on a processor.
    """
    masks = smallest(weights, share)
    start = {name: value * masks[name] if name in masks else value for name, value in weights.items()}

    def stay_zero(network: nn.Module) -> None:
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name in masks:
                    parameter.mul_(masks[name])

    return _fitted(task, start, f"{PRUNE}={share:g}", folder, stay_zero)


def without_units(task: Task, weights: State, share: float, folder: Path) -> Path:
    """Take the ``share`` of units (or channels) with the smallest weights away, fit, export.

    For networks ``perceptron`` and ``convolutional``; the graph is really smaller and really quicker.
    """
    option = {"perceptron": "hidden", "convolutional": "channels"}.get(task.recipe.network.name or "")
    if option is None:
        raise RecipeError(
            f"units can be taken from `perceptron`, `convolutional`, not from `{task.recipe.network.name}`",
            hint="Use `prune=SHARE`, which sets weights to zero.",
        )
    layers = _layers(weights)
    state = dict(weights)
    counts = []
    for name, following in pairwise(layers):
        matrix: Tensor = state[f"{name}.weight"]
        keep = max(1, round(len(matrix) * (1 - share)))
        kept = matrix.flatten(1).norm(dim=1).topk(keep).indices.sort().values
        state[f"{name}.weight"] = matrix[kept].clone()
        state[f"{name}.bias"] = state[f"{name}.bias"][kept].clone()
        state[f"{following}.weight"] = _inputs_kept(state[f"{following}.weight"], kept, len(matrix))
        counts.append(keep)
    smaller = _with_option(task.recipe, option, tuple(counts))
    # Layers are numbered by their place, which does not change with their size.
    return _fitted(replace(task, recipe=smaller), state, f"{PRUNE_UNITS}={share:g}", folder, None)


def smallest(weights: State, share: float) -> dict[str, Tensor]:
    """Masks that are 0 for the ``share`` of all matrices' weights that are smallest, 1 elsewhere."""
    matrices = {name: value for name, value in weights.items() if name.endswith("weight") and value.ndim > 1}
    sizes = torch.cat([value.abs().flatten() for value in matrices.values()])
    count = round(len(sizes) * share)
    if not count:
        return {name: torch.ones_like(value) for name, value in matrices.items()}
    bound = sizes.kthvalue(count).values
    return {name: (value.abs() > bound).to(value.dtype) for name, value in matrices.items()}


def _fitted(task: Task, start: State, step: str, folder: Path, after: AfterStep | None) -> Path:
    short = replace(task, recipe=_shorter(task.recipe), recipe_digest=f"{task.recipe_digest} {step}")
    fitted = fit_here(short, folder, start=start, after_step=after)
    path = folder / "model.onnx"
    export_task(short, fitted.weights, path)
    return path


def _shorter(recipe: Recipe) -> Recipe:
    """A quarter of the epochs at a third of the rate: enough to mend, too little to forget."""
    fit = recipe.fit.model_copy(
        update={"epochs": max(1, recipe.fit.epochs // 4), "learning_rate": recipe.fit.learning_rate / 3}
    )
    return recipe.model_copy(update={"fit": fit})


def _with_option(recipe: Recipe, name: str, value: tuple[int, ...]) -> Recipe:
    network = recipe.network.model_copy(update={"options": {**recipe.network.options, name: value}})
    return recipe.model_copy(update={"network": network})


def _layers(weights: State) -> list[str]:
    """Names of the layers with a matrix, in the order in which they are asked."""
    return [name.removesuffix(".weight") for name in weights if name.endswith(".weight")]


def _inputs_kept(matrix: Tensor, kept: Tensor, units: int) -> Tensor:
    """The following layer's matrix without the inputs of units that went; a flattened channel has several."""
    each = matrix.shape[1] // units
    grouped = matrix.reshape(len(matrix), units, each, *matrix.shape[2:])
    return grouped[:, kept].reshape(len(matrix), len(kept) * each, *matrix.shape[2:]).clone()
