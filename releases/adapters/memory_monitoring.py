"""CloudWatch in memory: obeys the laws of ``releases.ports.Monitoring``.

Ships with the package so that tests exercise the real controller. ``record`` plays what functions and
Lambda itself count; ``evaluate`` plays CloudWatch's own clock and says which alarms begin to fire.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence

from releases.ports import Alarm, AlarmState, Clock, Metric, Statistic


class MemoryMonitoring:
    """``releases.ports.Monitoring`` without AWS. ``tell`` hears each alarm that begins to fire."""

    def __init__(self, clock: Clock, *, tell: Callable[[str, str], None] = lambda *_: None) -> None:
        self._clock = clock
        self.tell = tell
        self._points: dict[Metric, list[tuple[float, float]]] = defaultdict(list)
        self._alarms: dict[str, Alarm] = {}
        self._firing: set[str] = set()
        self._lock = threading.RLock()

    def record(self, metric: Metric, *values: float, at: float | None = None) -> None:
        """Count ``values`` now, or at another moment."""
        with self._lock:
            moment = self._clock.now() if at is None else at
            self._points[metric] += [(moment, value) for value in values]

    def read(
        self, asked: Sequence[tuple[Metric, Statistic]], *, since: float, until: float, period_s: int
    ) -> list[list[float]]:
        with self._lock:
            return [
                [value for _, value in self._periods(metric, statistic, since, until, period_s)]
                for metric, statistic in asked
            ]

    def put_alarm(self, alarm: Alarm) -> None:
        with self._lock:
            self._alarms[alarm.name] = alarm

    def alarms(self, prefix: str) -> dict[str, AlarmState]:
        with self._lock:
            return {
                name: AlarmState(name in self._firing, alarm.threshold)
                for name, alarm in sorted(self._alarms.items())
                if name.startswith(prefix)
            }

    def delete_alarms(self, names: Sequence[str]) -> None:
        with self._lock:
            for name in names:
                self._alarms.pop(name, None)
                self._firing.discard(name)

    def rearm(self, name: str, reason: str) -> None:
        del reason
        with self._lock:
            self._firing.discard(name)

    def alarm(self, name: str) -> Alarm:
        """An alarm as it was put."""
        return self._alarms[name]

    def evaluate(self) -> list[str]:
        """Look at every alarm, as CloudWatch does each minute; those that begin to fire tell."""
        with self._lock:
            now, begun = self._clock.now(), []
            for name, alarm in sorted(self._alarms.items()):
                was = name in self._firing
                if not self._calls_for(alarm, now):
                    self._firing.discard(name)
                elif not was:
                    self._firing.add(name)
                    begun.append(name)
        for name in begun:
            self.tell(name, "Threshold Crossed")
        return begun

    def _calls_for(self, alarm: Alarm, now: float) -> bool:
        since = math.floor(now / alarm.period_s) * alarm.period_s - alarm.of * alarm.period_s
        found = self._periods(alarm.metric, alarm.statistic, since, now + 1, alarm.period_s)
        return sum(value >= alarm.threshold for _, value in found) >= alarm.needed

    def _periods(
        self, metric: Metric, statistic: Statistic, since: float, until: float, period_s: int
    ) -> list[tuple[float, float]]:
        periods: dict[int, list[float]] = defaultdict(list)
        for at, value in self._points[metric]:
            if since <= at < until:
                periods[int(at // period_s)].append(value)
        return [(start * period_s, _value(periods[start], statistic)) for start in sorted(periods)]


def _value(values: list[float], statistic: Statistic) -> float:
    if statistic == "Sum":
        return sum(values)
    if statistic == "Maximum":
        return max(values)
    if statistic == "SampleCount":
        return float(len(values))
    if statistic == "Average":
        return sum(values) / len(values)
    share = float(statistic.removeprefix("p")) / 100
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
