"""Waiting for Lambda: changes of ``$LATEST`` and new versions take their time to settle."""

from __future__ import annotations

from contextlib import suppress

from releases.errors import DisagreementError, NotDeployedError, ReleaseError, UnfitVersionError
from releases.ports import LATEST, Clock, FunctionConfig, Functions

UPDATE_PATIENCE_S = 120.0
ACTIVE_PATIENCE_S = 600.0
"""A SnapStart version takes 2 to 3 minutes to become Active (pulumi/pulumi#15789)."""

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 3.0


def latest_config(functions: Functions, function: str) -> FunctionConfig:
    """``$LATEST`` as it is now."""
    config = functions.config(function)
    if config is None:
        raise NotDeployedError(
            f"the function `{function}` does not exist",
            hint="Run `cdk deploy --all` for this stage.",
        )
    return config


def wait_for_update(functions: Functions, clock: Clock, function: str) -> FunctionConfig:
    """Return ``$LATEST`` once no update of it is in progress; a failed update is an error."""
    deadline = clock.now() + UPDATE_PATIENCE_S
    pause = _FIRST_PAUSE_S
    while True:
        config = latest_config(functions, function)
        if config.update == "Failed":
            raise DisagreementError(
                f"Lambda could not update `{function}`: {config.update_reason or 'no reason given'}",
                hint="Run `cdk deploy --all` for this stage to put the function right, then repeat.",
            )
        if config.update != "InProgress" and config.state != "Pending":
            return config
        pause = _pause(
            clock, deadline, pause, DisagreementError(f"`{function}` is still being updated after 2 minutes")
        )


def wait_until_active(functions: Functions, clock: Clock, function: str, version: str) -> FunctionConfig:
    """Return the published version once it can be invoked.

    A SnapStart version that nobody called for 14 days is Inactive; Lambda wakes it when it is
    invoked, and until then answers with an error, so it is invoked here and waited for.
    """
    deadline = clock.now() + ACTIVE_PATIENCE_S
    pause = _FIRST_PAUSE_S
    while True:
        config = functions.config(function, version)
        if config is None:
            raise NotDeployedError(f"Lambda version {version} of `{function}` does not exist")
        if config.state == "Active":
            return config
        if config.state == "Failed":
            raise UnfitVersionError(
                f"Lambda version {version} of `{function}` failed to start: "
                f"{config.state_reason or 'no reason given'}",
                hint="Read the function's log with the reason above; publish a version that loads.",
            )
        if config.state == "Inactive" and version != LATEST:
            # The call that wakes it is refused (Lambda developer guide, "Lambda function states").
            with suppress(ReleaseError):
                functions.invoke(function, version, {})
        pause = _pause(
            clock,
            deadline,
            pause,
            UnfitVersionError(
                f"Lambda version {version} of `{function}` is still {config.state} after 10 minutes"
            ),
        )


def _pause(clock: Clock, deadline: float, pause: float, late: Exception) -> float:
    if clock.now() >= deadline:
        raise late
    clock.sleep(pause)
    return min(pause * 1.5, _LONGEST_PAUSE_S)
