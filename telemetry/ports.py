"""What telemetry needs from CloudWatch: to read metrics, alarms and logs.

Laws of ``Numbers``, checked against every adapter in ``tests/contract/test_numbers.py``:

* A reading sees exactly the series it names; what nobody counted has no points.
* Points are those of periods with data, oldest first, each with the moment its period began.
* However much is asked in one reading, it is answered in the order of the asking.
* ``counted`` names every set of dimensions a metric was counted under of late, each once.
* ``alarms`` are found by the beginning of their names, composite ones too, with when they last changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from releases.ports import Metric

Statistic = Literal["Sum", "SampleCount", "Average", "Maximum", "p50", "p90", "p95", "p99"]
Asked = tuple[Metric, Statistic]
AlarmWord = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]


@dataclass(frozen=True, slots=True)
class Point:
    """One period's value. ``at`` is when the period began, seconds since 1970."""

    at: float
    value: float


@dataclass(frozen=True, slots=True)
class AlarmSeen:
    """An alarm as it stands. ``since`` is when it came to its state, seconds since 1970.

    One that ``tells`` nobody is a part of another, which does: by itself it means nothing.
    """

    name: str
    state: AlarmWord
    since: float
    description: str = ""
    reason: str = ""
    tells: bool = True


class Numbers(Protocol):
    """CloudWatch's metrics and alarms, read only. Every foreign error arrives as a ``ReleaseError``."""

    def series(
        self, asked: Sequence[Asked], *, since: float, until: float, period_s: int
    ) -> list[list[Point]]:
        """For each of ``asked`` its points from ``since`` until before ``until``.

        ``period_s`` is a multiple of 60 and at most a day. Five hundred of ``asked`` are one call.
        """

    def counted(self, namespace: str, name: str) -> list[dict[str, str]]:
        """Every set of dimensions that ``name`` was counted under in the last two weeks."""

    def alarms(self, prefix: str, *, only_firing: bool = False) -> list[AlarmSeen]:
        """The alarms whose name begins so, by name."""


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a log. ``id`` tells it from every other; ``stream`` names who wrote it.

    ``fields`` is the line as JSON, as functions of ours write it; empty for what Lambda or a library wrote.
    """

    at: float
    id: str
    stream: str
    text: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: of a version, through an alias, only of what failed."""

    version: int | None = None
    alias: str | None = None
    errors: bool = False

    def admits(self, line: Line) -> bool:
        """Whether ``line`` is wanted. What Lambda wrote itself names neither version nor alias."""
        if line.text.startswith(NOISE):
            return False
        if not line.fields:
            return self.alias is None and (not self.errors or is_failure(line.text))
        if self.version is not None and line.fields.get("version") != str(self.version):
            return False
        if self.alias is not None and line.fields.get("alias") != self.alias:
            return False
        status = line.fields.get("status")
        return not self.errors or (isinstance(status, int) and status >= 500)


NOISE = (
    *("START RequestId", "END RequestId", "REPORT RequestId", "INIT_START", "EXTENSION"),
    *("RESTORE_START", "RESTORE_REPORT"),
)
"""What Lambda writes around every request; its numbers are metrics."""

FAILURES = ("Task timed out", "Runtime exited", "Runtime.", "[ERROR]", "Status: error", "Traceback")
"""What Lambda writes where no line of ours could be written."""


def is_failure(text: str) -> bool:
    """Whether a line that is not ours tells of a failure."""
    return any(word in text for word in FAILURES)


class Lines(Protocol):
    """CloudWatch Logs, read only. Every foreign error arrives as a ``ReleaseError``.

    Laws, checked in ``tests/contract/test_lines.py``: only wanted lines; a log group that is not there has
    none; ``newest`` and ``after`` give the oldest first, ``slowest`` the slowest.
    """

    def newest(self, group: str, wanted: Wanted, *, since: float, until: float, most: int) -> list[Line]:
        """The newest ``most`` lines from ``since`` until ``until``."""

    def slowest(self, group: str, wanted: Wanted, *, since: float, until: float, most: int) -> list[Line]:
        """The ``most`` inferences that took longest."""

    def after(self, group: str, wanted: Wanted, *, since: float, most: int) -> list[Line]:
        """Lines from ``since`` on, as soon as they are there: at most ``most``, the oldest of them."""
