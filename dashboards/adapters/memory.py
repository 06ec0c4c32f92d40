"""The reference adapter: pages, lines and alarms as they were given. Ships with the package for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboards.ports import Line


class MemoryBoardReader:
    """``dashboards.ports.BoardReader``. ``lines`` are by the query's label, or by its id if it has none."""

    def __init__(
        self,
        *,
        bodies: Mapping[str, str] | None = None,
        lines: Mapping[str, Sequence[Line]] | None = None,
        states: Mapping[str, str] | None = None,
    ) -> None:
        self._bodies = dict(bodies or {})
        self._lines = dict(lines or {})
        self._states = dict(states or {})

    def body(self, name: str) -> str | None:
        return self._bodies.get(name)

    def lines(self, queries: Sequence[Mapping[str, Any]], *, since: float, until: float) -> list[Line]:
        found = []
        for query in queries:
            if query.get("ReturnData", True) is False:
                continue
            for line in self._lines.get(str(query.get("Label", query["Id"])), ()):
                kept = tuple((at, value) for at, value in line.points if since <= at < until)
                found.append(Line(str(query["Id"]), line.label, kept))
        return found

    def states(self, alarms: Sequence[str]) -> Mapping[str, str]:
        return {name: self._states[name] for name in alarms if name in self._states}
