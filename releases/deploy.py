"""What a deploy asks for: aliases that exist, a recorded base, and what is live put on that base.

Law 4: the template never owns what is live. A deploy moves no alias to another model version; it
re-releases the live one on the new base, everything prepared and checked before anything moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from model_store.contract.deployment import is_declarable
from releases.bases import base_with_fingerprint, current_base, record_base, standing_base, waiting_base
from releases.errors import (
    DisagreementError,
    NotDeployedError,
    ReleaseError,
    ShiftRunningError,
    StillLiveError,
    WavesRunningError,
)
from releases.kept import DeclaredVersions, refuse_to_lose
from releases.ledger import Ledger, aliases_with_history, in_force
from releases.placement import reads_at_start
from releases.prepare import served_by
from releases.rebase import DeployedModel, Ready, Rebased, carry_out, prepare_rebase, put_back
from releases.records import UNRELEASED, Base, Line, Note
from releases.settle import wait_for_update
from releases.stage import Stage
from releases.waves import Campaigns

MODELS_AT_ONCE = 32
"""Models prepared side by side: with SnapStart each takes minutes, nearly all of them waiting."""


class Deploy:
    """What ``cdk deploy`` does with the aliases of one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def declare(self, model: DeployedModel, *, layers: tuple[str, ...], environment: dict[str, str]) -> Base:
        """Record the base that a deploy left and make sure that every declared alias exists.

        An alias that exists is never moved here (law 4). A new one points at a version that answers
        503 until the first release.
        """
        function = self._stage.function(model.model)
        config = wait_for_update(self._stage.functions, self._stage.clock, function)
        base = Base.of(
            config,
            fingerprint=model.fingerprint,
            layers=layers,
            environment=environment,
            provisioned=model.provisioned,
            rollback_depth=model.rollback_depth,
        )
        if model.waves and self._moves_something(model.model, base):
            base = replace(base, waits=True)
        record_base(self._stage.store, model.model, base)
        for alias in model.aliases:
            if self._stage.functions.alias(function, alias) is None:
                self._stage.say(f"creating {model.model}@{alias}")
                unreleased = self._stage.preparer.prepare_unreleased(model.model, base)
                self._stage.functions.create_alias(
                    function, alias, version=unreleased.lambda_version, note=Note(0, "", UNRELEASED).to_text()
                )
        return base

    def rebase(self, models: Iterable[DeployedModel], *, publish: bool = True) -> list[Line]:
        """Put what is live, and what a rollback needs, on the base that the deploy left.

        Two phases over all models: everything is prepared and checked before the first alias moves,
        so a failure moves nothing. If a move itself fails, the moves made so far are taken back.
        ``publish=False`` is for a stack that rolls back: only versions that exist already are used. What
        waits for a wave stays where it is, and so does everything while waves run.
        """
        models = list(models)
        models = [model for model in models if not self._waits(model)]
        if publish:
            self.refuse_while_in_waves()
            self.refuse_while_shifting({model.model: model.aliases for model in models})
        with ThreadPoolExecutor(MODELS_AT_ONCE) as pool:
            ready = list(pool.map(lambda model: self._prepare_rebase(model, publish=publish), models))
        moves = [move for of_model in ready for move in of_model.moves]
        try:
            for move in moves:
                carry_out(self._stage, move, reason="deploy")
            self._follow(ready, must=publish)
        except ReleaseError:
            self._take_back([move for move in moves if move.done])
            raise
        for of_model in ready:
            for warning in (
                *self._stage.pins(of_model.model).warning(of_model.prepared),
                *self._stage.keep_warm(of_model.model, of_model.base),
            ):
                self._stage.say(warning)
        return [move.done for move in moves if move.done]

    def refuse_while_in_waves(self) -> None:
        """Refuse to change a base while a rebase takes models to the one before, wave by wave.

        Not asked when a stack rolls back: nothing was moved by it.
        """
        running = Campaigns(self._stage.store).running()
        if running is not None:
            raise WavesRunningError(
                f"rebase {running.number} takes the models of `{self._stage.name}` to the base of the last "
                f"deploy in {len(running.waves)} waves (asked for by {running.by} at {running.at}), and "
                "another deploy would change the ground under it",
                hint="Complete it (`yard rebase`) or end it (`yard rebase --stop`), then deploy again.",
            )

    def _moves_something(self, model: str, base: Base) -> bool:
        """Whether ``base`` is another one than what is live stands on."""
        ledgers = aliases_with_history(self._stage.store, model)
        if all(in_force(Ledger(self._stage.store, model, alias).lines()) is None for alias in ledgers):
            return False
        try:
            return standing_base(self._stage.store, model).hash != base.hash
        except NotDeployedError:  # its ledger was restored, and this is the first deploy it meets
            return False

    def _waits(self, model: DeployedModel) -> bool:
        if not model.waves or waiting_base(self._stage.store, model.model) is None:
            return False
        self._stage.say(f"{model.model} waits on the base before for its wave: `yard rebase`")
        return True

    def refuse_while_shifting(self, declared: Mapping[str, Iterable[str]]) -> None:
        """Refuse to change a base while a release in steps stands on it.

        The version that is tried was prepared on today's base. Not asked when a stack rolls back.
        """
        for model, aliases in declared.items():
            for alias in aliases:
                newest = self._stage.shifts(model, alias).newest()
                if newest is None:
                    continue
                lines = self._stage.mover(model, alias).ledger.lines()
                running = self._stage.shifts(model, alias).running(lines, self._stage.clock.now())
                if running is not None:
                    raise ShiftRunningError(
                        f"`{running.target}` is being shifted from `{model}:{running.from_version}` to "
                        f"`{running.ref}`, and a deploy would change the ground under it",
                        hint=f"Wait for it (`yard watch {model}`) or stop it (`yard stop {model}`), "
                        "then deploy again.",
                    )

    def guard(self, declared: dict[str, tuple[str, ...]], known: Iterable[str]) -> None:
        """Refuse a deploy whose catalog lacks a model or alias that is live (law 10).

        ``known`` are the models that the store has ever heard of.
        """
        missing: list[str] = []
        for model in known:
            function = self._stage.function(model)
            # A first release that died right after its move has no line in any ledger yet.
            for state in self._stage.functions.aliases(function):
                if state.alias in declared.get(model, ()) or not is_declarable(state.alias):
                    continue
                if served_by(self._stage.functions.config(function, state.version)) != UNRELEASED:
                    missing.append(f"{model}@{state.alias}")
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            raise StillLiveError(
                f"the catalog no longer declares {names}, which still serves",
                hint="Put it back into models.toml, or take it out of service first with `yard retire`.",
            )

    def guard_endpoints(self, declared: Iterable[DeclaredVersions]) -> None:
        """Refuse a deploy that would delete the endpoint of a version that is needed (law 10)."""
        refuse_to_lose(self._stage, declared)

    def guard_reading(self, may_not_read: Iterable[str]) -> None:
        """Refuse a deploy that would shut a model out of the store while it reads what it serves there.

        A published version keeps its role, and the role is the template's: without the permission it would
        serve until its next cold start, and then no more. Asked for every alias, pins and shares included.
        """
        for model in may_not_read:
            function = self._stage.function(model)
            for state in self._stage.functions.aliases(function):
                for lambda_version in (state.version, *state.weights):
                    config = self._stage.functions.config(function, lambda_version)
                    if reads_at_start(config):
                        raise StillLiveError(
                            f"`{model}:{served_by(config)}` is read from S3 whenever it starts, `{model}@"
                            f"{state.alias}` leads to it, and the catalog gives `{model}` no `ephemeral_mb` "
                            "any more",
                            hint="Put `ephemeral_mb` back into models.toml, or first release versions that "
                            "travel as layers until no rollback needs this one.",
                        )

    def _prepare_rebase(self, model: DeployedModel, *, publish: bool) -> Ready:
        base = self._base_for(model, publish=publish)
        if base is None:
            return Ready(model.model)
        return prepare_rebase(self._stage, model, base, publish=publish)

    def _base_for(self, model: DeployedModel, *, publish: bool) -> Base | None:
        if not publish:
            return base_with_fingerprint(self._stage.store, model.model, model.fingerprint)
        base = current_base(self._stage.store, model.model)
        if base.fingerprint != model.fingerprint:
            raise DisagreementError(
                f"the last deploy of `{model.model}` left another configuration than this one expects",
                hint="Deploy all stacks of the stage together: `cdk deploy --all`.",
            )
        return base

    def _follow(self, ready: Iterable[Ready], *, must: bool) -> None:
        """Lead gRPC calls where the aliases are, also those that had not to move.

        The fleets that they went to may be deleted next, so a deploy that cannot do it has failed.
        """
        for of_model in ready:
            for alias in of_model.aliases if of_model.base else ():
                for warning in self._stage.follow(of_model.model, alias, of_model.base):
                    if must:
                        raise DisagreementError(warning, hint="Deploy again.")
                    self._stage.say(warning)

    def _take_back(self, moves: list[Rebased]) -> None:
        """Undo the moves of a rebase that failed half way; what was moved by others since stays."""
        for move in reversed(moves):
            if move.done and put_back(self._stage, move.mover, move.done, reason="deploy failed: taken back"):
                for warning in move.mover.followed:
                    self._stage.say(warning)
