"""Waving: take the models of a stage to the base that the last deploy left, wave by wave, with a stop rule.

A deploy of a stage that says ``rebase = "waves"`` records the new base and moves nothing. ``begin`` writes
down which models go in which wave; ``go_on`` carries it out: a wave's models are prepared and checked on the
base, their aliases moved to the same model versions there, and looked at for a while. A wave that holds has
its base accepted: from then on ways back go to it. The first one that does not is put back where it was, and
the rest stays where it is. Every move is a ``rebase`` line of its alias's ledger that names the wave.

Killed anywhere, the same command goes on: moves that were made are found made, and are looked at from when
they were made. Two who drive the same campaign do no harm: moves are compare-and-swap, and of two judgements
of a wave the first one stands for both. Until a base is accepted rollbacks go to the base before; one by a
person or an alarm while a wave is looked at is a reason to put that wave back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from model_store.contract.deployment import is_declarable, model_alarms_prefix
from model_store.contract.names import ByAlias, ByVersion
from model_store.versions import load_manifest, models
from releases import alarms
from releases.bases import accept_base, standing_base, waiting_base
from releases.check import check
from releases.deploy import MODELS_AT_ONCE, Deploy
from releases.errors import (
    LostRaceError,
    NotDeployedError,
    ReleaseError,
    UnfitVersionError,
    WavesRunningError,
)
from releases.health import Health, Served, health, latency_limit_ms, whole_periods_after
from releases.rebase import DeployedModel, carry_out, needed, prepare_rebase, put_back
from releases.records import Base, Line, moment, timestamp
from releases.stage import Stage
from releases.waves import BAD, DONE, HELD, Began, Campaign, Campaigns, Ended, Judged, Part, in_waves

LOOK_EVERY_S = 15.0
HISTORY_S = 3600.0
"""How far back a model is looked at before its wave, to know what failed and what was slow already."""

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Begun:
    """A campaign that is on its way. ``joined`` if it was before."""

    campaign: Campaign
    joined: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the newest campaign is: ``wave`` is the one that is not judged yet, or the last one judged."""

    number: int
    wave: int
    waves: int
    models: tuple[str, ...]
    by: str
    at: str
    ended: str | None
    why: str


def progress(stage: Stage) -> Progress | None:
    """The newest campaign of ``stage``, and how far it is; ``None`` if there never was one. Reads only."""
    campaigns = Campaigns(stage.store)
    campaign, ended = campaigns.newest()
    if campaign is None:
        return None
    wave = 1
    while wave < len(campaign.waves):
        judged = campaigns.judged(campaign.number, wave)
        if judged is None or judged.how != HELD:
            break
        wave += 1
    return Progress(
        number=campaign.number,
        wave=wave,
        waves=len(campaign.waves),
        models=campaign.waves[wave - 1],
        by=campaign.by,
        at=campaign.at,
        ended=ended.how if ended else None,
        why=ended.why if ended else "",
    )


