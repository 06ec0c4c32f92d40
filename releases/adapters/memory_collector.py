"""Takes things out of Lambda in memory: the reference adapter, and the fake."""

from __future__ import annotations

from datetime import UTC, datetime

from releases.adapters.memory import MemoryFunctions
from releases.collector import PublishedLayer, PublishedVersion
from releases.errors import LostRaceError


class MemoryFunctionCollector:
    """Deletes from one ``MemoryFunctions``. A version's own code takes no room there; a layer its bytes."""

    def __init__(self, functions: MemoryFunctions) -> None:
        self._functions = functions

    def versions(self, function: str) -> list[PublishedVersion]:
        published = self._functions.published(function)
        return [PublishedVersion(config, _utc(at), 0) for config, at in published]

    def layers(self, name: str) -> list[PublishedLayer]:
        return [PublishedLayer(arn, _utc(at)) for arn, at in self._functions.layers(name)]

    def layer_size(self, arn: str) -> int:
        return len(self._functions.layer(arn)) if self._functions.layer_exists(arn) else 0

    def delete_version(self, function: str, version: str) -> None:
        # Under the functions' own lock, as Lambda does it: no alias comes to lead there in between.
        with self._functions._lock:  # noqa: SLF001
            for state in self._functions.aliases(function):
                if version == state.version or version in state.weights:
                    raise LostRaceError(f"version {version} of `{function}` is what `{state.alias}` leads to")
            if self._functions.config(function, version) is not None:
                self._functions.delete(function, version)

    def delete_layer(self, arn: str) -> None:
        self._functions.delete_layer(arn)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
