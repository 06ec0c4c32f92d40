"""Train two classifiers of handwritten digits and export them as ONNX: what the demo publishes.

    python examples/digits/train.py [--out FOLDER]

Version 1 is a softmax regression, version 2 a small convolutional network: a model, and the better
one that replaces it. Both take raw pixels, so whoever calls them needs to know nothing about the
training: input `image`, FP32 [batch, 64], values 0 to 16 as scanned; outputs `label`, INT64 [batch],
and `probabilities`, FP32 [batch, 10].

The data are scikit-learn's copy of the UCI "Optical Recognition of Handwritten Digits" test set:
1797 images of 8 by 8 pixels. The split (60 % to train, 20 % to choose the epoch, 20 % held out) keeps
the share of each digit; the recorded accuracy is measured on the held-out part by onnxruntime, from
the exported file: what is recorded is what is served.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import importlib.metadata
import json
import logging
import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

SPLIT_SEED = 1797
OPSET = 18
BRIGHTEST = 16.0
PARITY = 1e-5
"""How far onnxruntime's probabilities may be from torch's: float32 sums in another order."""


@dataclass(frozen=True)
class Recipe:
    """How one version is made. Changing a number here makes another model: publish it as such."""

    version: int
    what: str
    network: Callable[[], nn.Module]
    seed: int
    epochs: int
    learning_rate: float
    batch_size: int = 64
    weight_decay: float = 1e-4
    shift_pixels: int = 0


@dataclass(frozen=True)
class Digits:
    """Images as rows of 64 raw pixels, and which digit each one shows."""

    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, images: NDArray[np.float64], labels: NDArray[np.int64]) -> Digits:
        return cls(torch.tensor(images, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64))


def softmax_regression() -> nn.Module:
    return nn.Linear(64, 10)


def small_convolutional_network() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 4 * 4, 10),
    )


RECIPES = (
    Recipe(1, "softmax regression", softmax_regression, seed=1, epochs=60, learning_rate=2e-3),
    Recipe(
        2,
        "three 3x3 convolutions and a linear layer, trained on images shifted by up to one pixel",
        small_convolutional_network,
        seed=2,
        epochs=120,
        learning_rate=2e-3,
        shift_pixels=1,
    ),
)


class Classifier(nn.Module):
    """What is exported: raw pixels in, label and probabilities out. Scaling is part of the model."""

    def __init__(self, logits: nn.Module) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        probabilities = torch.softmax(self.logits(image / BRIGHTEST), dim=1)
        return torch.argmax(probabilities, dim=1), probabilities


def split() -> tuple[Digits, Digits, Digits]:
    """Return the training, validation and held-out parts: 60, 20 and 20 %, each digit in proportion."""
    images, labels = load_digits(return_X_y=True)
    rest, held, rest_labels, held_labels = train_test_split(
        images, labels, test_size=0.2, random_state=SPLIT_SEED, stratify=labels
    )
    train, chosen, train_labels, chosen_labels = train_test_split(
        rest, rest_labels, test_size=0.25, random_state=SPLIT_SEED, stratify=rest_labels
    )
    return Digits.of(train, train_labels), Digits.of(chosen, chosen_labels), Digits.of(held, held_labels)


def shifted(images: Tensor, pixels: int) -> Tensor:
    """Move each image by up to ``pixels`` in both directions; what comes in at the edge is blank."""
    padded = nn.functional.pad(images.view(-1, 8, 8), [pixels] * 4)
    offsets = torch.randint(0, 2 * pixels + 1, (len(images), 2))
    window = torch.arange(8)
    rows = (offsets[:, 0, None] + window)[:, :, None]
    columns = (offsets[:, 1, None] + window)[:, None, :]
    return padded[torch.arange(len(images))[:, None, None], rows, columns].flatten(1)


def fit(recipe: Recipe, train: Digits, chosen: Digits) -> tuple[nn.Module, int]:
    """Train by the recipe; return the network as it was in its best epoch, and which one that was.

    Best is the lowest loss on the validation part. The held-out part is not looked at.
    """
    torch.manual_seed(recipe.seed)
    network = recipe.network()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    loss_of = nn.CrossEntropyLoss()
    best: tuple[float, int, dict[str, Any]] = (float("inf"), 0, {})
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        order = torch.randperm(len(train.labels))
        for start in range(0, len(order), recipe.batch_size):
            batch = order[start : start + recipe.batch_size]
            images = train.images[batch]
            if recipe.shift_pixels:
                images = shifted(images, recipe.shift_pixels)
            optimiser.zero_grad()
            loss_of(network(images / BRIGHTEST), train.labels[batch]).backward()
            optimiser.step()
        network.eval()
        with torch.no_grad():
            loss = float(loss_of(network(chosen.images / BRIGHTEST), chosen.labels))
        if loss < best[0]:
            best = (loss, epoch, copy.deepcopy(network.state_dict()))
    network.load_state_dict(best[2])
    return network.eval(), best[1]


def export(model: Classifier, example: Tensor, path: Path) -> None:
    """Write ``model`` as one ONNX file whose batch size the caller chooses."""
    program = torch.onnx.export(
        model,
        (example,),
        input_names=["image"],
        output_names=["label", "probabilities"],
        dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch exported nothing")
    path.parent.mkdir(parents=True, exist_ok=True)
    proto = program.model_proto
    forget_where_it_was_made(proto)
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def forget_where_it_was_made(proto: onnx.ModelProto) -> None:
    """Drop the exporter's notes: stack traces with this machine's paths, in every node."""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    values = (*proto.graph.input, *proto.graph.output, *proto.graph.value_info)
    for noted in (*proto.graph.node, *proto.graph.initializer, *values):
        del noted.metadata_props[:]
        noted.doc_string = ""


def served(path: Path, images: Tensor) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Answer as the inference function will: with onnxruntime, from the file."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    label, probabilities = session.run(["label", "probabilities"], {"image": images.numpy()})
    return label, probabilities


def check_parity(model: Classifier, path: Path, images: Tensor) -> float:
    """Compare torch with onnxruntime on ``images``; return the largest difference of a probability."""
    with torch.no_grad():
        label, probabilities = model(images)
    served_label, served_probabilities = served(path, images)
    difference = float(np.abs(probabilities.numpy() - served_probabilities).max())
    if difference > PARITY or not np.array_equal(label.numpy(), served_label):
        raise RuntimeError(f"onnxruntime differs from torch by {difference} on `{path}`")
    return difference


def make(recipe: Recipe, parts: tuple[Digits, Digits, Digits], out: Path) -> dict[str, Any]:
    """Train, export, check and measure one version; return what is known of it."""
    train, chosen, held_out = parts
    started = time.monotonic()
    network, epoch = fit(recipe, train, chosen)
    model = Classifier(network).eval()
    path = out / f"v{recipe.version}" / "model.onnx"
    export(model, held_out.images[:2], path)
    difference = check_parity(model, path, held_out.images)
    label, _ = served(path, held_out.images)
    correct = int((label == held_out.labels.numpy()).sum())
    print(
        f"version {recipe.version}: {correct} of {len(label)} held-out digits right, "
        f"{path.stat().st_size} bytes, {time.monotonic() - started:.1f} s",
        file=sys.stderr,
    )
    return {
        "what": recipe.what,
        "accuracy": correct / len(label),
        "correct": correct,
        "seed": recipe.seed,
        "epochs": recipe.epochs,
        "best_epoch": epoch,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "parity_max_difference": difference,
        "file": f"v{recipe.version}/model.onnx",
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def write_held_out(held_out: Digits, out: Path) -> None:
    """Keep the held-out part for whoever wants to measure again, and one image as a request."""
    np.savez_compressed(
        out / "held_out.npz",
        image=held_out.images.numpy().astype(np.uint8),
        label=held_out.labels.numpy().astype(np.uint8),
    )
    image = {"name": "image", "datatype": "FP32", "shape": [1, 64], "data": held_out.images[0].tolist()}
    (out / "request.json").write_text(json.dumps({"inputs": [image]}) + "\n", "utf-8")


def write_baseline(train: Digits, out: Path) -> None:
    """Keep the training images for `yard publish --baseline`: what later requests are compared with."""
    np.savez_compressed(out / "baseline.npz", image=train.images.numpy().astype(np.uint8))


def main() -> int:
    parser = argparse.ArgumentParser(description="Train and export the two versions of `digits`.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where to write the files")
    out: Path = parser.parse_args().out
    # The exporter misses torchvision, which is not used here, and uses what torch itself deprecates.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
    # One thread and deterministic kernels: sums in one order, so the same seeds give the same model.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    out.mkdir(parents=True, exist_ok=True)
    parts = split()
    metrics = {
        "model": "digits",
        "data": {
            "name": "scikit-learn digits (UCI Optical Recognition of Handwritten Digits, test set)",
            "split_seed": SPLIT_SEED,
            "train": len(parts[0].labels),
            "validation": len(parts[1].labels),
            "held_out": len(parts[2].labels),
        },
        "measured_by": "onnxruntime, CPUExecutionProvider, on held_out.npz",
        "versions": {str(recipe.version): make(recipe, parts, out) for recipe in RECIPES},
        "opset": OPSET,
        "python": platform.python_version(),
        "packages": {
            name: importlib.metadata.version(name)
            for name in ("numpy", "onnx", "onnxruntime", "onnxscript", "scikit-learn", "torch")
        },
    }
    write_held_out(parts[2], out)
    write_baseline(parts[0], out)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
