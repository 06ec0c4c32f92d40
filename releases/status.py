"""Status: what an alias serves, why, and every disagreement between Lambda and the ledger, by name."""

from __future__ import annotations

from dataclasses import dataclass

from model_store.contract import environment as env
from model_store.contract.deployment import DEFAULT_ALIAS
from model_store.contract.names import ByAlias
from releases.bases import current_base
from releases.errors import NotDeployedError
from releases.ledger import step_before
from releases.ports import LATEST, AliasState, FunctionConfig
from releases.prepare import served_by
from releases.records import Line, Note
from releases.stage import Stage


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
    last = lines[-1].plan if lines else None
    before = step_before(lines)
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
        rollback_ready=before is not None and stage.preparer.find(model, before.version, base) is not None,
        disagreements=tuple(_disagreements(state, lines, config)),
    )


def _disagreements(state: AliasState, lines: list[Line], config: FunctionConfig | None) -> list[str]:
    """Each difference between what Lambda does and what the ledger says, as a sentence with a way out."""
    found: list[str] = []
    note = Note.from_text(state.note)
    last = lines[-1] if lines else None
    if config is None:
        found.append(f"the alias points at Lambda version {state.version}, which does not exist")
    if state.version == LATEST:
        found.append("the alias points at $LATEST, which no release ever does")
    if state.weights:
        shares = ", ".join(f"version {version}: {share:.0%}" for version, share in state.weights.items())
        found.append(f"the alias splits its traffic ({shares}); no release asked for that")
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
