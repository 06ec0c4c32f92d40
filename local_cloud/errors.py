"""What can go wrong with the embedded cloud."""

from __future__ import annotations

from model_store.contract.errors import SwitchyardError


class LocalCloudError(SwitchyardError):
    """The embedded cloud could not be started, filled or stopped; ``hint`` says what to do."""
