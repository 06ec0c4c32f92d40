"""What ``recipe.toml`` may say: the data, the network, how it is fitted, and what the export must hold.

Changing a number here makes another model: the recipe's digest stands in the version's lineage.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from model_store.contract.digest import Digest
from training.written import Strict, read

Value = int | float | bool | str | tuple[int, ...] | tuple[float, ...]
OPTIMISERS = ("sgd", "adam", "adamw", "rmsprop", "adagrad")


class Network(Strict):
    """One of this room's networks by name, or a function ``build(options, data)`` of your own ``file``."""

    name: Literal["linear", "perceptron", "convolutional", "embedding"] | None = None
    file: str | None = None
    options: dict[str, Value] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_both(self) -> Network:
        if (self.name is None) == (self.file is None):
            raise ValueError("write either `name` or `file`")
        return self


class Scaling(Strict):
    """What happens to raw inputs inside the model, so that a caller sends what was measured.

    ``standardise`` subtracts the mean of the train part and divides by its standard deviation.
    """

    divide_by: float = Field(default=1.0, gt=0)
    standardise: bool = False
    standardise_target: bool = False


class Schedule(Strict):
    """How the learning rate moves over all steps, after a ``warmup`` (a share of them)."""

    name: Literal["constant", "cosine", "linear", "step", "exponential"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    every: int = Field(default=10, ge=1)
    """Epochs between two steps of ``step``."""
    factor: float = Field(default=0.1, gt=0, le=1)
    """What ``step`` multiplies by each time, and what is left of the rate at the end of ``exponential``;
    ``cosine`` and ``linear`` end at a hundredth of it."""


class EarlyStopping(Strict):
    """Stop when the validation loss has not fallen by ``least`` for ``patience`` epochs."""

    patience: int = Field(ge=1)
    least: float = Field(default=0.0, ge=0)


class Fit(Strict):
    """The loop. The best epoch is the one with the lowest loss on the validation part."""

    epochs: int = Field(ge=1, le=100_000)
    seed: int = Field(default=0, ge=0)
    batch_size: int = Field(default=64, ge=1)
    loss: Literal["cross_entropy", "mse", "mae", "huber"] | None = None
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    optimiser: Literal["sgd", "adam", "adamw", "rmsprop", "adagrad"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    schedule: Schedule = Schedule()
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    clip_norm: float | None = Field(default=None, gt=0)
    early_stopping: EarlyStopping | None = None
    shift_pixels: int = Field(default=0, ge=0)
    """Move each picture by up to so many pixels; what comes in at the edge is 0. Needs ``image``."""
    image: tuple[int, int, int] | None = None
    """Channels, height, width of the inputs, where they are pictures."""
    checkpoint_steps: int = Field(default=0, ge=0)
    """Steps between checkpoints inside an epoch; 0: at the end of each epoch only."""
    threads: int = Field(default=1, ge=1)
    """Of one process. Another number adds floats in another order."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _pictures_have_a_shape(self) -> Fit:
        if self.shift_pixels and self.image is None:
            raise ValueError("`shift_pixels` needs `image`, the channels, height and width of the inputs")
        return self


class Export(Strict):
    """The ONNX file. ``tolerance``: how far outputs may be from torch's, absolute and relative.

    ``litert`` writes the same model for phones and boards beside it, as far from the ONNX file at most.
    """

    opset: int = Field(default=18, ge=17, le=24)
    tolerance: float = Field(default=1e-4, gt=0)
    input: str = Field(default="inputs", pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")
    litert: bool = False


class Recipe(Strict):
    """The whole of ``recipe.toml``."""

    model: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    data: str
    network: Network
    input: Scaling = Scaling()
    fit: Fit
    export: Export = Export()

    @model_validator(mode="after")
    def _words_have_no_litert_file(self) -> Recipe:
        if self.export.litert and self.network.name == "embedding":
            raise ValueError(
                "`export.litert` is for networks of numbers and pictures; `embedding` reads words"
            )
        return self

    def as_written(self) -> dict[str, Any]:
        """What was written, defaults included, as JSON."""
        return self.model_dump(mode="json")

    def digest(self, network_file: bytes = b"") -> Digest:
        """Names everything that decides the outcome, besides the data: the recipe and its network's code.

        Not the path of the data, which has a digest of its own, and not what only decides how fast it goes or
        what is written beside it.
        """
        said = self.as_written()
        del said["data"], said["export"]["litert"]
        for how in ("checkpoint_steps", "strategy", "device"):
            del said["fit"][how]
        canonical = json.dumps(said, sort_keys=True).encode()
        return Digest(hashlib.sha256(canonical + b"\n" + network_file).hexdigest())


def read_recipe(path: Path) -> Recipe:
    """Read ``recipe.toml``; raises ``RecipeError`` with every mistake in it."""
    return read(path, Recipe)
