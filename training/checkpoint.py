"""Checkpoints: where training was, so that a killed one goes on and ends as if nothing had happened.

Nothing random is in them. Whatever is drawn (order of rows, dropout, shifted pictures) follows from the
recipe's seed, the epoch, the step and the process's rank.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from training.errors import FitError

FILE = "checkpoint.pt"


@dataclass(slots=True)
class Checkpoint:
    """Training before ``step`` of ``epoch`` (both from 0), and the best epoch's weights so far.

    ``of`` is what is trained: the digests of recipe and data. ``sums`` are the train loss and the rows of the
    epoch so far; ``history`` has one line for each epoch that is over.
    """

    of: str
    epoch: int
    step: int
    weights: dict[str, Any]
    optimiser: dict[str, Any]
    scaler: dict[str, Any]
    sums: list[float]
    history: list[dict[str, float]]
    best_loss: float
    best_epoch: int
    best: dict[str, Any] = field(default_factory=dict)


def write(checkpoint: Checkpoint, folder: Path) -> None:
    """Put it beside the old one and in its place at once: a kill leaves one of the two, whole."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{FILE}.{uuid4().hex}.part"
    try:
        with part.open("wb") as file:
            torch.save(asdict(checkpoint), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / FILE)
    finally:
        part.unlink(missing_ok=True)


def read(folder: Path, *, of: str) -> Checkpoint | None:
    """The checkpoint in ``folder``; ``None`` if there is none.

    Raises ``FitError`` if it is of another recipe or other data, or cannot be read. Loading one executes
    nothing: only tensors, numbers and texts are taken.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        found = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise FitError(
            f"the checkpoint `{path}` cannot be read: {error}", hint="Begin anew with `--fresh`."
        ) from error
    if found.of != of:
        raise FitError(
            f"the checkpoint `{path}` is of another recipe or other data",
            hint="Begin anew with `--fresh`, or choose another folder with `--out`.",
        )
    return found
