"""The steps of a pipeline, each from folders to a folder: the same code in one process and in jobs.

A step reads what earlier steps left below ``done``, by their names, writes into ``out``, and returns its
facts, which stand in ``facts.json`` afterwards. Which steps there are and what each is given says
``model_store.contract.training``; those that AWS's operations function carries out are not here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from model_store.contract.names import ByVersion
from model_store.contract.training import FACTS
from model_store.fetch import fetch
from model_store.ports import ObjectStore
from training.data.prepared import Prepared, facts_of_step, load, prepare
from training.errors import GateError, RecipeError
from training.export.report import report
from training.fit import Epoch
from training.launch import fit_together
from training.make import MODEL, SAMPLE, Made, Task, finish, fit_here, read_made, task_of, write_made
from training.measured import headline
from training.optimise.compare import Row, check_gate, compare
from training.optimise.quantise import QUANTISED
from training.optimise.run import check_ways, made_in_a_way
from training.publishing import publish_made
from training.recipe import read_recipe
from training.report_page import REPORT, write_report
from training.written import Strict, read

CHOSEN = "chosen"
TRAINED = "trained"

Facts = dict[str, Any]


class Gate(Strict):
    """``most_loss``: what an optimised form may lose against the trained model; ``least_gain``: what the
    candidate must have over the live version, in accuracy, or as a share of its error for numbers."""

    most_loss: float = Field(default=0.01, ge=0)
    least_gain: float = Field(default=0.0, ge=0)


class Shift(Strict):
    """How the calls move to it: in ``steps``, percentages, each looked at before the next; none: at once.

    The words are those of ``yard release --shift``. A first release is always at once: there is nothing to
    shift from.
    """

    steps: tuple[float, ...] = (5.0, 25.0, 50.0)
    bake_s: float = Field(default=120.0, ge=1)
    hold_s: float = Field(default=1800.0, ge=1)
    min_requests: int = Field(default=30, ge=1)


class Pipeline(Strict):
    """The whole of ``pipeline.toml``."""

    recipe: str
    optimise: tuple[str, ...] = ()
    alias: str = "live"
    gate: Gate = Gate()
    shift: Shift = Shift()


def read_pipeline(path: Path) -> Pipeline:
    """Read ``pipeline.toml``; raises ``RecipeError`` with every mistake, also for ways that are none."""
    found = read(path, Pipeline)
    check_ways(found.optimise)
    return found


@dataclass(frozen=True, slots=True)
class Work:
    """What a step is given.

    ``path`` is the ``pipeline.toml``, ``done`` holds the folders of the steps before, ``out`` is its own, and
    ``keep`` is for what may be lost. ``live`` is what the alias serves. Training goes on from
    ``checkpoints``, by default a folder of its own in ``out``.
    """

    path: Path
    done: Path
    out: Path
    keep: Path
    store: ObjectStore | None = None
    live: ByVersion | None = None
    created_by: str = ""
    sign: Callable[[ByVersion], object] | None = None
    checkpoints: Path | None = None
    processes: int = 1
    say: Callable[[str], None] = field(default=lambda _: None)
    on_epoch: Callable[[Epoch], None] | None = None

    @property
    def pipeline(self) -> Pipeline:
        return read_pipeline(self.path)

    @property
    def recipe(self) -> Path:
        return self.path.parent / self.pipeline.recipe

    def facts(self, step: str) -> Facts:
        """What an earlier step came to."""
        try:
            found: Facts = json.loads((self.done / step / FACTS).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RecipeError(
                f"the step `{step}` left nothing in `{self.done}`: {error}",
                hint="Run the steps before first.",
            ) from error
        return found

    def data(self) -> Prepared:
        return load(self.done / "data" / self.facts("data")["folder"])

    def task(self) -> Task:
        return task_of(self.recipe, self.data())


def do(step: str, work: Work) -> Facts:
    """Carry out ``step`` and write down what it came to. A repeated one writes the same again.

    A killed one of training goes on from its checkpoint; of any other nothing is left that counts, since
    ``facts.json`` is written last.
    """
    work.out.mkdir(parents=True, exist_ok=True)
    (work.out / FACTS).unlink(missing_ok=True)
    facts = DO[step](work)
    (work.out / FACTS).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    return facts


def _data(work: Work) -> Facts:
    recipe = read_recipe(work.recipe)
    prepared = prepare(work.recipe.parent / recipe.data, work.out)
    return facts_of_step(recipe.model, prepared)


def _train(work: Work) -> Facts:
    task = work.task()
    # Another recipe or other data are another training, which no old checkpoint is in the way of.
    of = hashlib.sha256(task.of.encode()).hexdigest()[:12]
    checkpoints = work.checkpoints or work.out / "checkpoints" / of
    if work.processes > 1:
        data = work.done / "data" / work.facts("data")["folder"]
        fitted = fit_together(task, work.recipe, checkpoints, work.keep, processes=work.processes, data=data)
    else:
        fitted = fit_here(task, checkpoints, on_epoch=work.on_epoch)
    made = finish(task, fitted, work.out, step=TRAINED)
    return {"metrics": made.metrics}


def _optimise(work: Work) -> Facts:
    """Keep the smallest form that loses no more than the gate allows; the trained model where none does."""
    pipeline, task, made = work.pipeline, work.task(), read_made(work.done / "train")
    files = {TRAINED: made.path}
    for way in pipeline.optimise:
        work.say(f"optimising: {way}")
        folder = work.out / way.replace("/", "-")
        files[way] = made_in_a_way(way, task, made.path, folder, work.recipe.parent, work.keep)
    rows = compare(files, task.data, runs=50)
    fine = [rows[0]]
    for row in rows[1:]:
        try:
            check_gate(row, rows[0], task.data.task, most=pipeline.gate.most_loss)
        except GateError as error:
            work.say(str(error))
        else:
            fine.append(row)
    best = min(fine, key=lambda row: row.bytes)
    _keep(made, best, files[best.how], work.out / CHOSEN)
    return {"chosen": best.how, "rows": [asdict(row) for row in rows]}


def _keep(made: Made, row: Row, path: Path, folder: Path) -> None:
    """Lay the chosen form down as something to publish, with its own numbers if it is an optimised one."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / MODEL)
    shutil.copyfile(made.folder / SAMPLE, folder / SAMPLE)
    form = replace(made, folder=folder)
    if made.litert and row.how == TRAINED:
        shutil.copyfile(made.litert_path, form.litert_path)
    if row.how != TRAINED:
        step = row.how if row.how in QUANTISED else row.how.partition("=")[0]
        form = replace(
            form,
            metrics={f"test_{name}": value for name, value in row.metrics.items()},
            lineage={**made.lineage, "step": f"{TRAINED}, {step}"},
            graph=report(path),
            # An optimised form is another model, and the file for the edge is of this one.
            litert=None,
        )
    write_made(form)


