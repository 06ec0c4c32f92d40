"""The ledger of an alias: append-only lines, and what they mean.

Nothing is moved or edited. A release appends a line; a rollback appends a line that restores an
earlier one. The write-once key is the lock: line N can be written once.

Every full hundred of lines is written once more as a *page*, so that the ten-thousandth rollback reads a
few hundred objects and not ten thousand. Pages are copies: where one is missing, its lines are read.
"""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from model_store.contract.errors import AlreadyExistsError, NotFoundError
from model_store.contract.keys import (
    ledger_key,
    ledger_page_key,
    ledger_pages_prefix,
    ledger_prefix,
    ledgers_prefix,
    plan_key,
)
from model_store.ports import ObjectStore
from releases.records import UNRELEASED, Line, Note, Plan, canonical

PARALLEL_READS = 32

PAGE_LINES = 100
"""Lines of a page. A ledger of 10,000 lines is then 100 pages, and at most 99 lines are read one by one."""

PAGES_AT_ONCE = 5
"""A ledger that grew before there were pages gets them over several moves: none is to wait for all."""


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
        self.alias = alias
        self._folded = 0
        """How many pages there were when the lines were read last."""

    def lines(self) -> list[Line]:
        """All lines, oldest first."""
        pages = self._pages()
        self._folded = len(pages)
        end = ledger_key(self._model, self.alias, len(pages) * PAGE_LINES) if pages else None
        keys = list(self._store.keys(ledger_prefix(self._model, self.alias), after=end))
        found = self._read([*pages, *keys])
        folded = [line for page in found[: len(pages)] for line in json.loads(page)]
        return [Line.of(line) for line in folded] + [Line.from_json(data) for data in found[len(pages) :]]

    def fold(self, lines: list[Line]) -> None:
        """Write the pages that ``lines``, all there are, have filled since they were read; a few at a time.

        Pages are copies of what stands, so anybody may write them again, and a crash loses nothing.
        """
        for page in range(self._folded, len(lines) // PAGE_LINES)[:PAGES_AT_ONCE]:
            first = page * PAGE_LINES
            part = lines[first : first + PAGE_LINES]
            if [line.line for line in part] != list(range(first + 1, first + PAGE_LINES + 1)):
                return  # a number is missing: what comes there is not known yet
            body = canonical([line.as_json() for line in part])
            # Not ``put_once``: another release of Switchyard writes the same lines in its own format.
            self._store.try_put_once(ledger_page_key(self._model, self.alias, page + 1), body)
            self._folded = page + 1

    def _pages(self) -> list[str]:
        """The pages from the first one on, without a gap."""
        keys = self._store.keys(ledger_pages_prefix(self._model, self.alias))
        expected = (ledger_page_key(self._model, self.alias, page) for page in itertools.count(1))
        return [key for key, wanted in zip(keys, expected, strict=False) if key == wanted]

    def _read(self, keys: list[str]) -> list[bytes]:
        if len(keys) <= 1:
            return [self._store.get(key) for key in keys]
        with ThreadPoolExecutor(min(PARALLEL_READS, len(keys))) as pool:
            return list(pool.map(self._store.get, keys))

    def write_plan(self, plan: Plan) -> None:
        self._store.put_once(plan_key(self._model, self.alias, plan.id), plan.to_json())

    def append(self, number: int, plan: Plan) -> Line:
        """Write line ``number``. The same line again is harmless: anybody may complete it."""
        line = Line(number, plan)
        key = ledger_key(self._model, self.alias, number)
        try:
            self._store.put_once(key, line.to_json())
        except AlreadyExistsError:
            # Another release of Switchyard may have completed the same line, in its own format.
            if Line.from_json(self._store.get(key)) != line:
                raise
        return line

    def missing(self, note: Note | None, lines: list[Line]) -> Line | None:
        """The line that the alias's note names and a crash kept from being written, if there is one.

        A note whose plan is gone cannot be completed and is left to ``status`` to name.
        """
        if note is None or note.line == 0 or any(line.line == note.line for line in lines):
            return None
        try:
            plan = Plan.from_json(self._store.get(plan_key(self._model, self.alias, note.plan)))
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


def aliases_with_history(store: ObjectStore, model: str) -> list[str]:
    """Every alias of ``model`` that was ever moved, whatever the catalog says: one listing for each."""
    prefix = ledgers_prefix(model)
    found: list[str] = []
    after: str | None = None
    while (key := next(store.keys(prefix, after), None)) is not None:
        found.append(key.removeprefix(prefix).partition("/")[0])
        # `~` is larger than everything that a key may hold: the next listing begins behind this ledger.
        after = f"{prefix}{found[-1]}/~"
    return sorted(found)
