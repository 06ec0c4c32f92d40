"""Tune: try recipes that differ in a few numbers, stop the hopeless early, write the best one as a recipe.

Trials stand in an SQLite file (Optuna's), so a search that was killed goes on, and several processes share
it. What a trial is judged by is the loss on the validation part; the test part is not looked at.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import optuna
import tomlkit
from matplotlib.figure import Figure
from pydantic import Field, ValidationError, model_validator

from model_store.contract.errors import SwitchyardError
from training.errors import FitError, RecipeError
from training.fit import Epoch, fit
from training.make import Task, read_task
from training.recipe import Recipe
from training.written import Strict, mistakes, read

STUDY = "study.db"
BEST = "best.toml"
PLOT = "trials.png"
_NAME = "tune"
Value = int | float | str | bool


class Range(Strict):
    """What a key may be: a number between two (``log``: on a logarithmic scale), or one of several values."""

    least: float | None = None
    most: float | None = None
    whole: bool = False
    log: bool = False
    one_of: tuple[Value, ...] = ()

    @model_validator(mode="after")
    def _bounds_or_values(self) -> Range:
        bounds = self.least is not None and self.most is not None
        if bounds == bool(self.one_of):
            raise ValueError("write either `least` and `most`, or `one_of`")
        return self

    def suggest(self, trial: optuna.Trial, key: str) -> Value:
        if self.one_of:
            chosen: Any = trial.suggest_categorical(key, list(self.one_of))
            return cast("Value", chosen)
        least, most = float(self.least or 0), float(self.most or 0)
        if self.whole:
            return trial.suggest_int(key, round(least), round(most), log=self.log)
        return trial.suggest_float(key, least, most, log=self.log)


class Search(Strict):
    """The whole of ``tune.toml``. Keys of ``space`` are those of the recipe, with dots."""

    recipe: str
    trials: int = Field(ge=1)
    seed: int = 0
    warm_up: int = Field(default=3, ge=0)
    """Epochs that every trial may have before it is compared with the others."""
    space: dict[str, Range]


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: what it tried, its lowest validation loss, and how it ended (complete, pruned, fail)."""

    number: int
    values: dict[str, Value]
    loss: float | None
    state: str
    epochs: int


@dataclass(frozen=True, slots=True)
class Tuned:
    """Every trial, the best of them, and the recipe that it is."""

    trials: tuple[Trial, ...]
    best: Trial
    recipe: Path


def tune(
    path: Path, folder: Path, keep: Path, *, processes: int = 1, say: Callable[[str], None] = lambda _: None
) -> Tuned:
    """Run the search at ``path`` until it has its trials, and write the best recipe into ``folder``.

    Repeating goes on: trials that are over count, one that was killed is tried anew. Raises ``RecipeError``
    for a key that the recipe does not have and ``FitError`` when no trial came to an end.
    """
    search = read(path, Search)
    base = path.parent / search.recipe
    task = read_task(base, keep)
    varied(task.recipe, {key: _first(one) for key, one in search.space.items()})
    folder.mkdir(parents=True, exist_ok=True)
    study = _study(search, folder)
    for left in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(left.number, state=optuna.trial.TrialState.FAIL)
    if processes > 1:
        _together(path, folder, keep, processes)
    else:
        _search(search, task, study, say)
    trials = _trials(study)
    done = [trial for trial in trials if trial.state == "complete" and trial.loss is not None]
    if not done:
        raise FitError("no trial came to an end", hint="Narrow the ranges, or lower the learning rates.")
    best = min(done, key=lambda trial: (trial.loss, trial.number))
    _write_best(base, best, folder / BEST)
    draw(trials, folder / PLOT)
    return Tuned(trials, best, folder / BEST)


def varied(recipe: Recipe, values: dict[str, Value]) -> Recipe:
    """The recipe with ``values`` at their dotted keys. Raises ``RecipeError`` for what it may not say."""
    body = _with(recipe.as_written(), values)
    try:
        return Recipe.model_validate_json(_json(body))
    except ValidationError as error:
        raise RecipeError(mistakes("space", error), hint="Correct the keys under `[space]`.") from error


