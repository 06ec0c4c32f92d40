"""What this room refuses, before AWS would."""

from __future__ import annotations

from model_store.contract.errors import SwitchyardError


class PreflightError(SwitchyardError):
    """AWS would refuse this deploy minutes from now; nothing was started."""
