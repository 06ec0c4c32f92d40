"""A page about a version, made before it is published: what it goes by, where it errs, how true its odds are.

One HTML file with its pictures inside. All of it is measured by onnxruntime, from the file, on the test part.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.data.declared import CLASSIFICATION
from training.data.prepared import Part, Prepared
from training.export.parity import Session
from training.measured import answers, headline, labels_of, measured, probabilities_of

Array = NDArray[Any]
REPORT = "report.html"
_ROWS = 500
_SHOWN = 12
_BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about equal odds: their mean odds, the share that was right, and how many there are."""

    odds: float
    right: float
    rows: int


def permutation_importance(session: Session, part: Part, task: str, *, seed: int) -> list[float]:
    """How much worse the headline metric gets when one column is shuffled; at most 500 rows are asked.

    A column whose shuffling changes nothing says 0; equal columns hide each other.
    """
    part = Part(part.inputs[:_ROWS], part.targets[:_ROWS])
    name, more_is_better = headline(task)
    whole = measured(session, part, task)[name]
    drawn = np.random.default_rng(seed)
    found = []
    for column in range(part.inputs.shape[1]):
        shuffled = part.inputs.copy()
        shuffled[:, column] = drawn.permutation(shuffled[:, column])
        worth = measured(session, Part(shuffled, part.targets), task)[name]
        found.append(whole - worth if more_is_better else worth - whole)
    return found


def confusion(labels: Array, targets: Array, classes: int) -> Array:
    """Rows are what is true, columns what was answered."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (targets, labels), 1)
    return counts


def calibration(probabilities: Array, targets: Array) -> tuple[list[Bin], float]:
    """Bins of equal width by the odds of the answer, and the expected calibration error over them."""
    odds = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == targets
    place = np.minimum((odds * _BINS).astype(int), _BINS - 1)
    bins = [
        Bin(float(odds[place == at].mean()), float(right[place == at].mean()), int((place == at).sum()))
        for at in range(_BINS)
        if (place == at).any()
    ]
    error = sum(one.rows * abs(one.odds - one.right) for one in bins) / len(targets)
    return bins, float(error)


def write_report(model: Path, data: Prepared, path: Path, *, title: str, seed: int = 0) -> None:
    """Write the page about the file ``model`` on the test part of ``data``. Safe to repeat: the same page."""
    session = Session(model)
    parts = [_metrics(measured(session, data.test, data.task))]
    importance = permutation_importance(session, data.test, data.task, seed=seed)
    parts.append(_section("What it goes by", _importance(importance, data.columns), _IMPORTANCE))
    given = answers(session, data.test.inputs)
    if data.task == CLASSIFICATION:
        probabilities = probabilities_of(given)
        counts = confusion(labels_of(given, probabilities), data.test.targets, len(data.classes))
        bins, error = calibration(probabilities, data.test.targets)
        parts.append(
            _section("Where it errs", _confusion(counts, data.classes), "Rows are true, columns answered.")
        )
        said = f"Expected calibration error {error:.4f}: how far odds are from the share that is right."
        parts.append(_section("Whether its odds are true", _calibration(bins), said))
    else:
        values = np.asarray(given[session.outputs[0]]).reshape(len(data.test))
        parts.append(
            _section("Answered and true", _answered(values, data.test.targets), "The line is no error.")
        )
    name = html.escape(title)
    body = "\n".join(parts)
    page = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{name}</title>\n'
        "<style>body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto}td,th{padding:.2rem .8rem}"
        "img{max-width:100%}</style>\n"
        f"<h1>{name}</h1><p>{len(data.test)} rows of the test part of <code>{html.escape(data.name)}</code>, "
        f"<code>{data.digest}</code>.</p>\n{body}\n</html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, "utf-8")


_IMPORTANCE = "How much is lost when one column is shuffled. Columns that say the same hide each other."


def _metrics(metrics: dict[str, float]) -> str:
    rows = "".join(f"<tr><td>{html.escape(name)}<td>{value:.4f}" for name, value in metrics.items())
    return f"<table>{rows}</table>"


def _section(title: str, figure: Figure, said: str) -> str:
    buffer = io.BytesIO()
    # No date inside: the same numbers are the same page.
    figure.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    alt = html.escape(title)
    return f'<h2>{alt}</h2><p>{html.escape(said)}</p><img alt="{alt}" src="data:image/png;base64,{data}">'


def _importance(importance: Sequence[float], columns: Sequence[str]) -> Figure:
    words = (
        columns if len(columns) == len(importance) else [f"word {at + 1}" for at in range(len(importance))]
    )
    order = sorted(range(len(importance)), key=lambda at: -importance[at])[:_SHOWN][::-1]
    figure = Figure(figsize=(7, 4), layout="constrained")
    figure.subplots().barh([words[at] for at in order], [importance[at] for at in order])
    return figure


def _confusion(counts: Array, classes: Sequence[str]) -> Figure:
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.log1p(counts), cmap="Blues")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="answered", ylabel="true")
    if len(classes) <= 20:
        for row, column in np.argwhere(counts):
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8)
    return figure


def _calibration(bins: Sequence[Bin]) -> Figure:
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ":", color="grey")
    axes.plot([one.odds for one in bins], [one.right for one in bins], "o-")
    axes.set(xlabel="odds of the answer", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02))
    return figure


def _answered(values: Array, targets: Array) -> Figure:
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    low, high = float(min(values.min(), targets.min())), float(max(values.max(), targets.max()))
    axes.plot([low, high], [low, high], ":", color="grey")
    axes.scatter(targets, values, s=8)
    axes.set(xlabel="true", ylabel="answered")
    return figure
