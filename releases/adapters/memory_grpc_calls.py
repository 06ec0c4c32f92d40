"""gRPC calls in memory: obey the laws of ``releases.ports.GrpcCalls``. What a stack does is done by hand."""

from __future__ import annotations

from collections.abc import Mapping

from model_store.contract.names import ByAlias
from releases.errors import ServiceError, UnprovisionedError


class MemoryGrpcCalls:
    """``releases.ports.GrpcCalls`` without AWS. ``fails`` so many of the next changes are refused."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}
        self._led: dict[tuple[str, str], dict[str, float]] = {}
        self.fails = 0

    def carry(self, model: str, *endpoints: str) -> None:
        """What a deployed stack leaves: a load balancer that knows these endpoints."""
        self._known.setdefault(model, set()).update(endpoints)

    def led(self, model: str, alias: str) -> dict[str, float] | None:
        if model not in self._known:
            return None
        return dict(self._led.get((model, alias), {}))

    def lead(self, model: str, alias: str, shares: Mapping[str, float]) -> None:
        if model not in self._known:
            return
        if self.fails:
            self.fails -= 1
            raise ServiceError(f"AWS answered Throttling for the gRPC calls of `{ByAlias(model, alias)}`")
        if unknown := sorted(set(shares) - self._known[model]):
            raise UnprovisionedError(
                f"the load balancer of `{model}` leads no gRPC call to the endpoint `{unknown[0]}`"
            )
        self._led[model, alias] = dict(shares)
