"""Status: what an alias serves, why, and every disagreement between Lambda and the ledger, by name."""

from __future__ import annotations

from dataclasses import dataclass

from model_store.contract import environment as env
from model_store.contract.deployment import DEFAULT_ALIAS
from model_store.contract.names import ByAlias
from releases.bases import current_base, standing_base
from releases.endpoints import ANSWERING, KeptWarm, kept_warm
from releases.errors import NotDeployedError
from releases.following import disagreement
from releases.ledger import moved_all, step_before
from releases.placement import placed
from releases.ports import LATEST, AliasState, FunctionConfig
from releases.prepare import served_by
from releases.records import Base, Line, Note
from releases.stage import Stage


@dataclass(frozen=True, slots=True)
class ShiftStatus:
    """How far a running shift is: it tries ``version``, and this is its step number ``step``."""

    version: int
    share: float
    step: int
    steps: int
    since: str
    by: str
    driven: bool


@dataclass(frozen=True, slots=True)
class ShadowStatus:
    """A running shadow: ``share`` of the calls are mirrored to ``version``, which answers nobody."""

    version: int
    share: float
    since: str
    by: str


@dataclass(frozen=True, slots=True)
class AliasStatus:
    """What one alias serves, why, and what is wrong with it if anything is."""

    ref: ByAlias
    version: int
    digest: str
    lambda_version: str
    since: str
    by: str
    reason: str
    memory_mb: int
    on_current_base: bool
    weights: dict[str, float]
    rollback_to: int | None
    rollback_ready: bool
    disagreements: tuple[str, ...]
    shift: ShiftStatus | None = None
    shadow: ShadowStatus | None = None
    placement: str = ""
    """How the function gets the model: `layer`, or `S3 at start` and its ``/tmp``; empty before a release."""
    base: str = ""
    """The hash of the base that it stands on."""
    waits: bool = False
    """Whether the base of the last deploy waits for this model's wave of a rebase."""


def status(stage: Stage, model: str, *, alias: str = DEFAULT_ALIAS) -> AliasStatus:
    """What ``alias`` serves, and every disagreement between Lambda and the ledger, by name."""
    mover = stage.mover(model, alias)
    state = mover.find()
    if state is None:
        raise NotDeployedError(
            f"the alias `{model}@{alias}` does not exist",
            hint="Declare it in models.toml and run `cdk deploy --all` for this stage.",
        )
    lines = mover.ledger.lines()
    base = current_base(stage.store, model)
    config = stage.functions.config(base.function, state.version)
    last = next((line.plan for line in reversed(lines) if moved_all(line)), None)
    before = step_before(lines)
    shift = _shift(stage, model, alias, lines)
    stands_on = standing_base(stage.store, model) if base.waits else base
    ready = stage.preparer.find(model, before.version, stands_on) if before else None
    return AliasStatus(
        ref=ByAlias(model, alias),
        version=served_by(config),
        digest=config.environment.get(env.DIGEST, "") if config else "",
        lambda_version=state.version,
        since=last.at if last else "",
        by=last.by if last else "",
        reason=last.reason if last else "",
        memory_mb=config.memory_mb if config else 0,
        on_current_base=config is not None and config.environment.get(env.BASE) == base.hash,
        weights=state.weights,
        rollback_to=before.version if before else None,
        rollback_ready=ready is not None and stage.preparer.has_its_endpoint(ready),
        disagreements=(
            *_disagreements(state, lines, config, shift),
            *_without_endpoint(stage, base, config),
            *filter(None, (disagreement(stage, model, base, state),)),
        ),
        shift=shift,
        shadow=_shadow(lines),
        placement=placed(config),
        base=config.environment.get(env.BASE, "") if config else "",
        waits=stands_on.hash != base.hash,
    )


def endpoints_of(stage: Stage, model: str) -> list[KeptWarm]:
    """Every endpoint of ``model`` that is there, whichever alias leads to it; none for a model on Lambda."""
    endpoints = stage.endpoints_of(current_base(stage.store, model))
    return kept_warm(endpoints, stage.name, model) if endpoints else []


def _without_endpoint(stage: Stage, base: Base, config: FunctionConfig | None) -> list[str]:
    """What serves leads to an endpoint that is not there, or does not answer."""
    pinned = config.environment.get(env.ENDPOINT) if config else None
    endpoints = stage.endpoints_of(base)
    if not pinned or endpoints is None:
        return []
    found = endpoints.status(pinned) or "gone"
    if found in ANSWERING:
        return []
    return [f"the endpoint `{pinned}` that it leads to is {found}; `yard provision` makes it again"]


def _shadow(lines: list[Line]) -> ShadowStatus | None:
    if not lines or lines[-1].plan.kind != "shadow":
        return None
    plan = lines[-1].plan
    return ShadowStatus(plan.toward or 0, sum(plan.weights.values()), plan.at, plan.by)


def _shift(stage: Stage, model: str, alias: str, lines: list[Line]) -> ShiftStatus | None:
    running = stage.shifts(model, alias).running(lines, stage.clock.now())
    if running is None:
        return None
    steps = running.lines(lines)
    return ShiftStatus(
        version=running.version,
        share=sum(steps[-1].plan.weights.values()) if steps else 0.0,
        step=len(steps),
        steps=len(running.shares),
        since=steps[-1].plan.at if steps else running.at,
        by=running.by,
        driven=stage.executions is None or stage.executions.running(running.id),
    )


def _disagreements(
    state: AliasState, lines: list[Line], config: FunctionConfig | None, shift: ShiftStatus | None
) -> list[str]:
    """Each difference between what Lambda does and what the ledger says, as a sentence with a way out."""
    found: list[str] = []
    note = Note.from_text(state.note)
    last = lines[-1] if lines else None
    if config is None:
        found.append(f"the alias points at Lambda version {state.version}, which does not exist")
    if state.version == LATEST:
        found.append("the alias points at $LATEST, which no release ever does")
    asked = last.plan.weights if last else {}
    if state.weights and state.weights != asked:
        shares = ", ".join(f"version {version}: {share:.0%}" for version, share in state.weights.items())
        found.append(f"the alias splits its traffic ({shares}); no release asked for that")
    if asked and not state.weights and note is not None and last is not None and note.line == last.line:
        found.append(
            "the alias mirrors nothing, and a shadow was asked for; `yard shadow --stop` ends it"
            if last.plan.kind == "shadow"
            else "the alias gives no share to the version that a shift tries; `yard stop` ends the shift"
        )
    if shift is not None and not shift.driven:
        found.append(
            f"a shift to version {shift.version} stands at {shift.share:.0%} and nothing drives it any more; "
            "`yard stop` takes the share back"
        )
    if note is None:
        found.append("the alias's description was changed by something else than Switchyard")
    elif note.line > (last.line if last else 0):
        found.append(
            f"line {note.line} of the ledger is missing: the last move was interrupted after the alias "
            "moved; run the same command again to complete it"
        )
    elif last is not None and state.version != last.plan.lambda_version:
        found.append(
            f"the alias points at Lambda version {state.version} (model version {served_by(config)}), the "
            f"ledger says {last.plan.lambda_version} (model version {last.version}): it was moved past the "
            "ledger; `yard rollback` puts it back"
        )
    return found
