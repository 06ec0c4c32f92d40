"""The trained weights of a version: found by name in its graph, put back into the recipe's network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from training.errors import RecipeError
from training.make import Task

_PREFIX = "scaled."


def weights_of(path: Path, task: Task) -> dict[str, Any]:
    """Return the state of the recipe's network with the weights that the graph at ``path`` has.

    Raises ``RecipeError`` when a parameter is not in the graph under its name and shape: then the version is
    not of this recipe, or was changed after it was exported (quantised, say).
    """
    found = {
        weight.name.removeprefix(_PREFIX): numpy_helper.to_array(weight)
        for weight in onnx.load(path).graph.initializer
    }
    network = task.network()
    state = network.state_dict()
    for name, parameter in network.named_parameters():
        stored = found.get(name)
        if stored is None or stored.shape != tuple(parameter.shape):
            raise RecipeError(
                f"the version has no weights `{name}` of shape {list(parameter.shape)}",
                hint="Name the recipe that it was trained by, and a version that was not quantised.",
            )
        state[name] = torch.from_numpy(np.array(stored))
    return state
