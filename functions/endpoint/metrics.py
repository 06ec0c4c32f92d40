"""What Prometheus reads at ``/metrics``. Labels are bounded: a model, a version, seven outcomes (law 11)."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from functions.endpoint.statuses import OUTCOMES

# When a series began is no question of ours, and would double what is scraped.
disable_created_metrics()  # type: ignore[no-untyped-call]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LABELS = ("model", "version")
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The numbers of one server. Every label set is made at start, so that what never happened reads 0."""

    def __init__(self, model: str, version: str) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        labels = (model, version)
        requests = Counter(
            "switchyard_requests",
            "Inference requests by what became of them",
            (*_LABELS, "outcome"),
            registry=self._registry,
        )
        self._requests = {outcome: requests.labels(*labels, outcome) for outcome in OUTCOMES}
        self._latency = self._histogram(
            "switchyard_request_seconds", "From a request's first byte to its answer", _SECONDS
        ).labels(*labels)
        self._waits = self._histogram(
            "switchyard_queue_seconds", "How long requests waited for their run", _SECONDS
        ).labels(*labels)
        self._rows = self._histogram("switchyard_batch_rows", "Rows that ran together", _ROWS).labels(*labels)
        self._depth = self._gauge("switchyard_queue_depth", "Requests that wait for a run").labels(*labels)
        self._running = self._gauge("switchyard_running", "Requests that are being computed").labels(*labels)
        self._open = self._gauge("switchyard_in_flight", "Requests that are not answered yet").labels(*labels)

    def finished(self, outcome: str, seconds: float) -> None:
        """Count a request that has its answer, or whose caller went away."""
        self._requests[outcome].inc()
        self._latency.observe(seconds)

    def batch(self, rows: int, waits: list[float]) -> None:
        """Count a run and those who share it."""
        self._rows.observe(rows)
        for seconds in waits:
            self._waits.observe(seconds)

    def watch_queue(self, depth: Callable[[], float], running: Callable[[], float]) -> None:
        """Read the queue when somebody asks, which costs requests nothing."""
        self._depth.set_function(depth)
        self._running.set_function(running)

    def watch_open(self, count: Callable[[], float]) -> None:
        self._open.set_function(count)

    def page(self) -> bytes:
        """Everything, as Prometheus's text format has it."""
        return generate_latest(self._registry)

    def _histogram(self, name: str, words: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, words, _LABELS, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(name, words, _LABELS, registry=self._registry)
