"""Windows of time as CloudWatch keeps them: whole periods, coarser the older they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from model_store.contract.errors import SwitchyardError

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400

KEPT = ((15 * DAY_S, MINUTE_S), (63 * DAY_S, 5 * MINUTE_S), (455 * DAY_S, HOUR_S))
"""How old points may be at most, and the shortest period that such old ones have.

Source: CloudWatch user guide, "Metrics retention".
"""

MOST_POINTS = 1_440
_PERIODS = (MINUTE_S, 5 * MINUTE_S, 15 * MINUTE_S, HOUR_S, 6 * HOUR_S, DAY_S)
_READABLE = 120
"""So many points of a series are still looked at by a person."""


class WindowError(SwitchyardError, ValueError):
    """CloudWatch has no such points, or too many of them were asked for."""


@dataclass(frozen=True, slots=True)
class Window:
    """From ``since`` until before ``until`` (seconds since 1970): whole periods, ``now`` in the last."""

    since: float
    until: float
    now: float
    period_s: int

    @property
    def seconds(self) -> float:
        """What of it has passed."""
        return self.now - self.since

    @property
    def whole_s(self) -> int:
        """The longest period that CloudWatch would put it into: all of it, or a day."""
        return min(round(self.until - self.since), DAY_S)


def window(now: float, seconds: float, period_s: int | None = None) -> Window:
    """The ``seconds`` before ``now``. Without a period, the shortest that leaves a readable number of points.

    Raises ``WindowError`` for what CloudWatch does not have.
    """
    shortest = next((period for age, period in KEPT if seconds <= age), None)
    if shortest is None:
        raise WindowError(
            f"CloudWatch keeps no metrics for {seconds / DAY_S:.0f} days", hint="Ask for at most 455d."
        )
    period_s = period_s or _readable(seconds, shortest)
    if period_s % MINUTE_S or not 0 < period_s <= DAY_S:
        raise WindowError(
            f"a period of {period_s} s is not a whole number of minutes up to a day",
            hint="Ask for a period such as 1m, 5m, 1h or 1d.",
        )
    if period_s < shortest:
        raise WindowError(
            f"CloudWatch keeps periods of {period_s} s for less than {seconds / DAY_S:.0f} days",
            hint=f"Ask for a period of {shortest // MINUTE_S}m or more.",
        )
    since = math.floor((now - seconds) / period_s) * period_s
    until = (math.floor(now / period_s) + 1) * period_s
    count = (until - since) // period_s
    if count > MOST_POINTS:
        raise WindowError(
            f"{count:,} periods of {period_s} s are more than the {MOST_POINTS:,} that are read at once",
            hint="Ask for a longer period, or a shorter time.",
        )
    return Window(float(since), float(until), now, period_s)


def _readable(seconds: float, shortest: int) -> int:
    return next(
        (period for period in _PERIODS if period >= shortest and seconds / period <= _READABLE), DAY_S
    )
