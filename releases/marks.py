"""Marks: when an alias was moved, from its ledger, for charts to show. A deploy's new base is none.

Read from the ledger whenever somebody looks, so a move by anybody, from anywhere, is there at once: no
template holds one (law 4), and nothing is written down twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from model_store.ports import ObjectStore
from releases.ledger import Ledger, aliases_with_history
from releases.records import Line, moment

SILENT = frozenset({"rebase", "shadow"})
"""Lines after which callers are answered by the same model version as before."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A moment at which somebody else began to answer. ``at`` is seconds since 1970."""

    at: float
    label: str
    by: str
    why: str


def marks(lines: Iterable[Line], *, since: float) -> list[Moved]:
    """The moves of one ledger that happened ``since``, oldest first."""
    found = [
        Moved(moment(line.plan.at), _label(line), line.plan.by, line.plan.reason)
        for line in lines
        if line.plan.kind not in SILENT and moment(line.plan.at) >= since
    ]
    return sorted(found, key=lambda one: one.at)


def marks_of(store: ObjectStore, model: str, *, since: float) -> list[Moved]:
    """The moves of every alias that ``model`` ever had, oldest first; none of a model without a ledger."""
    found = [
        moved
        for alias in aliases_with_history(store, model)
        for moved in marks(Ledger(store, model, alias).lines(), since=since)
    ]
    return sorted(found, key=lambda one: one.at)


def _label(line: Line) -> str:
    plan = line.plan
    if plan.kind == "shift":
        share = sum(plan.weights.values())
        return f"{plan.alias}: v{plan.toward} {share:.0%}"
    if plan.kind == "retire":
        return f"{plan.alias}: retired"
    if plan.kind == "release":
        return f"{plan.alias}: v{plan.version}" + (", forced" if plan.forced else "")
    if plan.kind == "stop":
        return f"{plan.alias}: stopped, v{plan.version}"
    return f"{plan.alias}: {plan.kind}, back to v{plan.version}"
