"""Fit on several processes of this machine: torchrun starts them, and starts them anew when one dies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from training.errors import FitError
from training.fit import Fitted
from training.make import Task, fit_here


def fit_together(
    task: Task,
    recipe: Path,
    folder: Path,
    keep: Path,
    *,
    processes: int,
    restarts: int = 3,
    data: Path | None = None,
) -> Fitted:
    """Fit the recipe at ``recipe`` on ``processes`` processes and return what they came to.

    ``data`` is a prepared set to take in place of what the recipe names.

    When one of them dies, all are started again from the last checkpoint, ``restarts`` times at most; then
    ``FitError``. What they say goes to this process's stderr.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [
            *torchrun(processes, restarts=restarts),
            *(str(recipe), str(folder), "--keep", str(keep)),
            *(("--data", str(data)) if data else ()),
        ],
        env={**os.environ, "PYTHONPATH": _path(), "OMP_NUM_THREADS": str(task.recipe.fit.threads)},
        stdout=sys.stderr.fileno() if _has_descriptor() else subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        raise FitError(
            f"the {processes} processes ended with {done.returncode}",
            hint="Read what they said above; the same command goes on from the last checkpoint.",
        )
    # The last checkpoint holds everything: going on from it fits nothing more.
    return fit_here(task, folder)


def torchrun(processes: int, *, restarts: int) -> list[str]:
    """The command that starts ``processes`` workers of this room on this machine, on a free port."""
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", str(processes), "--max-restarts", str(restarts)),
        *("-m", "training"),
    ]


def _path() -> str:
    """Where this package is found, whatever folder the workers start in."""
    root = str(Path(__file__).resolve().parents[1])
    before = os.environ.get("PYTHONPATH")
    return f"{root}{os.pathsep}{before}" if before else root


def _has_descriptor() -> bool:
    try:
        sys.stderr.fileno()
    except (OSError, ValueError):
        return False
    return True
