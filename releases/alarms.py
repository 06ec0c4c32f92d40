"""The alarms of a release: made with it, looking at its version only, deleted when it is superseded.

An alias has five, whatever its history, and six while it is shifted: their names carry the release (or
shift) that they belong to, so an alarm is never asked about another release's version, and whichever is
newer removes the others. Failed invocations, faults and p90 latency take the release back; p99 latency,
failed starts and, while Lambda counts by version, throttled calls tell people and take nothing back (ADR
51). They are made *after* the move that they guard, since a move must not wait for CloudWatch; a crash
between is completed by the same command again.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_store.contract.deployment import TELLING_ALARMS, alarms_prefix
from model_store.contract.environment import FAULTS_METRIC, LATENCY_METRIC, START_FAILURES_METRIC
from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByAlias
from releases.bases import current_base
from releases.health import Health, Served, health, latency_limit_ms, slowest_limit_ms
from releases.ledger import moved_all
from releases.ports import Alarm, AlarmState, Monitoring
from releases.records import UNRELEASED, Base, Line, Plan, Prepared, moment
from releases.stage import Stage

ARMED_S = 3600.0
"""How long after its move a release is still taken back by its alarms. Later they only tell."""

ERRORS_WHILE_SHIFTING = "errors-while-shifting"
ERRORS = "errors"
FAULTS = "faults"
LATENCY = "latency"
P99 = "p99"
START_FAILURES = "start-failures"
THROTTLES_WHILE_SHIFTING = "throttles-while-shifting"

SLOW_NEEDED, SLOW_OF = 3, 5
"""Of the slowest hundredth: one caller is soon a hundredth, so more periods have to agree."""

_HISTORY_S = 3600.0
"""How far back the version before is looked at, to know what is slow."""


@dataclass(frozen=True, slots=True)
class AlarmName:
    """An alarm's name, taken apart: ``switchyard/prod/digits/live/5f0c2a9be1d44c07/faults``."""

    stage: str
    model: str
    alias: str
    release: str
    what: str

    @classmethod
    def parse(cls, name: str) -> AlarmName | None:
        """``None`` for an alarm that is not of a release.

        What a deploy makes on an alias or an endpoint has a word with a capital where the alias stands here.
        """
        parts = name.split("/")
        if len(parts) != 6 or parts[0] != "switchyard" or parts[3] != parts[3].lower():
            return None
        return cls(*parts[1:])


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too slow for a version, in milliseconds: its 90th percentile, and its 99th."""

    latency_ms: float
    slowest_ms: float


def release_of(plan: Plan) -> str:
    """What names the release that ``plan`` belongs to: its shift, or the plan itself."""
    return plan.shift or plan.id


class Alarms:
    """The alarms on one alias."""

    def __init__(self, monitoring: Monitoring, *, stage: str, model: str, alias: str, period_s: int) -> None:
        self._monitoring = monitoring
        self._prefix = alarms_prefix(stage, model, alias)
        self._period_s = period_s

    def arm(self, release: str, served: Served, *, limits: Limits) -> None:
        """Watch ``served`` for ``release``, and nothing else any more. Safe to repeat."""
        wanted = [self._alarm(release, what, served, limits) for what in _watched(served)]
        for alarm in wanted:
            self._monitoring.put_alarm(alarm)
        self._delete_all_but({alarm.name for alarm in wanted})

    def disarm(self) -> None:
        """Watch nothing. Safe to repeat."""
        self._delete_all_but(set())

    def of(self, release: str) -> dict[str, AlarmState]:
        """The alarms of ``release``, by what they watch."""
        prefix = f"{self._prefix}{release}/"
        found = self._monitoring.alarms(prefix)
        return {name.removeprefix(prefix): state for name, state in found.items()}

    def _delete_all_but(self, kept: set[str]) -> None:
        others = [name for name in self._monitoring.alarms(self._prefix) if name not in kept]
        if others:
            self._monitoring.delete_alarms(others)

    def _alarm(self, release: str, what: str, served: Served, limits: Limits) -> Alarm:
        name = f"{self._prefix}{release}/{what}"
        does = "tells people" if what in TELLING_ALARMS else "takes the alias back while it is armed"
        about = f"{served.model}:{served.version} on {served.alias}; {does}"
        if what == FAULTS:
            metric = served.of_ours(FAULTS_METRIC)
            return Alarm(name, f"Server faults of {about}", metric, "Sum", 1, self._period_s)
        if what == LATENCY:
            metric = served.of_ours(LATENCY_METRIC)
            return Alarm(name, f"Latency of {about}", metric, "p90", limits.latency_ms, self._period_s)
        if what == P99:
            metric, limit = served.of_ours(LATENCY_METRIC), limits.slowest_ms
            said = f"The slowest hundredth of {about}"
            return Alarm(name, said, metric, "p99", limit, self._period_s, SLOW_NEEDED, SLOW_OF)
        if what == START_FAILURES:
            metric = served.of_ours(START_FAILURES_METRIC)
            return Alarm(name, f"Failed starts of {about}", metric, "Sum", 1, self._period_s, 1, 1)
        if what == THROTTLES_WHILE_SHIFTING:
            metric = served.of_lambda("Throttles")
            return Alarm(name, f"Throttled calls of {about}", metric, "Sum", 1, self._period_s)
        metric = served.of_lambda("Errors")
        return Alarm(name, f"Failed invocations of {about}", metric, "Sum", 1, self._period_s)


def _watched(served: Served) -> tuple[str, ...]:
    # Lambda counts by version only while an alias has two. Before and after, its counts are the alias's,
    # which the alarms of the deploy look at.
    if served.weighted:
        return (ERRORS_WHILE_SHIFTING, FAULTS, LATENCY, P99, START_FAILURES, THROTTLES_WHILE_SHIFTING)
    return (ERRORS, FAULTS, LATENCY, P99, START_FAILURES)


def alarms_of(stage: Stage, model: str, alias: str) -> Alarms | None:
    """What keeps the alarms of an alias; ``None`` where nothing monitors."""
    if stage.monitoring is None:
        return None
    return Alarms(stage.monitoring, stage=stage.name, model=model, alias=alias, period_s=stage.alarm_period_s)


def guarded(lines: list[Line], now: float) -> Line | None:
    """The release that its alarms may take back now, if there is one.

    It is the newest move, not counting what is no step: a rollback is undone by nothing, nor is what
    somebody broke the glass for, nor what has served for longer than ``ARMED_S``.
    """
    moves = (line for line in reversed(lines) if moved_all(line) and line.plan.kind != "rebase")
    newest = next(moves, None)
    if newest is None or newest.plan.kind != "release" or newest.plan.forced:
        return None
    return newest if now <= moment(newest.plan.at) + ARMED_S else None


def arm(stage: Stage, line: Line, base: Base) -> None:
    """Watch the version that ``line`` released, on the whole alias. Safe to repeat."""
    plan = line.plan
    alarms = alarms_of(stage, plan.model, plan.alias)
    if alarms is not None:
        limits = limits_for(stage, plan.model, plan.alias, plan.from_version, base)
        alarms.arm(release_of(plan), served_now(stage, plan), limits=limits)


def settle(stage: Stage, ref: ByAlias, lines: list[Line]) -> tuple[str, ...]:
    """Watch what the alias is on if it may still be taken back, else nothing.

    Called after a move, which is done: what goes wrong here is said and not raised.
    """
    if stage.monitoring is None:
        return ()
    line = guarded(lines, stage.clock.now())
    if line is None:
        return disarm(stage, ref.model, ref.alias)
    try:
        arm(stage, line, current_base(stage.store, ref.model))
    except SwitchyardError as error:
        said = f"the alarms of this release could not be made, so nothing takes it back by itself: {error}"
        return (f"{said}; the same command again makes them",)
    return ()


def disarm(stage: Stage, model: str, alias: str) -> tuple[str, ...]:
    """Delete the alarms of an alias; what goes wrong is said, since the move is done."""
    alarms = alarms_of(stage, model, alias)
    try:
        if alarms is not None:
            alarms.disarm()
    except SwitchyardError as error:
        return (f"the alarms of the release before are still there: {error}; they change nothing any more",)
    return ()


def limits_for(stage: Stage, model: str, alias: str, version: int, base: Base) -> Limits:
    """What is too slow for whatever follows ``version``."""
    before = Health()
    if stage.monitoring is not None and version != UNRELEASED:
        now = stage.clock.now()
        asked = Served(stage.name, base.function, alias, "", model, version, weighted=False)
        (before,) = health(
            stage.monitoring,
            [asked],
            since=now - _HISTORY_S,
            until=now,
            period_s=stage.alarm_period_s,
        )
    return Limits(latency_limit_ms(before, base.timeout_s), slowest_limit_ms(before, base.timeout_s))


def served_while_shifting(stage: Stage, plan: Plan) -> tuple[Served, Served]:
    """The version that stays and the one that is tried, of a shift's line."""
    (tried,) = plan.weights
    return (
        _served(stage, plan, plan.version, plan.lambda_version, weighted=True),
        _served(stage, plan, plan.toward or UNRELEASED, tried, weighted=True),
    )


def tried_by(stage: Stage, model: str, alias: str, tried: Prepared) -> Served:
    """A version that is about to answer a share of an alias."""
    function = stage.function(model)
    return Served(stage.name, function, alias, tried.lambda_version, model, tried.version, weighted=True)


def served_now(stage: Stage, plan: Plan) -> Served:
    """The one version that serves since ``plan``."""
    return _served(stage, plan, plan.version, plan.lambda_version, weighted=False)


def _served(stage: Stage, plan: Plan, version: int, lambda_version: str, *, weighted: bool) -> Served:
    function = stage.function(plan.model)
    return Served(stage.name, function, plan.alias, lambda_version, plan.model, version, weighted=weighted)
