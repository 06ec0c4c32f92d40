"""The pipeline: data, train, optimise, evaluate against what is live, publish, release.

The candidate is the trained model, or the smallest of its optimised forms that passes their gate. It is
measured on the same test part, in the same run, as the version that is live; unless it is better by more
than the pipeline says, nothing is published and nothing is released.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from model_store.contract.names import ByVersion
from model_store.fetch import fetch
from model_store.ports import ObjectStore
from training.errors import GateError, RecipeError
from training.export.report import report
from training.fit import Epoch
from training.make import MADE, Made, Task, make, read_task, write_made
from training.measured import headline
from training.optimise.compare import Row, check_gate, compare
from training.optimise.quantise import QUANTISED
from training.optimise.run import check_ways, made_in_a_way
from training.publishing import publish_made
from training.report_page import REPORT, write_report
from training.written import Strict, read

RUN = "run.json"


class Gate(Strict):
    """``most_loss``: what an optimised form may lose against the trained model; ``least_gain``: what the
    candidate must have over the live version, in accuracy, or as a share of its error for numbers."""

    most_loss: float = Field(default=0.01, ge=0)
    least_gain: float = Field(default=0.0, ge=0)


class Pipeline(Strict):
    """The whole of ``pipeline.toml``."""

    recipe: str
    optimise: tuple[str, ...] = ()
    alias: str = "live"
    gate: Gate = Gate()


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run came to: the candidate beside the live version (none before the first release)."""

    candidate: Row
    live: Row | None
    version: str
    released: bool
    report: Path


Release = Callable[[ByVersion], None]


def read_pipeline(path: Path) -> Pipeline:
    """Read ``pipeline.toml``; raises ``RecipeError`` with every mistake in it, also for ways that are
    none."""
    found = read(path, Pipeline)
    check_ways(found.optimise)
    return found


def run(
    path: Path,
    folder: Path,
    keep: Path,
    *,
    store: ObjectStore,
    live: ByVersion | None,
    created_by: str,
    release: Release | None,
    say: Callable[[str], None] = lambda _: None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Ran:
    """Run the pipeline at ``path``. ``live`` is what the alias serves; ``release`` releases a version.

    A run that was killed goes on from its checkpoint; one that is over publishes the same version again,
    which is the version that it is. Raises ``GateError`` when the candidate does not beat ``live``: then
    nothing was published. ``run.json`` in ``folder`` says how far it came.
    """
    pipeline = read_pipeline(path)
    recipe = path.parent / pipeline.recipe
    steps: dict[str, Any] = {}

    def done(step: str, **facts: Any) -> None:
        steps[step] = facts
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RUN).write_text(json.dumps(steps, indent=2) + "\n", "utf-8")

    say("preparing the data")
    task = read_task(recipe, keep)
    if live is not None and live.model != task.recipe.model:
        raise RecipeError(f"the recipe makes `{task.recipe.model}`, and {live} is live")
    done("data", digest=str(task.data.digest), rows=task.data.facts["rows"])
    say("training")
    made = make(task, folder / "trained", on_epoch=on_epoch)
    done("train", metrics=made.metrics)
    candidate, way = _optimised(pipeline, task, made, folder, recipe.parent, keep, say)
    done("optimise", chosen=way)
    say("evaluating against what is live")
    mine, theirs = _evaluated(task, candidate, way, store, live, folder)
    done("evaluate", candidate=asdict(mine), live=asdict(theirs) if theirs else None)
    if theirs is not None:
        check_better(mine, theirs, task.data.task, least=pipeline.gate.least_gain)
    write_report(candidate.path, task.data, folder / REPORT, title=f"{task.recipe.model}, {way}")
    say("publishing")
    published = publish_made(
        store, candidate, created_by=created_by, code=recipe.parent, report=folder / REPORT
    )
    ref = published.manifest.ref
    done("publish", version=str(ref), created=published.created)
    if release is not None:
        say(f"releasing {ref}")
        release(ref)
        done("release", version=str(ref))
    return Ran(mine, theirs, str(ref), release is not None, folder / REPORT)


def check_better(candidate: Row, live: Row, task: str, *, least: float) -> None:
    """Raise ``GateError`` unless the candidate is better than the live version by more than ``least``."""
    name, more_is_better = headline(task)
    mine, theirs = candidate.metrics[name], live.metrics[name]
    gain = mine - theirs if more_is_better else 1 - mine / theirs
    if gain <= least:
        raise GateError(
            f"the {name} of the candidate is {mine:.4f}, that of {live.how} {theirs:.4f} on the same "
            f"test data: better by {gain:.4f}, and more than {least:g} is wanted",
            hint="Train on more or newer data, or lower `gate.least_gain`; what is live stays.",
        )


def _optimised(
    pipeline: Pipeline,
    task: Task,
    made: Made,
    folder: Path,
    beside: Path,
    keep: Path,
    say: Callable[[str], None],
) -> tuple[Made, str]:
    """The smallest form that loses no more than the gate allows; the trained model where none does."""
    files = {"trained": made.path}
    for way in pipeline.optimise:
        say(f"optimising: {way}")
        files[way] = made_in_a_way(way, task, made.path, folder / way.replace("/", "-"), beside, keep)
    rows = compare(files, task.data, runs=50)
    fine = [rows[0]]
    for row in rows[1:]:
        try:
            check_gate(row, rows[0], task.data.task, most=pipeline.gate.most_loss)
        except GateError as error:
            say(str(error))
        else:
            fine.append(row)
    best = min(fine, key=lambda row: row.bytes)
    if best.how == "trained":
        return made, "trained"
    return _as_made(made, best, files[best.how]), best.how


def _as_made(made: Made, row: Row, path: Path) -> Made:
    """An optimised form as something to publish: its own numbers, the trained model's data and recipe."""
    metrics = {f"test_{name}": value for name, value in row.metrics.items()}
    step = row.how if row.how in QUANTISED else row.how.partition("=")[0]
    form = replace(
        made,
        folder=path.parent,
        metrics=metrics,
        lineage={**made.lineage, "step": f"trained, {step}"},
        graph=report(path),
    )
    (path.parent / "sample.npz").write_bytes((made.folder / "sample.npz").read_bytes())
    (path.parent / MADE).unlink(missing_ok=True)
    write_made(form)
    return form


def _evaluated(
    task: Task, candidate: Made, way: str, store: ObjectStore, live: ByVersion | None, folder: Path
) -> tuple[Row, Row | None]:
    files = {way: candidate.path}
    if live is not None:
        manifest = fetch(store, live, folder / f"live-{live.version}")
        files[str(live)] = folder / f"live-{live.version}" / manifest.entry
    rows = compare(files, task.data)
    return rows[0], rows[1] if live is not None else None
