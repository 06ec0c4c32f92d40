"""One process of a fit, as torchrun and SageMaker start it: ``python -m training RECIPE OUT``.

Fits and leaves the checkpoint in OUT. With ``--finish`` the process that writes also exports and measures,
where nobody else will.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model_store.contract.errors import SwitchyardError
from training.data.prepared import load
from training.fit import Epoch
from training.make import finish, fit_here, read_task, task_of
from training.workers import joined


def main() -> int:
    """Fit this process's share; exit code 1 with one line on stderr for what cannot be done."""
    parser = argparse.ArgumentParser(description="One process of a fit.")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--keep", type=Path, default=None, help="where prepared data are kept")
    parser.add_argument("--data", type=Path, default=None, help="a prepared set, in place of the recipe's")
    parser.add_argument(
        "--checkpoints", type=Path, default=None, help="where the checkpoint goes, by default OUT"
    )
    parser.add_argument("--finish", action="store_true", help="export and measure when it is over")
    given = parser.parse_args()
    try:
        if given.data:
            task = task_of(given.recipe, load(given.data))
        else:
            task = read_task(given.recipe, given.keep or given.out / ".data")
        with joined(task.recipe.fit.device) as workers:
            fitted = fit_here(task, given.checkpoints or given.out, workers=workers, on_epoch=_say)
            if given.finish and workers.writes:
                finish(task, fitted, given.out, step="trained")
    except SwitchyardError as error:
        sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return 1
    return 0


def _say(epoch: Epoch) -> None:
    sys.stderr.write(
        f"epoch {epoch.number}: train {epoch.train_loss:.6f} validation {epoch.validation_loss:.6f} "
        f"score {epoch.score:.4f}\n"
    )
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