class Waving:
    """What people do with the rebases in waves of one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._campaigns = Campaigns(stage.store)

    def waiting(self) -> dict[str, Base]:
        """The models whose base waits for a wave: two calls for each model of the stage, side by side."""
        known = list(models(self._stage.store))
        with ThreadPoolExecutor(MODELS_AT_ONCE) as pool:
            found = zip(known, pool.map(self._waiting, known), strict=True)
            return {model: base for model, base in found if base is not None}

    def plan(
        self,
        parts: Sequence[Part],
        *,
        bake_s: float,
        reason: str = "",
    ) -> Campaign:
        """The campaign that ``begin`` would start; its number is free unless one runs."""
        found = self.waiting()
        newest, _ = self._campaigns.newest()
        return Campaign(
            number=newest.number + 1 if newest else 1,
            waves=in_waves(found, parts),
            bases={model: base.hash for model, base in sorted(found.items())},
            bake_s=bake_s,
            by=self._stage.by,
            at=timestamp(self._stage.clock.now()),
            reason=reason,
        )

    def begin(
        self,
        parts: Sequence[Part] | None,
        *,
        bake_s: float,
        reason: str = "",
        otherwise: Sequence[Part] = (),
    ) -> Begun | None:
        """Write down what is to be done; ``None`` if nothing waits. Nothing has moved then.

        Without ``parts`` a campaign that runs is gone on with as it was asked for, and a new one takes
        ``otherwise``. With them, another one that runs is named and not disturbed.
        """
        running = self._campaigns.running()
        if running is not None:
            if parts is not None:
                self._must_be_the_same(running, parts, bake_s)
            return Begun(running, joined=True)
        wanted = self.plan(otherwise if parts is None else parts, bake_s=bake_s, reason=reason)
        if not wanted.waves:
            return None
        if not self._campaigns.claim(wanted):
            raise LostRaceError(
                f"somebody else began rebase {wanted.number} of `{self._stage.name}` first",
                hint="Look at `yard status`, decide again, and repeat the command if it is still right.",
            )
        return Begun(wanted, joined=False)

    def go_on(self, campaign: Campaign) -> Ended:
        """Carry the campaign out from wherever it is to its end; say how it ended. Safe to repeat.

        An error that says nothing about the base (AWS did not answer, a shift runs) goes through and leaves
        the campaign where it is.
        """
        for wave in range(1, len(campaign.waves) + 1):
            judged = self._campaigns.judged(campaign.number, wave) or self._carry_out(campaign, wave)
            if judged.how != HELD:
                self._put_back(campaign, wave, judged.why)
                return self._campaigns.end(campaign.number, Ended(BAD, f"wave {wave}: {judged.why}"))
            self._accept(campaign, wave)
        return self._campaigns.end(campaign.number, Ended(DONE))

    def stop(self, *, reason: str) -> tuple[Campaign, Ended] | None:
        """End the campaign that runs, if one does: its unfinished wave goes back, the others stay."""
        running = self._campaigns.running()
        if running is None:
            return None
        why = f"stopped by {self._stage.by}: {reason}"
        for wave in range(1, len(running.waves) + 1):
            if self._campaigns.judged(running.number, wave) is None:
                self._judge(running, wave, BAD, why)
                break
        return running, self.go_on(running)

    def _waiting(self, model: str) -> Base | None:
        try:
            return waiting_base(self._stage.store, model)
        except NotDeployedError:
            return None

    def _must_be_the_same(self, running: Campaign, parts: Sequence[Part], bake_s: float) -> None:
        try:
            waves = in_waves(running.bases, parts)
        except ReleaseError:
            waves = ()
        if (waves, bake_s) != (running.waves, running.bake_s):
            raise WavesRunningError(
                f"rebase {running.number} of `{self._stage.name}` is under way in other waves (asked for by "
                f"{running.by} at {running.at})",
                hint="Go on with it (`yard rebase`) or end it (`yard rebase --stop`).",
            )

    def _carry_out(self, campaign: Campaign, wave: int) -> Judged:
        """Prepare, move and look at one wave; return how it was judged, by this call or by somebody else."""
        going = [self._declared(campaign, model) for model in campaign.waves[wave - 1]]
        declared = [(model, base) for model, base in going if base is not None and model is not None]
        deploy = Deploy(self._stage)
        deploy.refuse_while_shifting({model.model: model.aliases for model, _ in declared})
        said = f"wave {wave} of {len(campaign.waves)}"
        self._stage.say(f"{said}: preparing {', '.join(model.model for model, _ in declared) or 'nothing'}")
        try:
            with ThreadPoolExecutor(MODELS_AT_ONCE) as pool:
                ready = list(pool.map(lambda one: prepare_rebase(self._stage, *one), declared))
        except UnfitVersionError as error:
            return self._judge(campaign, wave, BAD, f"on the new base: {error}")
        if self._campaigns.began(campaign.number, wave) is None:
            self._campaigns.begin(campaign.number, wave, self._before(declared))
        for of_model in ready:
            for move in of_model.moves:
                self._stage.say(f"{said}: moving {move.prepared.model}:{move.prepared.version}")
                carry_out(self._stage, move, reason=campaign.why(wave))
        return self._watch(campaign, wave)

    def _declared(self, campaign: Campaign, model: str) -> tuple[DeployedModel | None, Base | None]:
        """The model as the deploy that left its base declared it, unless it waits no longer."""
        base = self._waiting(model)
        if base is None or base.hash != campaign.bases[model]:
            return None, None
        return self._as_deployed(model, base), base

    def _as_deployed(self, model: str, base: Base) -> DeployedModel:
        names = (state.alias for state in self._stage.functions.aliases(base.function))
        return DeployedModel(
            model,
            base.fingerprint,
            aliases=tuple(sorted(name for name in names if is_declarable(name))),
            rollback_depth=base.rollback_depth,
            provisioned=base.provisioned,
        )

    def _before(self, declared: Sequence[tuple[DeployedModel, Base]]) -> Began:
        """What is wrong already, and what is slow, so that neither is held against the new base."""
        now = self._stage.clock.now()
        ailing: list[str] = []
        limits: dict[str, float] = {}
        for model, base in declared:
            for served in self._served(model, base):
                seen = self._health(served, since=now - HISTORY_S)
                name = f"{served.model}@{served.alias}"
                limits[name] = latency_limit_ms(seen, base.timeout_s)
                ailing += [name] if seen.complaints(None) else []
        firing = self._firing([model.model for model, _ in declared])
        return Began(now, firing, tuple(ailing), limits)

    def _served(self, model: DeployedModel, base: Base) -> Iterator[Served]:
        for mover, seen, version in needed(self._stage, model, base).serving:
            alias = mover.ledger.alias
            yield Served(
                self._stage.name,
                base.function,
                alias,
                seen.state.version,
                model.model,
                version,
                weighted=False,
            )

    def _watch(self, campaign: Campaign, wave: int) -> Judged:
        """Look at what moved for as long as was asked, then once more at golden samples; judge."""
        names = campaign.waves[wave - 1]
        while True:
            if judged := self._campaigns.judged(campaign.number, wave):
                return judged
            moves = {ref: self._moved(campaign, wave, ref) for name in names for ref in self._aliases(name)}
            made = {ref: lines for ref, lines in moves.items() if lines}
            if complaints := self._complaints(campaign, wave, made):
                return self._judge(campaign, wave, BAD, "; ".join(complaints))
            until = max((moment(lines[0].plan.at) for lines in made.values()), default=0.0) + campaign.bake_s
            left = until - self._stage.clock.now()
            if left <= 0:
                break
            self._stage.say(f"wave {wave} of {len(campaign.waves)}: looking at it for {left:.0f} s more")
            self._stage.clock.sleep(min(left, LOOK_EVERY_S))
        if complaints := list(self._asked_again(made)):
            return self._judge(campaign, wave, BAD, "; ".join(complaints))
        return self._judge(campaign, wave, HELD, f"{len(made)} aliases moved and held")

    def _aliases(self, model: str) -> list[ByAlias]:
        states = self._stage.functions.aliases(self._stage.function(model))
        return [ByAlias(model, state.alias) for state in states if is_declarable(state.alias)]

    def _moved(self, campaign: Campaign, wave: int, ref: ByAlias) -> list[Line]:
        """The line with which the wave moved an alias, and what came after it; none if it did not move it."""
        lines = self._stage.mover(ref.model, ref.alias).look().lines
        base, why = campaign.bases[ref.model], campaign.why(wave)
        for at, line in reversed(list(enumerate(lines))):
            plan = line.plan
            if (plan.kind, plan.base, plan.reason) == ("rebase", base, why):
                return lines[at:]
        return []

    def _complaints(self, campaign: Campaign, wave: int, made: dict[ByAlias, list[Line]]) -> list[str]:
        """Each reason to put the wave back, as a clause; none if it is well so far."""
        began = self._campaigns.began(campaign.number, wave)
        found: list[str] = []
        for ref, (ours, *later) in made.items():
            back = (line.plan for line in later if line.plan.kind in ("rollback", "alarm"))
            found += [f"{plan.by} took {ref} back at {plan.at}: {plan.reason}" for plan in back]
            if not later and (began is None or str(ref) not in began.ailing):
                limit = began.limits_ms.get(str(ref)) if began else None
                found += [f"{ref}: {said}" for said in self._ails(ours, limit)]
        before = began.firing if began else ()
        firing = self._firing(sorted({ref.model for ref in made}))
        return found + [f"`{name}` is in ALARM" for name in firing if name not in before]

    def _ails(self, ours: Line, limit_ms: float | None) -> list[str]:
        """What the moved version did since its move. Lambda's own counts hold what served before it too,
        so they are read from the first whole period on."""
        served, at = alarms.served_now(self._stage, ours.plan), moment(ours.plan.at)
        seen = self._health(served, since=at).only(errors=False).complaints(limit_ms)
        whole = whole_periods_after(at, self._stage.alarm_period_s)
        return seen + self._health(served, since=whole).only(errors=True).complaints(None)

    def _health(self, served: Served, *, since: float) -> Health:
        now = self._stage.clock.now()
        if self._stage.monitoring is None or since >= now:
            return Health()
        period_s = self._stage.alarm_period_s
        (found,) = health(self._stage.monitoring, [served], since=since, until=now, period_s=period_s)
        return found

    def _firing(self, names: Sequence[str]) -> tuple[str, ...]:
        monitoring = self._stage.monitoring
        if monitoring is None:
            return ()
        found = (monitoring.alarms(model_alarms_prefix(self._stage.name, name)) for name in names)
        return tuple(name for states in found for name, state in states.items() if state.firing)

    def _asked_again(self, made: dict[ByAlias, list[Line]]) -> Iterator[str]:
        """What does not reproduce its golden sample any more."""
        for ref, (ours, *later) in made.items():
            if later:
                continue
            plan = ours.plan
            manifest = load_manifest(self._stage.store, ByVersion(ref.model, plan.version))
            function = self._stage.function(ref.model)
            try:
                check(self._stage.functions, self._stage.clock, manifest, function, plan.lambda_version)
            except UnfitVersionError as error:
                yield str(error)

    def _judge(self, campaign: Campaign, wave: int, how: str, why: str) -> Judged:
        at = timestamp(self._stage.clock.now())
        judged = self._campaigns.judge(campaign.number, wave, Judged(how, why, self._stage.by, at))
        self._stage.say(f"wave {wave} of {len(campaign.waves)}: {judged.how}, {judged.why}")
        return judged

    def _accept(self, campaign: Campaign, wave: int) -> None:
        """Let the models of a wave that held stand on their base, ways back and numbers included."""
        for name in campaign.waves[wave - 1]:
            model, base = self._declared(campaign, name)
            if model is None or base is None:
                continue
            found = (
                self._stage.preparer.find(name, version, base)
                for version in needed(self._stage, model, base).versions
            )
            prepared = [one for one in found if one is not None]
            for warning in (
                *self._stage.pins(name).warning(prepared),
                *self._stage.keep_warm(name, base),
            ):
                self._stage.say(warning)
            # Last: whoever finds it accepted finds the rest done.
            accept_base(self._stage.store, name, base)

    def _put_back(self, campaign: Campaign, wave: int, why: str) -> None:
        """Move what the wave moved, and nobody moved since, to where it was. Safe to repeat."""
        for name in campaign.waves[wave - 1]:
            for ref in self._aliases(name):
                for attempt in range(ROUNDS):
                    lines = self._moved(campaign, wave, ref)
                    if len(lines) != 1:
                        break
                    self._stage.say(f"putting {ref} back on the base before")
                    mover, reason = (
                        self._stage.mover(ref.model, ref.alias),
                        f"{campaign.why(wave)}: back, {why}",
                    )
                    try:
                        put_back(self._stage, mover, lines[0], reason=reason)
                        break
                    except LostRaceError:
                        if attempt == ROUNDS - 1:
                            raise
            # What was kept started for the move is called by nobody now.
            for warning in self._stage.keep_warm(name, standing_base(self._stage.store, name)):
                self._stage.say(warning)
