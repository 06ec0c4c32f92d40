"""Why a release was refused or could not finish.

In every case the alias is on a version that passed its checks.

ReleaseError
├── NotDeployedError        `cdk deploy` has not made this function, alias or stage yet
├── UnfitVersionError       the version did not become Active, or did not reproduce its golden sample
├── UnprovisionedError      the version has no endpoint on this stage: nothing could run it
├── NothingToRollBackError  the ledger names no earlier version to go back to
├── LostRaceError           somebody else moved the alias, or changed the function, first
├── ShiftRunningError       a shift has the alias; it is waited for, stopped or overridden first
├── WavesRunningError       models are taken to another base in waves; that is completed or ended first
├── LeaseHeldError          somebody else prepares a version of this model right now
├── NoHeadroomError         a flip would throttle: the numbers say so
├── DisagreementError       AWS accepted a change and reports something else
├── StillLiveError          a deploy would take away something that serves, or that a rollback needs
└── ServiceError            Lambda could not answer; running the same command again is safe
"""

from __future__ import annotations

from model_store.contract.errors import ReleaseError

__all__ = [
    "DisagreementError",
    "LeaseHeldError",
    "LostRaceError",
    "NoHeadroomError",
    "NotDeployedError",
    "NothingToRollBackError",
    "ReleaseError",
    "ServiceError",
    "ShiftRunningError",
    "StillLiveError",
    "UnfitVersionError",
    "UnprovisionedError",
    "WavesRunningError",
]


class NotDeployedError(ReleaseError):
    """The function, its alias or its base does not exist: ``cdk deploy`` makes them."""


class UnfitVersionError(ReleaseError):
    """A version failed a check; nothing moved. ``evidence`` holds the function's own log lines."""

    def __init__(self, message: str, *, hint: str | None = None, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.evidence = evidence


class UnprovisionedError(ReleaseError):
    """A heavy model's version has no machines here. They cost money, so nobody but the catalog starts
    them."""


class NothingToRollBackError(ReleaseError):
    """The ledger of the alias holds no earlier model version that is still in force."""


class LostRaceError(ReleaseError):
    """Of two concurrent changes exactly one wins; this is the other one. It changed nothing."""


class ShiftRunningError(ReleaseError):
    """A shift has the alias. What was asked for would cross it, and nothing was changed."""


class WavesRunningError(ReleaseError):
    """Models are taken to another base in waves. What was asked for would cross that; nothing was changed."""


class LeaseHeldError(ReleaseError):
    """Another release or deploy prepares a version of the same model; one at a time may."""


class NoHeadroomError(ReleaseError):
    """A flip at once would leave callers without an environment. Nothing moved."""


class QuotaError(ReleaseError):
    """The account may not have so much; nothing was changed."""


class DisagreementError(ReleaseError):
    """What AWS reports after a change is not what was asked for (law 9)."""


class StillLiveError(ReleaseError):
    """A deploy would remove a model that is live; it is refused before anything is deleted."""


class ServiceError(ReleaseError):
    """Lambda throttled, failed or did not answer. Running the same command again is safe."""
