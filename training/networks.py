"""Networks by name, and the model around one: raw inputs in, answers out, scaling part of the graph."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.data.declared import CLASSIFICATION
from training.data.prepared import Prepared
from training.errors import RecipeError
from training.recipe import Recipe

Options = Mapping[str, Any]


def linear(options: Options, data: Prepared) -> nn.Module:
    """One layer: softmax regression for classes, linear regression for numbers."""
    _only(options)
    return nn.Linear(data.width, outputs_of(data))


def perceptron(options: Options, data: Prepared) -> nn.Module:
    """Layers of ``hidden`` units with ReLU between: [500, 250, 100] on 1000 inputs is 1000-500-250-100-1."""
    _only(options, "hidden", "dropout")
    layers: list[nn.Module] = []
    width = data.width
    for units in options.get("hidden", (64,)):
        layers += [nn.Linear(width, units), nn.ReLU()]
        if options.get("dropout"):
            layers.append(nn.Dropout(options["dropout"]))
        width = units
    return nn.Sequential(*layers, nn.Linear(width, outputs_of(data)))


def convolutional(options: Options, data: Prepared) -> nn.Module:
    """3x3 convolutions of ``channels`` each, one pooling after the second, and a linear layer.

    ``image`` is channels, height and width of an input.
    """
    _only(options, "image", "channels", "dropout")
    depth, height, width = options.get("image", (1, 0, 0))
    if depth * height * width != data.width:
        raise RecipeError(
            f"`network.options.image` is {depth} x {height} x {width}; a row has {data.width} values",
            hint="Write channels, height and width, for example `image = [1, 8, 8]`.",
        )
    layers: list[nn.Module] = [nn.Unflatten(1, (depth, height, width))]
    before = depth
    channels = tuple(options.get("channels", (16, 32, 32)))
    for place, after in enumerate(channels):
        layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU()]
        if place == min(1, len(channels) - 1):
            layers.append(nn.MaxPool2d(2))
        before = after
    flat = before * (height // 2) * (width // 2)
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(options.get("dropout", 0.0)), nn.Linear(flat, outputs_of(data))
    )


class Embedding(nn.Module):
    """Words as vectors, their mean and a linear layer. With ``attention`` each word first looks at all
    and knows its place. 0 is no word and counts for nothing."""

    def __init__(
        self, vocabulary: int, width: int, length: int, outputs: int, *, attention: bool, dropout: float
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width, padding_idx=0)
        # Small: a word that was never trained on should weigh little beside those that were.
        nn.init.normal_(self.words.weight, std=0.02)
        with torch.no_grad():
            self.words.weight[0] = 0
        self.places = nn.Parameter(torch.randn(length, width) * 0.02) if attention else None
        self.looks = nn.Linear(width, 3 * width) if attention else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        there = (tokens != 0).unsqueeze(-1)
        vectors = self.words(tokens)
        if self.looks is not None and self.places is not None:
            vectors = vectors + self.places[: tokens.shape[1]]
            query, key, value = self.looks(vectors).chunk(3, dim=-1)
            scores = query @ key.transpose(1, 2) / key.shape[-1] ** 0.5
            # Not minus infinity: a text without any word would become a row of no numbers.
            seen = torch.softmax(scores.masked_fill(~there.transpose(1, 2), -1e9), dim=-1)
            vectors = vectors + seen @ value
        known = there.to(vectors.dtype)
        mean = (vectors * known).sum(1) / known.sum(1).clamp(min=1)
        answer: Tensor = self.head(self.dropout(mean))
        return answer


def embedding(options: Options, data: Prepared) -> nn.Module:
    """A classifier of texts: ``width`` numbers a word; with ``attention`` their order matters."""
    _only(options, "width", "attention", "dropout")
    if data.vocabulary is None:
        raise RecipeError(
            f"network `embedding` reads words, and `{data.name}` has none",
            hint="Name the column of texts as `columns.text` in data.toml.",
        )
    return Embedding(
        data.vocabulary,
        options.get("width", 32),
        data.width,
        outputs_of(data),
        attention=options.get("attention", False),
        dropout=options.get("dropout", 0.0),
    )


NETWORKS = {
    "linear": linear,
    "perceptron": perceptron,
    "convolutional": convolutional,
    "embedding": embedding,
}


def outputs_of(data: Prepared) -> int:
    """One number for each class, or one number."""
    return len(data.classes) if data.task == CLASSIFICATION else 1


class Scaled(nn.Module):
    """A network with its scaling: raw inputs in, logits (or the scaled number) out. It is what is fitted."""

    def __init__(self, network: nn.Module, recipe: Recipe, data: Prepared) -> None:
        super().__init__()
        self.network = network
        self.divides = not data.vocabulary
        shift, scale = torch.zeros(()), torch.tensor(recipe.input.divide_by)
        if recipe.input.standardise:
            inputs = torch.from_numpy(data.train.inputs)
            shift, scale = inputs.mean(0), inputs.std(0).clamp(min=1e-6)
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)
        self.shift: Tensor
        self.scale: Tensor

    def forward(self, inputs: Tensor) -> Tensor:
        if self.divides:
            inputs = (inputs - self.shift) / self.scale
        answer: Tensor = self.network(inputs)
        return answer


class Classifier(nn.Module):
    """What is exported: which class, and how probable each is."""

    def __init__(self, scaled: Scaled) -> None:
        super().__init__()
        self.scaled = scaled

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        probabilities = torch.softmax(self.scaled(inputs), dim=1)
        return torch.argmax(probabilities, dim=1), probabilities


class Regressor(nn.Module):
    """What is exported: the number, in the target's own unit."""

    def __init__(self, scaled: Scaled, mean: float, deviation: float) -> None:
        super().__init__()
        self.scaled = scaled
        self.mean = mean
        self.deviation = deviation

    def forward(self, inputs: Tensor) -> Tensor:
        value: Tensor = self.scaled(inputs)
        return value.squeeze(1) * self.deviation + self.mean


