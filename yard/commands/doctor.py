"""``yard doctor``: whether this account has room for what the catalog asks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from yard import options, output

if TYPE_CHECKING:
    from releases.quotas import Needs, Use


def doctor(stage: options.Stage = "local", as_json: options.Json = False) -> None:
    """Hold what the stage's models need against the account's quotas, before a deploy meets them.

    Reads only, in a bounded number of calls. Exits 1 when something is too little. Without a catalog here it
    says what is used. Works before the first deploy.
    Example: yard doctor --stage prod
    """
    from model_store.contract.deployment import check_stage
    from releases.quotas import survey
    from yard import deployment

    check_stage(stage)
    deployment.reach(stage)
    needs = needs_of(stage)
    with output.working("asking for quotas"):
        uses = survey(deployment.quotas(), stage, needs)
    if as_json:
        output.print_json([use.as_json() for use in uses])
    else:
        title = f"what stage {stage} needs of this account and region"
        output.data.print(output.table(title, ["quota", "used", "needed", "limit", "verdict"], _rows(uses)))
        for use in uses:
            if use.remark:
                output.say(f"{use.what}: {use.remark}")
    lacking = [use for use in uses if not use.fits]
    for use in lacking:
        output.warn(f"{use.what} is too little: {use.used + use.needed:g} of {use.limit:g}. {use.remedy}")
    if lacking:
        raise typer.Exit(1)


def needs_of(stage: str) -> Needs:
    """What the catalog here declares for ``stage``; nothing without a catalog."""
    from catalog.load import load_catalog
    from model_store.contract.endpoints import SAGEMAKER
    from releases.quotas import Needs
    from yard import deployment

    path = deployment.catalog_path()
    if path is None or not path.is_file():
        return Needs()
    models = load_catalog(path).models_for(stage).values()
    billed = [(model, model.alarms.billed(len(model.aliases))) for model in models]
    heavy = [model for model in models if model.target == SAGEMAKER]
    instances: dict[str, int] = {}
    for model in heavy:
        kind = str(model.instance_type)
        instances[kind] = instances.get(kind, 0) + len(model.versions) * model.max_instances
    return Needs(
        alarms=sum(of.on_metrics + of.composites + of.bands for _, of in billed),
        provisioned=sum(2 * model.provisioned_concurrency for model in models),
        endpoints=sum(len(model.versions) for model in heavy),
        instances=instances,
    )


def _rows(uses: list[Use]) -> list[tuple[str, ...]]:
    def number(value: float | None, unit: str) -> str:
        return "-" if value is None else f"{value:,.10g} {unit}".rstrip()

    return [
        (
            use.what,
            number(use.used, use.unit),
            number(use.needed, use.unit),
            number(use.limit, use.unit),
            use.verdict,
        )
        for use in uses
    ]
