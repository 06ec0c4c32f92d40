"""The ledger of an alias: append-only lines, and what they mean.

Nothing is moved or edited. A release appends a line; a rollback appends a line that restores an
earlier one. The write-once key is the lock: line N can be written once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from model_store.contract.errors import NotFoundError
from model_store.contract.keys import ledger_key, ledger_prefix, plan_key
from model_store.ports import ObjectStore
from releases.records import UNRELEASED, Line, Note, Plan

PARALLEL_READS = 16


@dataclass(frozen=True, slots=True)
class Step:
    """A model version that was put in force and not struck out since, and the line that did it."""

    line: int
    version: int
    lambda_version: str


def standing(lines: list[Line]) -> list[Step]:
    """The steps still in force, oldest first; the last one is what the alias means.

    A rollback (an alarm's too) strikes out everything after the line it restores, so that two
    rollbacks go back two steps instead of swapping the last two versions. What happens on the way of
    a shift is no step until it is complete and its release line is written. Putting the same
    model version in force again, or moving it to a new base, is not a step either.
    """
    kept: list[Step] = []
    for line in lines:
        plan = line.plan
        if not moved_all(line):
            continue
        if plan.restores is not None:
            kept = [step for step in kept if step.line <= plan.restores]
        if plan.kind == "retire":
            kept = []
        elif kept and kept[-1].version == plan.version:
            kept[-1] = Step(kept[-1].line, plan.version, plan.lambda_version)
        else:
            kept.append(Step(line.line, plan.version, plan.lambda_version))
    return kept


def moved_all(line: Line) -> bool:
    """Whether the whole alias moved with this line, and not only a share of it there or back."""
    kind = line.plan.kind
    return kind not in ("shift", "stop", "shadow") and (kind != "alarm" or line.plan.restores is not None)


class Ledger:
    """The ledger of one alias of one model."""

    def __init__(self, store: ObjectStore, model: str, alias: str) -> None:
        self._store = store
        self._model = model
        self._alias = alias

    def lines(self) -> list[Line]:
        """All lines, oldest first."""
        keys = list(self._store.keys(ledger_prefix(self._model, self._alias)))
        if len(keys) <= 1:
            return [Line.from_json(self._store.get(key)) for key in keys]
        with ThreadPoolExecutor(min(PARALLEL_READS, len(keys))) as pool:
            return [Line.from_json(data) for data in pool.map(self._store.get, keys)]

    def write_plan(self, plan: Plan) -> None:
        self._store.put_once(plan_key(self._model, self._alias, plan.id), plan.to_json())

    def append(self, number: int, plan: Plan) -> Line:
        """Write line ``number``. The same line again is harmless: anybody may complete it."""
        line = Line(number, plan)
        self._store.put_once(ledger_key(self._model, self._alias, number), line.to_json())
        return line

    def missing(self, note: Note | None, lines: list[Line]) -> Line | None:
        """The line that the alias's note names and a crash kept from being written, if there is one.

        A note whose plan is gone cannot be completed and is left to ``status`` to name.
        """
        if note is None or note.line == 0 or any(line.line == note.line for line in lines):
            return None
        try:
            plan = Plan.from_json(self._store.get(plan_key(self._model, self._alias, note.plan)))
        except NotFoundError:
            return None
        return Line(note.line, plan)


def in_force(lines: list[Line]) -> Step | None:
    """What the ledger says is live, or ``None`` before the first release and after a retirement."""
    steps = standing(lines)
    return steps[-1] if steps and steps[-1].version != UNRELEASED else None


def line_of(lines: list[Line], number: int) -> Line | None:
    """The line with that number, if it is written."""
    return next((line for line in lines if line.line == number), None)


def step_before(lines: list[Line]) -> Step | None:
    """Where a rollback goes: the model version in force before the present one."""
    steps = standing(lines)
    return steps[-2] if len(steps) > 1 else None
