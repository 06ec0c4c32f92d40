"""The picture of the rollback: which version answered when, and when which command ran."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

from examples.demo.load import Answered

mpl.use("Agg")
from matplotlib import pyplot as plt

BIN_S = 0.1
INK = "#222222"
COLOURS = {"1": "#3b6fb6", "2": "#d9822b"}
HATCHES = {"1": "", "2": "////"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command that ran during the load: its words, start and end (seconds, monotonic)."""

    words: str
    start: float
    end: float


def draw(answers: list[Answered], commands: list[Command], path: Path) -> None:
    """Write the timeline as a PNG: answers per second by version, failures, and the commands' spans."""
    zero = min(answer.at for answer in answers)
    end = max(answer.at for answer in answers) - zero
    edges = np.arange(0, end + BIN_S, BIN_S)
    figure, axes = plt.subplots(figsize=(9.6, 4.0), dpi=120)
    stacked = np.zeros(len(edges) - 1)
    for version in sorted({answer.version for answer in answers if answer.status == 200}):
        times = [a.at - zero for a in answers if a.status == 200 and a.version == version]
        rate = np.histogram(times, bins=edges)[0] / BIN_S
        axes.bar(
            edges[:-1],
            rate,
            width=BIN_S,
            align="edge",
            bottom=stacked,
            color=COLOURS.get(version, "#777777"),
            hatch=HATCHES.get(version, ".."),
            edgecolor="white",
            linewidth=0.3,
            label=f"answered by digits:{version}",
        )
        stacked += rate
    failed = [a.at - zero for a in answers if a.status != 200]
    axes.scatter(
        failed, [0] * len(failed), marker="x", color="#b00020", zorder=3, label=f"failed: {len(failed)}"
    )
    top = float(stacked.max()) if len(stacked) else 1.0
    for height, command in enumerate(commands):
        start, stop = command.start - zero, command.end - zero
        level = top * (1.12 + 0.13 * (height % 2))
        axes.annotate(
            "", xy=(stop, level), xytext=(start, level), arrowprops={"arrowstyle": "|-|", "color": INK}
        )
        axes.text(
            (start + stop) / 2, level + top * 0.025, command.words, ha="center", va="bottom", fontsize=9
        )
        axes.axvline(stop, color=INK, linewidth=0.8, linestyle=":")
    axes.set_ylim(0, top * 1.42)
    axes.set_xlim(0, end)
    axes.set_xlabel("seconds since the load began (dotted: a command returned)")
    axes.set_ylabel("answers per second")
    axes.set_title("A release and a rollback under load: who answered when", loc="left", fontsize=11)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)
