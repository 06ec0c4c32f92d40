"""CloudWatch in memory: obeys the laws of ``telemetry.ports``.

``MemoryNumbers.record`` plays what is counted, ``MemoryLines.write`` what is logged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from releases.ports import Clock, Metric
from telemetry.ports import AlarmSeen, Asked, Line, Point, Statistic, Wanted
from telemetry.reading import read_line


class MemoryNumbers:
    """``telemetry.ports.Numbers`` without AWS. ``readings`` counts what CloudWatch would have been asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._points: dict[Metric, list[tuple[float, float]]] = defaultdict(list)
        self._alarms: dict[str, AlarmSeen] = {}
        self.readings = 0

    def record(self, metric: Metric, *values: float, at: float | None = None) -> None:
        """Count ``values`` now, or at another moment."""
        moment = self._clock.now() if at is None else at
        self._points[metric] += [(moment, value) for value in values]

    def put(self, alarm: AlarmSeen) -> None:
        """An alarm as CloudWatch would show it."""
        self._alarms[alarm.name] = alarm

    def series(
        self, asked: Sequence[Asked], *, since: float, until: float, period_s: int
    ) -> list[list[Point]]:
        self.readings += 1
        return [self._periods(metric, statistic, since, until, period_s) for metric, statistic in asked]

    def counted(self, namespace: str, name: str) -> list[dict[str, str]]:
        self.readings += 1
        return [
            dict(metric.dimensions)
            for metric, points in self._points.items()
            if (metric.namespace, metric.name) == (namespace, name) and points
        ]

    def alarms(self, prefix: str, *, only_firing: bool = False) -> list[AlarmSeen]:
        self.readings += 1
        return [
            alarm
            for name, alarm in sorted(self._alarms.items())
            if name.startswith(prefix) and (alarm.state == "ALARM" or not only_firing)
        ]

    def _periods(
        self, metric: Metric, statistic: Statistic, since: float, until: float, period_s: int
    ) -> list[Point]:
        periods: dict[int, list[float]] = defaultdict(list)
        for at, value in self._points.get(metric, ()):
            if since <= at < until:
                periods[int(at // period_s)].append(value)
        return [Point(start * period_s, _value(periods[start], statistic)) for start in sorted(periods)]


def _value(values: list[float], statistic: Statistic) -> float:
    if statistic == "Sum":
        return sum(values)
    if statistic == "SampleCount":
        return float(len(values))
    if statistic == "Average":
        return sum(values) / len(values)
    if statistic == "Maximum":
        return max(values)
    rank = (len(values) - 1) * float(statistic[1:]) / 100
    ordered, below = sorted(values), int(rank)
    above = ordered[min(below + 1, len(values) - 1)]
    return ordered[below] + (above - ordered[below]) * (rank - below)


class MemoryLines:
    """``telemetry.ports.Lines`` without AWS."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[str, list[Line]] = defaultdict(list)

    def write(self, group: str, text: str, *, stream: str = "one", at: float | None = None) -> None:
        """What somebody logs, now or at another moment."""
        moment = self._clock.now() if at is None else at
        self._lines[group].append(read_line(moment, f"{group} {len(self._lines[group])}", stream, text))

    def newest(self, group: str, wanted: Wanted, *, since: float, until: float, most: int) -> list[Line]:
        return self._wanted(group, wanted, since, until)[-most:]

    def slowest(self, group: str, wanted: Wanted, *, since: float, until: float, most: int) -> list[Line]:
        found = [line for line in self._wanted(group, wanted, since, until) if "Latency" in line.fields]
        return sorted(found, key=lambda line: -line.fields["Latency"])[:most]

    def after(self, group: str, wanted: Wanted, *, since: float, most: int) -> list[Line]:
        return self._wanted(group, wanted, since, float("inf"))[:most]

    def _wanted(self, group: str, wanted: Wanted, since: float, until: float) -> list[Line]:
        lines = sorted(self._lines.get(group, ()), key=lambda line: line.at)
        return [line for line in lines if since <= line.at <= until and wanted.admits(line)]