def _evaluate(work: Work) -> Facts:
    """Measure the candidate and what is live in one run, on the same rows; say whether it is better."""
    task, candidate = work.task(), read_made(work.done / "optimise" / CHOSEN)
    way = str(work.facts("optimise")["chosen"])
    files = {way: candidate.path}
    if work.live is not None:
        if work.live.model != task.recipe.model:
            raise RecipeError(f"the recipe makes `{task.recipe.model}`, and {work.live} is live")
        folder = work.keep / f"live-{work.live.model}-{work.live.version}"
        manifest = fetch(_store(work), work.live, folder)
        files[str(work.live)] = folder / manifest.entry
    mine, *others = compare(files, task.data)
    theirs = others[0] if others else None
    write_report(candidate.path, task.data, work.out / REPORT, title=f"{task.recipe.model}, {way}")
    facts: Facts = {
        "candidate": asdict(mine),
        "live": asdict(theirs) if theirs else None,
        "against": work.live.version if work.live else 0,
        "go_on": True,
        "said": "nothing was live yet",
    }
    if theirs is None:
        return facts
    try:
        gain = check_better(mine, theirs, task.data.task, least=work.pipeline.gate.least_gain)
    except GateError as error:
        return {**facts, "go_on": False, "said": str(error)}
    return {**facts, "said": f"better than {theirs.how} by {gain:.4f} on the same test data"}


def check_better(candidate: Row, live: Row, task: str, *, least: float) -> float:
    """The candidate's gain over the live version; raise ``GateError`` unless it is more than ``least``."""
    name, more_is_better = headline(task)
    mine, theirs = candidate.metrics[name], live.metrics[name]
    gain = mine - theirs if more_is_better else 1 - mine / theirs
    if gain <= least:
        raise GateError(
            f"the {name} of the candidate is {mine:.4f}, that of {live.how} {theirs:.4f} on the same "
            f"test data: better by {gain:.4f}, and more than {least:g} is wanted",
            hint="Train on more or newer data, or lower `gate.least_gain`; what is live stays.",
        )
    return gain


def _publish(work: Work) -> Facts:
    candidate = read_made(work.done / "optimise" / CHOSEN)
    published = publish_made(
        _store(work),
        candidate,
        created_by=work.created_by,
        code=work.recipe.parent,
        report=work.done / "evaluate" / REPORT,
    )
    ref = published.manifest.ref
    if work.sign is not None:
        work.sign(ref)
    return {"version": ref.version, "created": published.created, "shift": work.pipeline.shift.model_dump()}


def _store(work: Work) -> ObjectStore:
    if work.store is None:
        raise RecipeError("this step needs the model store", hint="Name its bucket with `--store`.")
    return work.store


DO: dict[str, Callable[[Work], Facts]] = {
    "data": _data,
    "train": _train,
    "optimise": _optimise,
    "evaluate": _evaluate,
    "publish": _publish,
}
"""Every step of the graph but those of the operations function."""
