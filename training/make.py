"""Make a model from a recipe: prepare, fit, export, check, measure. What is left is a folder to publish.

===================  ==========================================================================
``model.onnx``       what is served
``made.json``        metrics, history, parity, operators, lineage: what is known of it
``curves.png``       losses and score over the epochs, redrawn while it runs
``model.tflite``     the same for phones and boards, where the recipe says ``export.litert``
``sample.npz``       rows of the test part, for the golden sample
``checkpoint.pt``    where training was, until it is over and as long as the folder stands
===================  ==========================================================================
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training import checkpoint, networks
from training.curves import draw
from training.data.declared import CLASSIFICATION
from training.data.prepared import Prepared, prepare
from training.data.sources import OpenBucket, OpenStage
from training.errors import RecipeError
from training.export.parity import ForEdge, Parity, Session, check_parity, samples_of
from training.export.program import export
from training.export.report import GraphReport, report
from training.fit import AfterStep, Epoch, Fitted, LossOf, fit
from training.measured import measured
from training.networks import Scaled, build, served
from training.recipe import Recipe, read_recipe
from training.workers import Workers

MODEL = "model.onnx"
LITERT = "model.tflite"
MADE = "made.json"
CURVES = "curves.png"
SAMPLE = "sample.npz"
_SAMPLE_ROWS = 4
_PICTURE_SECONDS = 5.0

OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True, slots=True)
class Made:
    """A model that was made and is not published: where it is and what is known of it."""

    folder: Path
    model: str
    metrics: dict[str, float]
    lineage: dict[str, str]
    parity: Parity
    graph: GraphReport
    history: tuple[Epoch, ...]
    best_epoch: int
    stopped_early: bool
    litert: ForEdge | None = None

    @property
    def path(self) -> Path:
        return self.folder / MODEL

    @property
    def litert_path(self) -> Path:
        return self.folder / LITERT


@dataclass(frozen=True, slots=True)
class Task:
    """A recipe with its data, read and ready: what every way of making a model from it begins with."""

    recipe: Recipe
    data: Prepared
    folder: Path
    """The recipe's own, where its network's file is."""
    recipe_digest: str

    @property
    def of(self) -> str:
        """What a checkpoint must be of to be gone on from."""
        return f"{self.recipe_digest} {self.data.digest}"

    @property
    def lineage(self) -> dict[str, str]:
        return {"data": str(self.data.digest), "recipe": self.recipe_digest}

    def network(self, weights: dict[str, Any] | None = None) -> Scaled:
        """The recipe's network, with drawn weights or the given ones."""
        made = build(self.recipe, self.data, self.folder)
        if weights is not None:
            made.load_state_dict(weights)
        return made


def read_task(
    path: Path, keep: Path, *, bucket: OpenBucket | None = None, stage: OpenStage | None = None
) -> Task:
    """Read the recipe at ``path`` and prepare its data, which is kept below ``keep``."""
    recipe = read_recipe(path)
    return task_of(path, prepare(path.parent / recipe.data, keep, bucket=bucket, stage=stage))


def task_of(path: Path, data: Prepared) -> Task:
    """The recipe at ``path`` with data that are prepared already, whatever its own file of data says."""
    recipe = read_recipe(path)
    digest = recipe.digest(networks.network_code(recipe, path.parent))
    return Task(recipe, data, path.parent, str(digest))


def make(
    task: Task, folder: Path, *, on_epoch: OnEpoch | None = None, step: str = "trained", fresh: bool = False
) -> Made:
    """Fit ``task`` in this process and export it into ``folder``. Repeating goes on from the checkpoint."""
    if fresh:
        (folder / checkpoint.FILE).unlink(missing_ok=True)
    fitted = fit_here(task, folder, on_epoch=on_epoch)
    return finish(task, fitted, folder, step=step)


def fit_here(
    task: Task,
    folder: Path,
    *,
    workers: Workers | None = None,
    on_epoch: OnEpoch | None = None,
    start: dict[str, Any] | None = None,
    loss_of: LossOf | None = None,
    after_step: AfterStep | None = None,
) -> Fitted:
    """Fit with this process (and those that ``workers`` names), drawing the curves as it goes."""
    folder.mkdir(parents=True, exist_ok=True)
    seen: list[Epoch] = []
    drawn = 0.0

    def heard(epoch: Epoch) -> None:
        nonlocal drawn
        seen.append(epoch)
        if on_epoch:
            on_epoch(epoch)
        if time.monotonic() - drawn > _PICTURE_SECONDS:
            picture(task, seen, folder)
            drawn = time.monotonic()

    return fit(
        task.network(start),
        task.recipe,
        task.data,
        folder,
        of=task.of,
        workers=workers,
        loss_of=loss_of,
        after_step=after_step,
        on_epoch=heard,
    )


