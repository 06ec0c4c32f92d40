"""Make a model from a recipe with an estimator: prepare, fit, export, check, measure. The folder is that of
``training.make``, but for curves and a checkpoint: libraries fit in one go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from training.data.declared import CLASSIFICATION
from training.data.prepared import Prepared, prepare
from training.data.sources import OpenBucket
from training.errors import RecipeError
from training.estimators.convert import convert
from training.estimators.libraries import dotted, make_estimator, said_version
from training.estimators.recipe import EstimatorRecipe, read_estimator
from training.export.parity import Session, check_parity, samples_of
from training.export.report import report
from training.make import MODEL, SAMPLE, Made, write_made, write_sample
from training.measured import headline, measured


@dataclass(frozen=True, slots=True)
class EstimatorTask:
    """A recipe with its data, read and ready."""

    recipe: EstimatorRecipe
    data: Prepared


def read_estimator_task(path: Path, keep: Path, *, bucket: OpenBucket | None = None) -> EstimatorTask:
    """Read the recipe at ``path`` and prepare its data, which is kept below ``keep``."""
    recipe = read_estimator(path)
    data = prepare(path.parent / recipe.data, keep, bucket=bucket)
    if data.vocabulary is not None:
        raise RecipeError(
            f"`{data.name}` are texts, and an estimator takes numbers",
            hint="Use the network `embedding`, or columns of numbers.",
        )
    return EstimatorTask(recipe, data)


def make_fitted(task: EstimatorTask, folder: Path) -> Made:
    """Fit, export into ``folder``, hold the file to parity with the library, measure it on the test part.

    Safe to repeat: the same data and packages give the same file. Raises ``RecipeError`` for what the recipe
    cannot mean, ``ExportError`` for what cannot be exported or answers otherwise.
    """
    recipe, data = task.recipe, task.data
    name = dotted(recipe.estimator.name, data.task)
    fitted = make_estimator(recipe.estimator, data.task)
    try:
        # One thread adds in one order: the same data give the same model.
        with threadpool_limits(1):
            fitted.fit(data.train.inputs, data.train.targets)
    except (ValueError, TypeError) as error:
        raise RecipeError(
            f"`{name}` cannot be fitted so: {str(error).strip().splitlines()[0]}",
            hint="Correct `estimator.options`.",
        ) from error
    path = folder / MODEL
    convert(
        fitted,
        name,
        path,
        taken=recipe.export.input,
        width=data.width,
        classes=len(data.classes) if data.task == CLASSIFICATION else 0,
        opset=recipe.export.opset,
    )
    golden = data.test.inputs[:64]
    samples = samples_of(golden, seed=recipe.estimator.seed)
    parity = check_parity(_answers(fitted, data.task), path, samples, tolerance=recipe.export.tolerance)
    session = Session(path)
    metrics = {f"test_{key}": value for key, value in measured(session, data.test, data.task).items()}
    word, _ = headline(data.task)
    metrics[f"validation_{word}"] = measured(session, data.validation, data.task)[word]
    write_sample(recipe.export.input, data, folder / SAMPLE)
    lineage = {
        "data": str(data.digest),
        "recipe": str(recipe.digest()),
        "step": "trained",
        "library": said_version(name),
    }
    made = Made(folder, recipe.model, metrics, lineage, parity, report(path), (), 0, stopped_early=False)
    write_made(made)
    return made


def _answers(fitted: Any, task: str) -> Any:
    def answers(inputs: NDArray[Any]) -> list[NDArray[Any]]:
        if task == CLASSIFICATION:
            odds = fitted.predict_proba(inputs)
            return [np.asarray(fitted.predict(inputs)).astype(np.int64), np.asarray(odds)]
        return [np.asarray(fitted.predict(inputs)).reshape(len(inputs))]

    return answers
