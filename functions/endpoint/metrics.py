"""What Prometheus reads at ``/metrics``. Labels are bounded: a model, a version, seven outcomes (law 11).

The numbers are kept here and shown through ``prometheus-client`` when somebody asks. Its own counters take a
lock for each of a dozen additions per request; everything here is counted on the event loop, which needs
none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from functions.endpoint.statuses import OUTCOMES

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LABELS = ("model", "version")
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class _Buckets:
    """How often values fell under each bound."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, name: str, words: str, labels: tuple[str, str]) -> HistogramMetricFamily:
        family = HistogramMetricFamily(name, words, labels=_LABELS)
        bounds = [*map(str, self._bounds), "+Inf"]
        totals = map(float, accumulate(self._counts))
        family.add_metric(labels, buckets=list(zip(bounds, totals, strict=True)), sum_value=self._sum)
        return family


class Metrics(Collector):
    """The numbers of one server. What never happened reads 0 and not nothing."""

    def __init__(self, model: str, version: str) -> None:
        self._labels = (model, version)
        self._outcomes = dict.fromkeys(OUTCOMES, 0)
        self._latency = _Buckets(_SECONDS)
        self._waits = _Buckets(_SECONDS)
        self._rows = _Buckets(_ROWS)
        self._depth: Callable[[], float] = lambda: 0
        self._running: Callable[[], float] = lambda: 0
        self._open: Callable[[], float] = lambda: 0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def finished(self, outcome: str, seconds: float) -> None:
        """Count a request that has its answer, or whose caller went away."""
        self._outcomes[outcome] += 1
        self._latency.add(seconds)

    def batch(self, rows: int, waits: list[float]) -> None:
        """Count a run and those who share it."""
        self._rows.add(rows)
        for seconds in waits:
            self._waits.add(seconds)

    def watch_queue(self, depth: Callable[[], float], running: Callable[[], float]) -> None:
        """Read the queue when somebody asks, which costs requests nothing."""
        self._depth, self._running = depth, running

    def watch_open(self, count: Callable[[], float]) -> None:
        """Read how many requests are not answered yet, when somebody asks."""
        self._open = count

    def page(self) -> bytes:
        """Everything, as Prometheus's text format has it."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What ``prometheus-client`` asks for."""
        requests = CounterMetricFamily(
            "switchyard_requests", "Inference requests by what became of them", labels=(*_LABELS, "outcome")
        )
        for outcome, count in self._outcomes.items():
            requests.add_metric((*self._labels, outcome), count)
        yield requests
        for name, words, buckets in (
            ("switchyard_request_seconds", "From a whole request to its answer", self._latency),
            ("switchyard_queue_seconds", "How long requests waited for their run", self._waits),
            ("switchyard_batch_rows", "Rows that ran together", self._rows),
        ):
            yield buckets.family(name, words, self._labels)
        for name, words, value in (
            ("switchyard_queue_depth", "Requests that wait for a run", self._depth),
            ("switchyard_running", "Requests that are being computed", self._running),
            ("switchyard_in_flight", "Requests that are not answered yet", self._open),
        ):
            gauge = GaugeMetricFamily(name, words, labels=_LABELS)
            gauge.add_metric(self._labels, value())
            yield gauge
