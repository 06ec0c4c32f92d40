"""Run a model here as a function would, and write down what it takes.

One process of its own for each number of threads, so that memory is that model's and not everybody's. The
processes run one after another: each has the machine to itself as far as this module can see to it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model_store.contract.errors import SwitchyardError
from model_store.contract.manifest import Manifest
from model_store.contract.tensors import TensorSpec

BATCHES = (1, 2, 4, 8, 16, 32)

Progress = Callable[[str], None]


class MeasureError(SwitchyardError):
    """The model could not be measured here."""


@dataclass(frozen=True, slots=True)
class Run:
    """``batch`` rows at once on ``threads`` threads, over ``runs`` runs.

    Milliseconds: ``p50_ms`` and ``p95_ms`` by the clock, ``cpu_ms`` of processor time of one run.
    """

    threads: int
    batch: int
    runs: int
    p50_ms: float
    p95_ms: float
    cpu_ms: float

    @property
    def rows_per_s(self) -> float:
        return self.batch * 1000 / self.p50_ms


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model took on this machine.

    ``start_ms`` from the beginning of loading (its hashes included) to the first answer, ``memory_mb`` the
    most that the process ever held, Python and onnxruntime included. ``rows`` says whether requests can be
    joined.
    """

    runs: tuple[Run, ...]
    start_ms: float
    memory_mb: float
    rows: bool
    cores: int

    def run(self, *, threads: int, batch: int = 1) -> Run:
        """The run on the most threads that were tried and are no more than ``threads``."""
        fitting = [run for run in self.runs if run.batch == batch and run.threads <= max(1, threads)]
        return max(fitting, key=lambda run: run.threads)

    def best_batch(self, limit_ms: float | None) -> Run:
        """The run with the least processor time per row whose 95th percentile stays below ``limit_ms``."""
        alone = [run for run in self.runs if run.threads == 1]
        fitting = [run for run in alone if limit_ms is None or run.p95_ms <= limit_ms]
        return min(fitting or alone[:1], key=lambda run: run.cpu_ms / run.batch)

    def as_json(self) -> dict[str, Any]:
        return {
            "cores": self.cores,
            "start_ms": round(self.start_ms, 1),
            "memory_mb": round(self.memory_mb, 1),
            "rows_can_be_joined": self.rows,
            "runs": [
                {**asdict(run), "rows_per_s": round(run.rows_per_s, 1)}
                | {name: round(getattr(run, name), 4) for name in ("p50_ms", "p95_ms", "cpu_ms")}
                for run in self.runs
            ],
        }


def takes_rows(inputs: Sequence[TensorSpec]) -> bool:
    """Whether the caller chooses the first dimension of every input, so that rows can be joined."""
    return bool(inputs) and all(spec.shape and isinstance(spec.shape[0], str) for spec in inputs)


def measure(
    package: Path,
    manifest: Manifest,
    *,
    seconds: float = 0.5,
    batches: Sequence[int] = BATCHES,
    cores: int | None = None,
    on_progress: Progress | None = None,
) -> Measured:
    """Measure the version whose files lie in ``package``, as a model layer holds them.

    Takes about ``seconds`` for each batch and number of threads (1, 2, 4 … up to the cores of this machine).
    Raises ``MeasureError`` when the version has no golden sample, or cannot be run.
    """
    if not manifest.golden.is_there:
        raise MeasureError(
            f"{manifest.ref} has no golden sample, so there is nothing to run it on",
            hint="Publish it with `--sample FILE`.",
        )
    cores = cores or _cores()
    rows = takes_rows(manifest.inputs)
    wanted = sorted(set(batches)) if rows else [1]
    runs: list[Run] = []
    start_ms = memory_mb = 0.0
    for threads in _powers_of_two(cores):
        if on_progress:
            on_progress(f"{manifest.ref} on {threads} thread{'s' if threads > 1 else ''}")
        # More threads than rows of work help nobody: batches are tried on one thread, and alone on several.
        found = _in_a_process(package, threads, wanted if threads == 1 else [1], seconds)
        runs += [Run(**run) for run in found["runs"]]
        if threads == 1:
            start_ms, memory_mb = found["start_ms"], found["memory_mb"]
        memory_mb = max(memory_mb, found["memory_mb"])
    return Measured(tuple(runs), start_ms, memory_mb, rows, cores)


def _cores() -> int:
    """The cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _powers_of_two(most: int) -> list[int]:
    found = [1]
    while found[-1] * 2 <= most:
        found.append(found[-1] * 2)
    return found


def _in_a_process(package: Path, threads: int, batches: Sequence[int], seconds: float) -> dict[str, Any]:
    asked = json.dumps(
        {"package": str(package), "threads": threads, "batches": list(batches), "seconds": seconds}
    )
    done = subprocess.run(
        [sys.executable, "-m", "planning.process", asked], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise MeasureError(f"the model cannot be run here: {last}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
