"""What telemetry needs from CloudWatch: to read.

Laws of ``Numbers``, checked against every adapter in ``tests/contract/test_numbers.py``:

* A reading sees exactly the series it names; what nobody counted has no points.
* Points are those of periods with data, oldest first, each with the moment its period began.
* However much is asked in one reading, it is answered in the order of the asking.
* ``counted`` names every set of dimensions a metric was counted under of late, each once.
* ``alarms`` are found by the beginning of their names, composite ones too, with when they last changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

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
    """An alarm as it stands. ``since`` is when it came to its state, seconds since 1970."""

    name: str
    state: AlarmWord
    since: float
    description: str = ""
    reason: str = ""


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
