"""Fleet: every model of a stage at a glance, a bounded number of calls for each look.

A look asks Lambda once a model for its aliases, and CloudWatch three times: which versions were counted, one
reading of at most ``MOST_VERSIONS`` versions, and the alarms that are firing. What a Lambda version serves
never changes, so that is asked once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model_store.contract.deployment import function_name, is_declarable
from model_store.contract.environment import FAULTS_METRIC, LATENCY_METRIC
from releases.ports import Clock, Functions
from releases.prepare import served_by
from releases.records import UNRELEASED
from telemetry.alarms import firing
from telemetry.ports import AlarmSeen, Asked, Numbers
from telemetry.traffic import REQUESTS, metric_of, total, versions_counted, weighed
from telemetry.window import MINUTE_S, Window, window

MOST_VERSIONS = 125
"""Four series each: one GetMetricData call."""

ALL_ALARMS = "switchyard/{stage}/"

Shares = dict[int, dict[str, float]]
"""By version, by alias."""


@dataclass(frozen=True, slots=True)
class Share:
    """How much of an alias a version answers, from 0 to 1."""

    alias: str
    share: float


@dataclass(frozen=True, slots=True)
class Row:
    """One version of one model: what leads to it, and what it did in the window. Times in milliseconds."""

    model: str
    version: int
    shares: tuple[Share, ...]
    requests: int
    rate: float
    faults: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Look:
    """One moment of a stage. ``unread`` versions were too many to be asked about."""

    stage: str
    at: float
    window_s: float
    rows: tuple[Row, ...]
    firing: tuple[AlarmSeen, ...]
    unread: int = 0

    def firing_on(self, model: str) -> int:
        """How many alarms of ``model`` are firing."""
        return sum(model_of(alarm.name) == model for alarm in self.firing)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def model_of(alarm: str) -> str | None:
    """The model that an alarm of ours is about: ``switchyard/prod/digits/live/…/faults``."""
    parts = alarm.split("/")
    return parts[2] if len(parts) > 3 and parts[0] == "switchyard" else None


class Fleet:
    """The models of one stage, to be looked at again and again."""

    def __init__(
        self, stage: str, models: Sequence[str], functions: Functions, numbers: Numbers, clock: Clock
    ) -> None:
        self._stage = stage
        self._models = tuple(models)
        self._functions = functions
        self._numbers = numbers
        self._clock = clock
        self._serves: dict[tuple[str, str], int] = {}

    def look(self, window_s: float) -> Look:
        """What every version did in the last ``window_s`` seconds, and what leads to it now."""
        over = window(self._clock.now(), window_s, MINUTE_S)
        shares = {model: self._shares(model) for model in self._models}
        wanted = self._wanted(shares)
        rows = self._rows(wanted[:MOST_VERSIONS], shares, over)
        prefix = ALL_ALARMS.format(stage=self._stage)
        return Look(
            stage=self._stage,
            at=over.now,
            window_s=over.seconds,
            rows=tuple(sorted(rows, key=lambda row: (row.model, row.version))),
            firing=tuple(firing(self._numbers.alarms(prefix, only_firing=True))),
            unread=max(len(wanted) - MOST_VERSIONS, 0),
        )

    def _wanted(self, shares: Mapping[str, Shares]) -> list[tuple[str, int]]:
        """Whom to ask about: what an alias leads to first, then the newest."""
        counted = versions_counted(self._numbers, self._stage)
        wanted = [
            (model, version)
            for model in self._models
            for version in {*shares[model], *counted.get(model, ())}
        ]
        return sorted(wanted, key=lambda one: (one[1] not in shares[one[0]], -one[1], one[0]))

    def _rows(
        self, wanted: Sequence[tuple[str, int]], shares: Mapping[str, Shares], over: Window
    ) -> list[Row]:
        asked: list[Asked] = []
        for model, version in wanted:
            latency = metric_of(self._stage, model, version, LATENCY_METRIC)
            faults = metric_of(self._stage, model, version, FAULTS_METRIC)
            asked += [(faults, REQUESTS[1]), (faults, "Sum"), (latency, "p50"), (latency, "p99")]
        found = self._numbers.series(asked, since=over.since, until=over.until, period_s=over.whole_s)
        rows = []
        for (model, version), start in zip(wanted, range(0, len(found), 4), strict=True):
            requests, faults_of, p50, p99 = found[start : start + 4]
            count = round(total(requests))
            leading = shares[model].get(version, {})
            if count or leading:
                rows.append(
                    Row(
                        model=model,
                        version=version,
                        shares=tuple(Share(alias, share) for alias, share in sorted(leading.items())),
                        requests=count,
                        rate=count / over.seconds,
                        faults=round(total(faults_of)),
                        p50_ms=weighed(p50, requests),
                        p99_ms=weighed(p99, requests),
                    )
                )
        return rows

    def _shares(self, model: str) -> Shares:
        """How much each version of ``model`` answers of which alias."""
        found: Shares = {}
        function = function_name(self._stage, model)
        for state in self._functions.aliases(function):
            if not is_declarable(state.alias):
                continue
            rest = 1 - sum(state.weights.values())
            for number, share in ((state.version, rest), *state.weights.items()):
                version = self._served(function, number)
                if version != UNRELEASED:
                    # A mirror is another Lambda version of what is live: it answers like it, and for it.
                    of = found.setdefault(version, {})
                    of[state.alias] = of.get(state.alias, 0.0) + share
        return found

    def _served(self, function: str, number: str) -> int:
        known = self._serves.get((function, number))
        if known is None:
            config = self._functions.config(function, number)
            known = served_by(config)
            if config is not None:
                self._serves[function, number] = known
        return known
