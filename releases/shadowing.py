"""Shadowing: a version answers some of an alias's requests a second time, and nobody gets its answers.

A *mirror* is a Lambda version of what is live that hands every inference on, after it has answered it,
to the Lambda alias of the shadow (``functions.inference.mirror``). The share of the calls that are to be
mirrored is the mirror's share of the alias: so Lambda draws it, and it begins and ends with one
compare-and-swap on the alias and one line of its ledger, as a step of a shift does. Both versions behind the
alias are the same model version on the same base; a caller cannot tell them apart.

Any move of the alias ends it, since a move clears the weights. A crash before the last call changes nothing
that serves, and the same command again goes on.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from model_store.contract.deployment import DEFAULT_ALIAS, metrics_namespace, shadow_alias
from model_store.contract.environment import (
    AGREES_METRIC,
    SHADOW_FAULTS_METRIC,
    SHADOW_LATENCY_METRIC,
    SHADOW_LOST_METRIC,
    SHADOWED_LATENCY_METRIC,
)
from model_store.contract.names import ByAlias, ByVersion
from model_store.versions import load_manifest
from releases import headroom
from releases.bases import current_base
from releases.controller import Moved
from releases.errors import DisagreementError, LostRaceError, ReleaseError
from releases.ledger import Step, in_force
from releases.move import Seen, shadow_in
from releases.ports import Metric, Statistic
from releases.records import Line, Note, Prepared, moment
from releases.shifts import refuse_while_running
from releases.stage import Stage
from releases.warm import refuse_weights

ROUNDS = 5

PERIOD_S = 60
"""Counts are read by the minute: what was compared just now may not be there yet."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A shadow that runs. ``line`` is its line of the ledger; ``joined`` if it ran already."""

    ref: ByVersion
    alias: str
    against: int
    share: float
    line: Line
    joined: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What came of the newest shadow of an alias, so far or in the end.

    ``version`` is the one that nobody is answered by, ``against`` the one that answers. Latencies are 90th
    percentiles in milliseconds, of the middle minute, for the same requests. ``lost`` ones were to be
    mirrored and were not.
    """

    model: str
    alias: str
    version: int
    against: int
    share: float
    since: str
    until: str | None
    by: str
    reason: str
    compared: int = 0
    agreed: int = 0
    failed: int = 0
    lost: int = 0
    latency_ms: float | None = None
    answered_latency_ms: float | None = None

    @property
    def running(self) -> bool:
        return self.until is None

    @property
    def agreement(self) -> float | None:
        """The part of the compared requests on which both versions answered the same."""
        return self.agreed / self.compared if self.compared else None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "running": self.running, "agreement": self.agreement}


@dataclass(frozen=True, slots=True)
class Difference:
    """One mirrored request that was not answered alike: which outputs, and how, or what came instead.

    ``request_id`` is the API's, which the caller got too and the log line of the answer names.
    """

    request_id: str
    status: int
    differs: dict[str, str]
    ms: float
    answered_ms: float


class Shadowing:
    """What people do with the shadows of one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def begin(self, ref: ByVersion, *, share: float, alias: str = DEFAULT_ALIAS, reason: str = "") -> Begun:
        """Mirror ``share`` of the calls of ``alias`` to ``ref``, which is prepared and checked first.

        Asking twice is asking once; another shadow of the alias is replaced. Refused where there is
        nothing to compare with, and while a shift runs: an alias has one other version at a time.
        """
        manifest = load_manifest(self._stage.store, ref)
        self._stage.must_be_signed(ref)
        base = current_base(self._stage.store, ref.model)
        refuse_weights(base, ref)
        mover = self._stage.mover(ref.model, alias)
        seen = mover.look()
        live = can_begin(self._stage, seen, ref, alias)
        prepared = self._stage.preparer.prepare(manifest, base)
        warnings = headroom.check_shadow(self._stage, ref, alias, share)
        self._lead(ref.model, alias, prepared)
        running = shadow_in(seen)
        if running is not None and shadows_already(running, ref, share):
            return Begun(ref, alias, live.version, share, running, joined=True, warnings=warnings)
        self._stage.say(f"publishing a mirror of {ref.model}:{live.version}")
        mirror = self._stage.preparer.prepare_mirror(
            load_manifest(self._stage.store, ByVersion(ref.model, live.version)),
            base,
            shadow=json.dumps({"alias": shadow_alias(alias), "version": ref.version}),
        )
        line = mover.mirror(seen, mirror=mirror, share=share, shadow=ref.version, reason=reason)
        return Begun(ref, alias, live.version, share, line, joined=False, warnings=warnings)

    def stop(self, model: str, *, alias: str = DEFAULT_ALIAS, reason: str = "") -> Moved:
        """Mirror nothing any more. Without a shadow nothing changes.

        A rollback at the same moment ends the shadow too; then there is nothing left to stop.
        """
        mover = self._stage.mover(model, alias)
        for attempt in range(ROUNDS):
            seen = mover.look()
            last = seen.lines[-1] if seen.lines else None
            if last is None or last.plan.kind != "shadow":
                done = seen.completed if last is not None and last.plan.kind == "stop" else None
                version = last.version if last is not None else 0
                return Moved(ByVersion(model, version), alias, seen.state.version, done)
            plan = last.plan
            here = Prepared(model, plan.version, plan.digest, plan.base, plan.lambda_version)
            try:
                line = mover.move(seen, kind="stop", to=here, reason=reason)
            except LostRaceError:
                if attempt == ROUNDS - 1:
                    raise
                continue
            return Moved(ByVersion(model, plan.version), alias, plan.lambda_version, line)
        raise AssertionError("the last round returns or raises")

    def report(self, model: str, *, alias: str = DEFAULT_ALIAS) -> Report | None:
        """What the newest shadow of ``alias`` was like; ``None`` if there never was one. Changes nothing."""
        lines = self._stage.mover(model, alias).look(complete=False).lines
        at = next((i for i in reversed(range(len(lines))) if lines[i].plan.kind == "shadow"), None)
        if at is None:
            return None
        plan = lines[at].plan
        ended = lines[at + 1].plan.at if at + 1 < len(lines) else None
        counts = self._counted(model, plan.toward or 0, plan.at, ended)
        return Report(
            model=model,
            alias=alias,
            version=plan.toward or 0,
            against=plan.version,
            share=sum(plan.weights.values()),
            since=plan.at,
            until=ended,
            by=plan.by,
            reason=plan.reason,
            **counts,
        )

    def differences(self, report: Report, *, most: int = 20) -> list[Difference]:
        """The newest requests of a shadow on which the versions did not agree. Changes nothing."""
        if self._stage.journal is None:
            return []
        wanted: dict[str, str | bool] = {"route": "shadow", "version": str(report.version), "agrees": False}
        until = moment(report.until) + PERIOD_S if report.until else self._stage.clock.now() + 1
        lines = self._stage.journal.lines(
            self._stage.function(report.model), wanted, since=moment(report.since), until=until, most=most
        )
        return [
            Difference(
                request_id=str(line.get("request_id", "")),
                status=int(line.get("status", 0)),
                differs=dict(line.get("differs") or {}),
                ms=float(line.get("ms", 0)),
                answered_ms=float(line.get("answered_ms", 0)),
            )
            for line in lines
        ]

    def _lead(self, model: str, alias: str, prepared: Prepared) -> None:
        """Let the shadow's Lambda alias lead there. Mirrored requests name the version they are for."""
        function, name = self._stage.function(model), shadow_alias(alias)
        note = Note(0, "", prepared.version).to_text()
        state = self._stage.functions.alias(function, name)
        if state is None:
            self._stage.functions.create_alias(function, name, version=prepared.lambda_version, note=note)
        elif state.version != prepared.lambda_version or state.weights:
            self._stage.functions.move_alias(
                function, name, version=prepared.lambda_version, note=note, revision=state.revision
            )

    def _counted(self, model: str, version: int, since: str, until: str | None) -> dict[str, Any]:
        if self._stage.monitoring is None:
            return {}
        dimensions = (("model", model), ("version", str(version)))
        asked: list[tuple[str, Statistic]] = [
            (AGREES_METRIC, "SampleCount"),
            (AGREES_METRIC, "Sum"),
            (SHADOW_FAULTS_METRIC, "Sum"),
            (SHADOW_LOST_METRIC, "Sum"),
            (SHADOW_LATENCY_METRIC, "p90"),
            (SHADOWED_LATENCY_METRIC, "p90"),
        ]
        namespace = metrics_namespace(self._stage.name)
        began = moment(since)
        # Asynchronous calls are answered a while after the last one was mirrored.
        end = min(moment(until) + PERIOD_S, self._stage.clock.now()) if until else self._stage.clock.now()
        found = self._stage.monitoring.read(
            [(Metric(namespace, name, dimensions), statistic) for name, statistic in asked],
            since=began,
            until=max(end, began + 1),
            period_s=_period_s(end - began),
        )
        compared, agreed, failed, lost = (round(sum(values)) for values in found[:4])
        return {
            "compared": compared,
            "agreed": agreed,
            "failed": failed,
            "lost": lost,
            "latency_ms": _middle(found[4]),
            "answered_latency_ms": _middle(found[5]),
        }


