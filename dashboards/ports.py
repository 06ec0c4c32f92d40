"""What drawing a page needs from CloudWatch: to read. Held in ``tests/contract/test_board_reader.py``.

* ``body`` is the dashboard as it is deployed; ``None`` if there is none of that name.
* ``lines`` answers queries as GetMetricData takes them: each line with its label, its points oldest first, in
  the order of the queries; a query without data has no line or one without points.
* ``states`` are the alarms that are there, of either kind, by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: moments (seconds since 1970) and values, oldest first."""

    id: str
    label: str
    points: tuple[tuple[float, float], ...]


class BoardReader(Protocol):
    """CloudWatch, to be read. Every foreign error arrives as a ``ReadError``."""

    def body(self, name: str) -> str | None: ...

    def lines(self, queries: Sequence[Mapping[str, Any]], *, since: float, until: float) -> list[Line]: ...

    def states(self, alarms: Sequence[str]) -> Mapping[str, str]: ...
