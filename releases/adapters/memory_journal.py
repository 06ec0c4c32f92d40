"""Logs in memory: obeys the laws of ``releases.ports.Journal``. ``write`` plays the functions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from releases.ports import Clock


class MemoryJournal:
    """``releases.ports.Journal`` without AWS."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written: dict[str, list[tuple[float, str]]] = defaultdict(list)

    def write(self, function: str, message: str) -> None:
        """What the function logs now."""
        self._written[function].append((self._clock.now(), message))

    def lines(
        self, function: str, wanted: Mapping[str, str | bool], *, since: float, until: float, most: int
    ) -> list[dict[str, Any]]:
        found = []
        for at, message in self._written[function]:
            try:
                line = json.loads(message)
            except ValueError:
                continue
            asked_for = isinstance(line, dict) and all(line.get(k) == value for k, value in wanted.items())
            if asked_for and since <= at < until:
                found.append(line)
        return found[-most:]
