"""Endpoints in memory: obey the laws of ``releases.ports.Endpoints``. What a stack does is done by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from releases.ports import EndpointState


class MemoryEndpoints:
    """``releases.ports.Endpoints`` without AWS. ``reads_until_ready`` is how long a new one is Creating.

    One that was told to ``grow`` has a machine more whenever it was looked at.
    """

    def __init__(self, *, reads_until_ready: int = 0) -> None:
        self._grows: dict[str, int] = {}
        self._found: dict[str, EndpointState] = {}
        self._left: dict[str, int] = {}
        self._reads_until_ready = reads_until_ready

    def make(self, name: str, environment: dict[str, str], **settings: Any) -> None:
        """What a deployed stack leaves."""
        state = EndpointState(
            name,
            "InService",
            environment=dict(environment),
            instance_type="ml.g5.xlarge",
            instances=1,
            log_group=f"/aws/sagemaker/Endpoints/{name}",
        )
        self._found[name] = replace(state, **settings)
        self._left[name] = self._reads_until_ready

    def change(self, name: str, **settings: Any) -> None:
        """What SageMaker, or a person in the console, does to one."""
        self._found[name] = replace(self._found[name], **settings)

    def grow(self, name: str, up_to: int) -> None:
        """What autoscaling does to one that is below its floor."""
        self._grows[name] = up_to

    def delete(self, name: str) -> None:
        del self._found[name]

    def describe(self, name: str) -> EndpointState | None:
        state = self._found.get(name)
        if state is not None and self._left[name]:
            self._left[name] -= 1
            return replace(state, status="Creating")
        if state is not None and state.instances < self._grows.get(name, 0):
            self._found[name] = replace(state, instances=state.instances + 1)
        return state

    def status(self, name: str) -> str | None:
        state = self.describe(name)
        return state.status if state else None

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self._found if name.startswith(prefix))