def build(recipe: Recipe, data: Prepared, folder: Path) -> Scaled:
    """Make the recipe's network, with weights drawn from its seed. ``folder`` holds the recipe.

    Raises ``RecipeError`` for options that the network does not have or that do not fit the data.
    """
    torch.manual_seed(recipe.fit.seed)
    make = NETWORKS[recipe.network.name] if recipe.network.name else _own(recipe, folder)
    return Scaled(make(recipe.network.options, data), recipe, data)


def served(scaled: Scaled, recipe: Recipe, data: Prepared) -> nn.Module:
    """The model that a caller talks to."""
    if data.task == CLASSIFICATION:
        return Classifier(scaled).eval()
    mean, deviation = target_scale(recipe, data)
    return Regressor(scaled, mean, deviation).eval()


def target_scale(recipe: Recipe, data: Prepared) -> tuple[float, float]:
    """Mean and standard deviation of the train part's targets, if they are fitted scaled; else 0 and 1."""
    if data.task == CLASSIFICATION or not recipe.input.standardise_target:
        return 0.0, 1.0
    return float(data.train.targets.mean()), max(float(data.train.targets.std()), 1e-6)


def network_code(recipe: Recipe, folder: Path) -> bytes:
    """The bytes of the recipe's own network file; nothing for a network by name."""
    if recipe.network.file is None:
        return b""
    try:
        return (folder / recipe.network.file).read_bytes()
    except OSError as error:
        raise RecipeError(
            f"`network.file` `{recipe.network.file}` cannot be read: {error.strerror}",
            hint="Write a path relative to the folder of the recipe.",
        ) from error


def _own(recipe: Recipe, folder: Path) -> Any:
    network_code(recipe, folder)
    path = folder / str(recipe.network.file)
    spec = importlib.util.spec_from_file_location(f"switchyard_network_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"`{path.name}` is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, "build", None)):
        raise RecipeError(
            f"`{path.name}` has no function `build`",
            hint="Write `def build(options, data) -> torch.nn.Module`.",
        )
    return module.build


def _only(options: Options, *known: str) -> None:
    for name in options:
        if name not in known:
            raise RecipeError(
                f"`network.options.{name}` means nothing to this network",
                hint=f"It knows {', '.join(f'`{word}`' for word in known) or 'no option'}.",
            )
