"""Optimise a version in several ways, compare them all in one run, publish those that pass the gate."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.fetch import fetch
from model_store.lineage import origins, surroundings
from model_store.ports import ObjectStore
from model_store.publish import Published, publish
from training.errors import GateError, RecipeError
from training.make import Task, read_task
from training.optimise.compare import Row, check_gate, compare
from training.optimise.distil import check_same_data, distilled
from training.optimise.prune import PRUNE, PRUNE_UNITS, pruned, without_units
from training.optimise.quantise import QUANTISED, quantise
from training.optimise.weights import weights_of

DISTIL = "distil"
_SHARE = re.compile(r"0?\.\d+")
_SAMPLE_ROWS = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """The table, the parent first; what was published by way; and what the gate refused, with its reason."""

    parent: Row
    rows: tuple[Row, ...]
    published: dict[str, Published]
    refused: dict[str, GateError]


def check_ways(ways: Sequence[str]) -> None:
    """Refuse a way that does not exist, before anything is fetched or made."""
    for way in ways:
        name, _, value = way.partition("=")
        fine = (
            way in QUANTISED
            or (name in (PRUNE, PRUNE_UNITS) and _SHARE.fullmatch(value))
            or (name == DISTIL and value)
        )
        if not fine:
            raise RecipeError(
                f"`{way}` is no way to optimise a version",
                hint=f"Write {', '.join(QUANTISED)}, prune=0.5, prune-units=0.25 or distil=RECIPE.",
            )


def optimise(
    store: ObjectStore,
    ref: ByVersion,
    recipe: Path,
    ways: Sequence[str],
    folder: Path,
    keep: Path,
    *,
    most_loss: float,
    created_by: str,
    publish_them: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Make ``ref`` smaller in each of ``ways``, publish what loses no more than ``most_loss``.

    ``recipe`` is what the version was trained by: it says which data calibrate, mend and test. Everything
    is made and measured before anything is published. Repeating goes on from what was made.
    Raises ``RecipeError`` when the version was trained on other data.
    """
    check_ways(ways)
    task = read_task(recipe, keep)
    manifest = fetch(store, ref, folder / "parent")
    _must_be_of(manifest, task)
    parent = folder / "parent" / manifest.entry
    files = {str(ref): parent}
    for way in ways:
        say(f"making {ref} {way}")
        files[way] = made_in_a_way(way, task, parent, folder / way.replace("/", "-"), recipe.parent, keep)
    say("comparing them in one run")
    first, *others = compare(files, task.data)
    refused: dict[str, GateError] = {}
    for row in others:
        try:
            check_gate(row, first, task.data.task, most=most_loss)
        except GateError as error:
            refused[row.how] = error
    published: dict[str, Published] = {}
    for row in others:
        if publish_them and row.how not in refused:
            say(f"publishing {ref} {row.how}")
            published[row.how] = _published(store, ref, task, files[row.how], row, recipe, created_by)
    return Outcome(first, tuple(others), published, refused)


def made_in_a_way(way: str, task: Task, parent: Path, folder: Path, beside: Path, keep: Path) -> Path:
    """Make the file at ``parent`` smaller in one way, into ``folder``; recipes are looked for ``beside``."""
    name, _, value = way.partition("=")
    if way in QUANTISED:
        quantise(parent, way, folder / "model.onnx", rows=task.data.train.inputs)
        return folder / "model.onnx"
    if name == PRUNE:
        return pruned(task, weights_of(parent, task), float(value), folder)
    if name == PRUNE_UNITS:
        return without_units(task, weights_of(parent, task), float(value), folder)
    student = read_task(Path(value) if Path(value).is_file() else beside / value, keep)
    check_same_data(student, str(task.data.digest))
    return distilled(student, parent, folder)


def _must_be_of(manifest: Manifest, task: Task) -> None:
    trained_on = manifest.lineage.get("data")
    if trained_on is not None and trained_on != str(task.data.digest):
        raise RecipeError(
            f"{manifest.ref} was trained on {trained_on}, and the recipe's data are {task.data.digest}",
            hint="Name the recipe that it was trained by: other data may test it on what it has seen.",
        )


def _published(
    store: ObjectStore, ref: ByVersion, task: Task, path: Path, row: Row, recipe: Path, created_by: str
) -> Published:
    sample = path.with_name("sample.npz")
    rows: Any = {task.recipe.export.input: task.data.test.inputs[:_SAMPLE_ROWS]}
    np.savez(sample, **rows)
    way, _, value = row.how.partition("=")
    # A path of this machine means nothing to whoever reads the lineage.
    step = f"{way}={Path(value).name}" if way == DISTIL else row.how
    metrics = {f"test_{name}": number for name, number in row.metrics.items()}
    return publish(
        store,
        ref.model,
        path,
        sample=sample,
        metrics={**metrics, "p50_ms": row.p50_ms, "p95_ms": row.p95_ms},
        lineage={
            **surroundings(recipe.parent),
            **origins(store, parent=str(ref), step=step),
            "data": str(task.data.digest),
        },
        created_by=created_by,
    )