def picture(task: Task, history: list[Epoch] | tuple[Epoch, ...], folder: Path) -> None:
    """Draw the curves of ``history`` into ``folder``."""
    score = "accuracy" if task.data.task == CLASSIFICATION else "mean squared error (scaled)"
    draw(history, folder / CURVES, title=task.recipe.model, score=score)


def finish(task: Task, fitted: Fitted, folder: Path, *, step: str) -> Made:
    """Export what was fitted, hold it to parity, measure it on the test part, write down what is known."""
    path = folder / MODEL
    parity = export_task(task, fitted.weights, path)
    litert = _for_edge(task, path, folder / LITERT)
    test = measured(Session(path), task.data.test, task.data.task)
    best = fitted.history[fitted.best_epoch - 1]
    metrics = {f"test_{name}": value for name, value in test.items()}
    metrics |= {"validation_loss": best.validation_loss, "best_epoch": float(best.number)}
    picture(task, fitted.history, folder)
    write_sample(task.recipe.export.input, task.data, folder / SAMPLE)
    made = Made(
        folder,
        task.recipe.model,
        metrics,
        {**task.lineage, "step": step},
        parity,
        report(path),
        fitted.history,
        fitted.best_epoch,
        fitted.stopped_early,
        litert,
    )
    write_made(made)
    return made


def export_task(task: Task, weights: dict[str, Any], path: Path) -> Parity:
    """Write the recipe's model with ``weights`` as ONNX, and hold it to parity on three samples."""
    model = served(task.network(weights), task.recipe, task.data)
    outputs = ("label", "probabilities") if task.data.task == CLASSIFICATION else ("value",)
    samples = _samples(task)
    names = (task.recipe.export.input, outputs)
    export(model, torch.from_numpy(samples["golden"][:2]), path, names=names, opset=task.recipe.export.opset)

    def trained(inputs: NDArray[Any]) -> list[NDArray[Any]]:
        with torch.no_grad():
            given = model(torch.from_numpy(inputs))
        return [tensor.numpy() for tensor in (given if isinstance(given, tuple) else (given,))]

    return check_parity(trained, path, samples, tolerance=task.recipe.export.tolerance)


def _for_edge(task: Task, model: Path, path: Path) -> ForEdge | None:
    """Write the LiteRT file to ``path`` where the recipe wants one; else no old one stays there."""
    path.unlink(missing_ok=True)
    if not task.recipe.export.litert:
        return None
    # The interpreter is a library of 60 MB, which no other recipe needs.
    from training.export.litert import write_litert

    return write_litert(model, path, _samples(task), tolerance=task.recipe.export.tolerance)


def _samples(task: Task) -> dict[str, NDArray[Any]]:
    golden = task.data.test.inputs[:64]
    return samples_of(golden, seed=task.recipe.fit.seed, whole_numbers_below=task.data.vocabulary)


def write_made(made: Made) -> None:
    """Write ``made.json``."""
    body = {
        "model": made.model,
        "metrics": made.metrics,
        "lineage": made.lineage,
        "parity": asdict(made.parity),
        "graph": made.graph.as_json(),
        "litert": asdict(made.litert) if made.litert else None,
        "best_epoch": made.best_epoch,
        "stopped_early": made.stopped_early,
        "history": [asdict(epoch) for epoch in made.history],
    }
    (made.folder / MADE).write_text(json.dumps(body, indent=2) + "\n", "utf-8")


def read_made(folder: Path) -> Made:
    """Read back what ``finish`` left in ``folder``; raises ``RecipeError`` if that is not there."""
    try:
        body = json.loads((folder / MADE).read_bytes())
        graph = body["graph"]
        return Made(
            folder,
            body["model"],
            body["metrics"],
            body["lineage"],
            Parity(**body["parity"]),
            GraphReport(**{**graph, "largest": tuple((name, size) for name, size in graph["largest"])}),
            tuple(Epoch(**line) for line in body["history"]),
            body["best_epoch"],
            body["stopped_early"],
            _read_for_edge(body.get("litert")),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecipeError(
            f"`{folder}` holds no model that was made here: {error}", hint="Make it with `yard train`."
        ) from error


def _read_for_edge(said: dict[str, Any] | None) -> ForEdge | None:
    return ForEdge(**{**said, "parity": Parity(**said["parity"])}) if said else None


def write_sample(name: str, data: Prepared, path: Path) -> None:
    """Write rows of the test part, for the golden sample, as the input ``name``."""
    rows: Any = {name: data.test.inputs[:_SAMPLE_ROWS]}
    np.savez(path, **rows)
