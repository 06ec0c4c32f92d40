"""Health: what one Lambda version answered through one alias, and when that is reason to take it back.

Three sources, because none sees everything. Lambda's own ``Errors`` count what never reaches a log line
of ours: timeouts, exhausted memory, a crash at start. Our ``Faults`` count answers of 500 and above,
which Lambda counts as success. Our ``Latency`` is measured inside the function, for inference only.

While an alias is weighted, Lambda counts each version apart (``ExecutedVersion``); afterwards only the
alias as a whole, so a reading then begins with the first whole period after the move: what the version
before it did wrong in the same minute is not held against the new one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from model_store.contract.deployment import metrics_namespace
from model_store.contract.environment import FAULTS_METRIC, LATENCY_METRIC
from releases.ports import Metric, Monitoring, Statistic

LAMBDA = "AWS/Lambda"

WORST_RATE = 0.01
"""More than one request in a hundred failing is reason to take a version back."""

LATENCY_FACTOR = 3.0
LATENCY_FLOOR_MS = 100.0
"""Three times as slow as the version before is too slow, but nobody is taken back for milliseconds."""


@dataclass(frozen=True, slots=True)
class Served:
    """One Lambda version behind one alias, as metrics see it."""

    stage: str
    function: str
    alias: str
    lambda_version: str
    model: str
    version: int
    weighted: bool

    def of_lambda(self, name: str) -> Metric:
        dimensions = [("FunctionName", self.function), ("Resource", f"{self.function}:{self.alias}")]
        if self.weighted:
            dimensions.append(("ExecutedVersion", self.lambda_version))
        return Metric(LAMBDA, name, tuple(dimensions))

    def of_ours(self, name: str) -> Metric:
        dimensions = (("model", self.model), ("version", str(self.version)))
        return Metric(metrics_namespace(self.stage), name, dimensions)


@dataclass(frozen=True, slots=True)
class Health:
    """What was seen: counts, and the 90th and 99th percentiles of the inference time in milliseconds.

    The 99th says what is usual, and is no reason to take a version back: of a hundred requests it is one.
    """

    requests: int = 0
    errors: int = 0
    faults: int = 0
    latency_ms: float | None = None
    slowest_ms: float | None = None

    def only(self, *, errors: bool) -> Health:
        """Without what Lambda counted, or without what we counted: those two see different things."""
        return replace(self, faults=0) if errors else replace(self, errors=0)

    def complaints(self, latency_limit_ms: float | None) -> list[str]:
        """Each reason to take the version back, as a clause with its numbers; none if it is well."""
        found = []
        if self.errors > self.requests * WORST_RATE:
            found.append(f"{self.errors} of {self.requests} invocations failed")
        if self.faults > self.requests * WORST_RATE:
            found.append(f"{self.faults} of {self.requests} answers were server faults")
        if latency_limit_ms and self.latency_ms and self.latency_ms > latency_limit_ms:
            found.append(f"p90 latency is {self.latency_ms:.0f} ms, the limit is {latency_limit_ms:.0f} ms")
        return found


def health(
    monitoring: Monitoring, served: Sequence[Served], *, since: float, until: float, period_s: int
) -> list[Health]:
    """Read what each of ``served`` did between two moments, all in one call."""
    asked: list[tuple[Metric, Statistic]] = []
    for one in served:
        asked += [
            (one.of_lambda("Invocations"), "Sum"),
            (one.of_lambda("Errors"), "Sum"),
            (one.of_ours(FAULTS_METRIC), "Sum"),
            (one.of_ours(FAULTS_METRIC), "SampleCount"),
            (one.of_ours(LATENCY_METRIC), "p90"),
            (one.of_ours(LATENCY_METRIC), "p99"),
        ]
    found = monitoring.read(asked, since=since, until=until, period_s=period_s)
    return [_health(*found[start : start + 6]) for start in range(0, len(found), 6)]


def _health(
    invocations: list[float],
    errors: list[float],
    faults: list[float],
    answers: list[float],
    latency: list[float],
    slowest: list[float],
) -> Health:
    # Each source lags on its own; the larger count is the one that has arrived.
    requests = max(sum(invocations), sum(answers))
    return Health(
        requests=round(requests),
        errors=round(sum(errors)),
        faults=round(sum(faults)),
        latency_ms=_middle(latency),
        slowest_ms=_middle(slowest),
    )


def _middle(periods: list[float]) -> float | None:
    """That of the middle period, so that the one with the cold starts does not decide."""
    return sorted(periods)[len(periods) // 2] if periods else None


def whole_periods_after(moment: float, period_s: int) -> float:
    """When the first period begins that holds nothing from before ``moment``."""
    return math.ceil(moment / period_s) * period_s


def latency_limit_ms(before: Health, timeout_s: int) -> float:
    """What is too slow for a version that follows ``before``: nearly its time-out if nothing is known."""
    return _too_slow(before.latency_ms, timeout_s)


def slowest_limit_ms(before: Health, timeout_s: int) -> float:
    """The same of the slowest hundredth."""
    return _too_slow(before.slowest_ms, timeout_s)


def _too_slow(usual_ms: float | None, timeout_s: int) -> float:
    if usual_ms is None:
        return timeout_s * 1000 * 0.8
    return max(usual_ms * LATENCY_FACTOR, usual_ms + LATENCY_FLOOR_MS)
