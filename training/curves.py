"""The curves of a training, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from training.fit import Epoch


def draw(history: Sequence[Epoch], path: Path, *, title: str, score: str) -> None:
    """Write both losses and the score over the epochs as a PNG; a half-written picture never stands there."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    numbers = [epoch.number for epoch in history]
    losses.plot(numbers, [epoch.train_loss for epoch in history], label="train")
    losses.plot(numbers, [epoch.validation_loss for epoch in history], label="validation")
    losses.set(title=f"{title}: loss", xlabel="epoch")
    losses.legend()
    scores.plot(numbers, [epoch.score for epoch in history], color="tab:green")
    scores.set(title=f"validation: {score}", xlabel="epoch")
    part = path.with_suffix(".part")
    figure.savefig(part, format="png", dpi=110)
    part.replace(path)
