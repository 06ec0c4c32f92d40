"""Restore: after a region is lost, serve in another one what the ledgers say is live.

The store was brought back from its replica and the stage was deployed, so every alias exists and answers
503. The ledger is the only thing that says what it should serve (law 3). The version that a rollback would go
to is prepared first, then what is live is released: two phases, as for any release (law 5).
"""

from __future__ import annotations

from dataclasses import dataclass

from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByAlias, ByVersion
from model_store.ports import ObjectStore
from model_store.versions import load_manifest, models
from releases.bases import current_base
from releases.controller import Controller
from releases.ledger import Ledger, aliases_with_history, in_force, step_before
from releases.stage import Stage


@dataclass(frozen=True, slots=True)
class Restored:
    """One alias: what it serves again, where a rollback would go, or why it does not serve."""

    ref: ByAlias
    version: int
    rollback_to: int | None = None
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """How far a replica knows the ledger of one alias: its newest line, when that was, and what is missing
    before it. Lines are numbered without gaps, so a missing number is a move that was acknowledged and
    lost."""

    ref: ByAlias
    line: int
    at: str
    missing: tuple[int, ...] = ()


def known(copy: ObjectStore) -> list[Known]:
    """How far ``copy``, a replica, knows each ledger. Reads only."""
    found: list[Known] = []
    for model in models(copy):
        for alias in aliases_with_history(copy, model):
            lines = Ledger(copy, model, alias).lines()
            numbers = {line.line for line in lines}
            missing = tuple(number for number in range(1, max(numbers) + 1) if number not in numbers)
            found.append(Known(ByAlias(model, alias), lines[-1].line, lines[-1].plan.at, missing))
    return found


def restore(stage: Stage, *, reason: str = "restored from a replica") -> list[Restored]:
    """Release what every ledger says is live. Repeating it goes on; what serves already is not moved.

    A model that cannot be restored is named with the reason and stops no other.
    """
    found: list[Restored] = []
    for model in models(stage.store):
        for alias in aliases_with_history(stage.store, model):
            lines = Ledger(stage.store, model, alias).lines()
            live, before = in_force(lines), step_before(lines)
            if live is None:
                continue
            ref = ByAlias(model, alias)
            try:
                back = (
                    before.version if before and _prepared(stage, ByVersion(model, before.version)) else None
                )
                Controller(stage).release(ByVersion(model, live.version), alias=alias, reason=reason)
                found.append(Restored(ref, live.version, back))
            except SwitchyardError as error:
                found.append(Restored(ref, live.version, lost=str(error)))
    return found


def _prepared(stage: Stage, ref: ByVersion) -> bool:
    """Prepare where a rollback goes; a failure is said, since serving matters more."""
    try:
        stage.preparer.prepare(load_manifest(stage.store, ref), current_base(stage.store, ref.model))
    except SwitchyardError as error:
        stage.say(f"a rollback to {ref} is not ready: {error}")
        return False
    return True