def can_begin(stage: Stage, seen: Seen, ref: ByVersion, alias: str) -> Step:
    """What ``ref`` would be compared with; refuse where that means nothing."""
    target = ByAlias(ref.model, alias)
    running = stage.shifts(ref.model, alias).running(seen.lines, stage.clock.now())
    refuse_while_running(running, seen.lines, f"yard flip {ref} --now --reason TEXT")
    live = in_force(seen.lines)
    if live is None:
        raise ReleaseError(
            f"`{target}` serves nothing yet, so there is nothing to mirror",
            hint=f"Release a version first: `yard release {ref}`.",
        )
    if live.version == ref.version:
        raise ReleaseError(
            f"`{ref}` is what `{target}` serves, and would be compared with itself",
            hint=f"Name another version: `yard versions {ref.model}`.",
        )
    if seen.lines[-1].plan.lambda_version != seen.state.version or (
        seen.state.weights and shadow_in(seen) is None
    ):
        raise DisagreementError(
            f"`{target}` is not where its ledger says",
            hint=f"Put it right first: `yard status {ref.model}` says how.",
        )
    here = stage.preparer.find(ref.model, live.version, current_base(stage.store, ref.model))
    if here is None or here.lambda_version != seen.state.version:
        again = f"yard release {ref.model}:{live.version}"
        again += "" if alias == DEFAULT_ALIAS else f" --alias {alias}"
        raise DisagreementError(
            f"`{target}` stands on an older base, and a mirror on today's could answer otherwise",
            hint=f"Put it on today's base first: `{again}`.",
        )
    return live


def shadows_already(running: Line, ref: ByVersion, share: float) -> bool:
    """Whether that is what runs."""
    return running.plan.toward == ref.version and sum(running.plan.weights.values()) == share


def check_share(percent: float) -> float:
    """Return the share as a part of one, or refuse it: all calls cannot go through a second version."""
    if 0 < percent < 100:
        return round(percent / 100, 4)
    raise ReleaseError(
        f"`{percent:g}%` is no share that can be mirrored",
        hint="Write a percentage above 0 and below 100, for example `--sample 10%`.",
    )


def _period_s(seconds: float) -> int:
    """Minutes, or hours of a shadow that ran for long: CloudWatch keeps minutes for 15 days."""
    return PERIOD_S if seconds < 12 * 3600 else 3600


def _middle(values: list[float]) -> float | None:
    """The middle period, so that the one with the cold starts does not decide."""
    return round(sorted(values)[len(values) // 2], 3) if values else None
