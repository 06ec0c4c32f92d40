"""Candidates: releasing what a pipeline made, if what is live is still what it was compared with.

A pipeline takes minutes to hours. Whatever happened to the alias meanwhile (a release, a rollback) was
decided by somebody who did not know of the candidate, so it wins and the pipeline is to be run again.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_store.contract.deployment import DEFAULT_ALIAS
from model_store.contract.names import ByAlias, ByVersion
from releases.controller import Controller
from releases.errors import ReleaseError
from releases.ledger import in_force
from releases.shifting import HOLD_S, MIN_REQUESTS, Shifting, check_shares
from releases.stage import Stage


@dataclass(frozen=True, slots=True)
class Steps:
    """How the calls move. ``percents`` rise; none: at once."""

    percents: tuple[float, ...] = ()
    bake_s: float = 120.0
    hold_s: float = HOLD_S
    min_requests: int = MIN_REQUESTS


def live_version(stage: Stage, model: str, *, alias: str = DEFAULT_ALIAS) -> ByVersion | None:
    """What the ledger says is in force; ``None`` before the first release."""
    step = in_force(Controller(stage).history(model, alias=alias))
    return ByVersion(model, step.version) if step else None


def go_live(
    stage: Stage,
    ref: ByVersion,
    *,
    against: ByVersion | None,
    steps: Steps,
    alias: str = DEFAULT_ALIAS,
    reason: str = "",
) -> str | None:
    """Release ``ref``, which was compared with ``against``; the id of the shift that takes it there, if any.

    A first release has nothing to shift from and is at once, as is one without steps. Safe to repeat: what
    serves already is not moved, and the same shift is joined. Raises ``ReleaseError`` when the alias serves
    something else than ``against`` by now; then nothing changed.
    """
    live = live_version(stage, ref.model, alias=alias)
    if live == ref:
        return None
    if live != against:
        raise ReleaseError(
            f"`{ByAlias(ref.model, alias)}` serves {live or 'nothing'} by now, and {ref} was compared with "
            f"{against or 'nothing'}",
            hint="Run the pipeline again: it compares with what is live then.",
        )
    if live is None or not steps.percents:
        Controller(stage).release(ref, alias=alias, reason=reason)
        return None
    begun = Shifting(stage).begin(
        ref,
        shares=check_shares(steps.percents),
        bake_s=steps.bake_s,
        hold_s=steps.hold_s,
        min_requests=steps.min_requests,
        alias=alias,
        reason=reason,
    )
    return begun.shift.id if begun else None
