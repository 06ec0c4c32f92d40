"""Versions side by side: size, latency measured in one run, and the metric on the test part; and the gate."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from matplotlib.figure import Figure
from onnx import numpy_helper

from training.data.prepared import Prepared
from training.errors import GateError
from training.export.parity import Session
from training.measured import headline, measured

_WARM_UP = 10


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. Milliseconds are of one row on one thread; ``zeros`` is a share of all weights."""

    how: str
    bytes: int
    p50_ms: float
    p95_ms: float
    metrics: dict[str, float]
    zeros: float


def compare(files: Mapping[str, Path], data: Prepared, *, runs: int = 200) -> list[Row]:
    """Measure every file on the same rows. Runs take turns: what else the machine does meets all alike."""
    sessions = {how: Session(path) for how, path in files.items()}
    times: dict[str, list[float]] = {how: [] for how in files}
    for number in range(_WARM_UP + runs):
        row = data.test.inputs[number % len(data.test)][None]
        for how, session in sessions.items():
            began = time.perf_counter()
            session(row)
            if number >= _WARM_UP:
                times[how].append((time.perf_counter() - began) * 1000)
    return [
        Row(
            how,
            path.stat().st_size,
            float(np.percentile(times[how], 50)),
            float(np.percentile(times[how], 95)),
            measured(sessions[how], data.test, data.task),
            zeros(path),
        )
        for how, path in files.items()
    ]


def zeros(path: Path) -> float:
    """The share of the numbers in the file's initialisers that are zero."""
    arrays = [numpy_helper.to_array(weight) for weight in onnx.load(path).graph.initializer]
    count = sum(array.size for array in arrays)
    return 1 - sum(int(np.count_nonzero(array)) for array in arrays) / count if count else 0.0


def loss_of(row: Row, parent: Row, task: str) -> float:
    """How much worse ``row`` is: accuracy lost, or root mean squared error gained, by the parent's."""
    name, more_is_better = headline(task)
    if more_is_better:
        return parent.metrics[name] - row.metrics[name]
    return row.metrics[name] / parent.metrics[name] - 1


def check_gate(row: Row, parent: Row, task: str, *, most: float) -> None:
    """Raise ``GateError`` when ``row`` is worse than ``parent`` by more than ``most``."""
    name, _ = headline(task)
    lost = loss_of(row, parent, task)
    # A hair above: 0.96 - 0.95 is not 0.01 in floating point.
    if lost > most + 1e-9:
        raise GateError(
            f"the {name} of {row.how} is {row.metrics[name]:.4f}, that of {parent.how} "
            f"{parent.metrics[name]:.4f}: worse by {lost:.4f}, and {most:g} is allowed",
            hint="Choose a milder way, or allow more with `--most-loss`.",
        )


def draw_pareto(rows: Sequence[Row], task: str, path: Path, *, title: str) -> None:
    """Draw the metric over the size and over the latency, and join those that nothing beats in both."""
    name, more_is_better = headline(task)
    figure = Figure(figsize=(10, 4), layout="constrained")
    sizes, latencies = figure.subplots(1, 2)
    for axes, of, label in (
        (sizes, [row.bytes / 1000 for row in rows], "kB"),
        (latencies, [row.p50_ms for row in rows], "p50, ms a row"),
    ):
        worth = [row.metrics[name] for row in rows]
        axes.scatter(of, worth, zorder=3)
        for row, x, y in zip(rows, of, worth, strict=True):
            axes.annotate(row.how, (x, y), textcoords="offset points", xytext=(5, 4), fontsize=8)
        best = front(of, worth if more_is_better else [-value for value in worth])
        axes.plot([of[place] for place in best], [worth[place] for place in best], ":", color="grey")
        axes.set(xlabel=label, ylabel=name, title=f"{title}: {name} and {label.split(',')[0]}")
        axes.set_xscale("log")
    part = path.with_suffix(".part")
    figure.savefig(part, format="png", dpi=110)
    part.replace(path)


def front(costs: Sequence[float], worths: Sequence[float]) -> list[int]:
    """The places that no other place beats: cheaper ones are worth less. By cost, cheapest first."""
    best: list[int] = []
    for place in sorted(range(len(costs)), key=lambda place: (costs[place], -worths[place])):
        if not best or worths[place] > worths[best[-1]]:
            best.append(place)
    return best
