"""An endpoint of somebody else's in memory: obeys the laws of ``releases.adoption.AskedEndpoint``."""

from __future__ import annotations

from collections.abc import Callable

from releases.errors import NotDeployedError, UnfitVersionError

Play = Callable[[bytes], bytes]


class MemoryAskedEndpoint:
    """``play`` is its container, which refuses by ``ValueError``; ``None`` where there is no endpoint."""

    def __init__(self, name: str, play: Play | None) -> None:
        self._name = name
        self._play = play

    def configuration(self) -> str:
        self._container()
        return f"{self._name}-config"

    def ask(self, body: bytes) -> bytes:
        container = self._container()
        try:
            return container(body)
        except ValueError as error:
            raise UnfitVersionError(f"the endpoint `{self._name}` refused the sample: {error}") from error

    def _container(self) -> Play:
        if self._play is None:
            raise NotDeployedError(f"there is no endpoint `{self._name}` that answers")
        return self._play