def draw(trials: tuple[Trial, ...], path: Path) -> None:
    """Draw every trial's loss in order, the best so far, and the loss over each number that was varied."""
    done = [trial for trial in trials if trial.loss is not None]
    numbers = [
        key
        for key in (done[0].values if done else {})
        if all(isinstance(trial.values[key], int | float) for trial in done)
    ]
    figure = Figure(figsize=(4 * (1 + len(numbers)), 3.4), layout="constrained")
    axes = figure.subplots(1, 1 + len(numbers), squeeze=False)[0]
    losses = [float(trial.loss or 0) for trial in done]
    axes[0].scatter([trial.number for trial in done], losses, c=_colours(done))
    axes[0].plot(
        [trial.number for trial in done], [min(losses[: n + 1]) for n in range(len(losses))], color="grey"
    )
    axes[0].set(title="best so far (pruned: grey)", xlabel="trial", ylabel="validation loss", yscale="log")
    for place, key in enumerate(numbers, 1):
        axes[place].scatter([float(trial.values[key]) for trial in done], losses, c=_colours(done))
        axes[place].set(title=key, yscale="log")
    part = path.with_suffix(".part")
    figure.savefig(part, format="png", dpi=100)
    part.replace(path)


def _search(search: Search, task: Task, study: optuna.Study, say: Callable[[str], None]) -> None:
    over = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)

    def objective(trial: optuna.Trial) -> float:
        values = {key: one.suggest(trial, key) for key, one in search.space.items()}
        say(f"trial {trial.number}: " + ", ".join(f"{key} {_short(value)}" for key, value in values.items()))
        recipe = varied(task.recipe, values)
        one = Task(recipe, task.data, task.folder, str(recipe.digest()))
        best = math.inf

        def heard(epoch: Epoch) -> None:
            nonlocal best
            best = min(best, epoch.validation_loss)
            trial.report(best, epoch.number)
            if trial.should_prune():
                raise optuna.TrialPruned

        fit(one.network(), recipe, task.data, None, of=one.of, on_epoch=heard)
        return best

    if len(study.get_trials(deepcopy=False, states=over)) < search.trials:
        study.optimize(
            objective,
            callbacks=[optuna.study.MaxTrialsCallback(search.trials, states=over)],
            catch=(FitError,),
        )


def _together(path: Path, folder: Path, keep: Path, processes: int) -> None:
    root = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-m", "training.tune", str(path), str(folder), "--keep", str(keep)]
    running = [
        subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"})
        for _ in range(processes)
    ]
    ended = [process.wait() for process in running]
    if any(ended):
        raise FitError(
            f"a process of the search ended with {max(ended)}", hint="The same command goes on with the rest."
        )


def _study(search: Search, folder: Path) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{folder / STUDY}", engine_kwargs={"connect_args": {"timeout": 60}}
    )
    # Each process draws its own: the same seed in all of them would try the same things.
    drawn = search.seed + (os.getpid() if os.environ.get("SWITCHYARD_TUNES_TOGETHER") else 0)
    return optuna.create_study(
        study_name=_NAME,
        storage=storage,
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=drawn % 2**31),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=search.warm_up),
    )


def _trials(study: optuna.Study) -> tuple[Trial, ...]:
    return tuple(
        Trial(
            one.number,
            dict(one.params),
            min(one.intermediate_values.values(), default=None),
            one.state.name.lower(),
            len(one.intermediate_values),
        )
        for one in study.get_trials(deepcopy=False)
    )


def _write_best(base: Path, best: Trial, path: Path) -> None:
    """The recipe as its author wrote it, with the best values in their places; its data where they were."""
    written = tomlkit.parse(base.read_text("utf-8"))
    written["data"] = os.path.relpath(base.parent / str(written["data"]), path.parent)
    for key, value in best.values.items():
        *tables, last = key.split(".")
        at: Any = written
        for table in tables:
            if table not in at:
                at[table] = tomlkit.table()
            at = at[table]
        at[last] = value
    path.write_text(
        f"# Trial {best.number}, validation loss {best.loss:.6f}.\n{tomlkit.dumps(written)}", "utf-8"
    )


def _with(body: dict[str, Any], values: dict[str, Value]) -> dict[str, Any]:
    body = copy.deepcopy(body)
    for key, value in values.items():
        *tables, last = key.split(".")
        at = body
        for table in tables:
            if not isinstance(at.get(table), dict):
                at[table] = {}
            at = at[table]
        at[last] = value
    return body


def _first(one: Range) -> Value:
    if one.one_of:
        return one.one_of[0]
    least = float(one.least or 0)
    return round(least) if one.whole else least


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body)


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _colours(trials: list[Trial]) -> list[str]:
    return ["tab:blue" if trial.state == "complete" else "lightgrey" for trial in trials]


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main() -> int:
    """One process of a search; exit code 1 with one line on stderr for what cannot be done."""
    parser = argparse.ArgumentParser(description="One process of a search.")
    parser.add_argument("path", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", type=Path, required=True)
    given = parser.parse_args()
    os.environ["SWITCHYARD_TUNES_TOGETHER"] = "1"
    try:
        search = read(given.path, Search)
        task = read_task(given.path.parent / search.recipe, given.keep)
        _search(search, task, _study(search, given.folder), _say)
    except SwitchyardError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
