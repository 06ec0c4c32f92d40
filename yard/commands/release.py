"""``yard release``, ``yard rollback``, ``yard retire``: moving an alias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from yard import moves, options, output

if TYPE_CHECKING:
    from model_store.contract.names import ByVersion
    from releases.controller import Moved
    from yard.deployment import Deployment


def release(
    ref: options.VersionRef,
    shift: Annotated[
        str | None,
        typer.Option("--shift", metavar="STEPS", help="In steps: percentages of the calls, 5,25,50."),
    ] = None,
    bake: Annotated[
        str, typer.Option("--bake", metavar="TIME", help="How long each step lasts: 90s, 2m, 1h.")
    ] = "2m",
    min_requests: Annotated[
        int, typer.Option("--min-requests", min=1, help="A step goes on only after so many requests.")
    ] = 30,
    hold: Annotated[
        str, typer.Option("--hold", metavar="TIME", help="How much longer a step waits for them, then back.")
    ] = "30m",
    detach: Annotated[bool, typer.Option("--detach", help="Start the shift and do not follow it.")] = False,
    alias: options.Alias = "live",
    reason: options.Reason = "",
    dry_run: options.DryRun = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Prepare and check a version, then let the alias serve it. Until it has passed, nothing changes.

    With --shift it takes the calls in steps, each looked at before the next; a state machine does that,
    so this terminal may close. Example: yard release digits:2 --reason "better on sevens"
    """
    from model_store.contract.names import check_alias, parse_version_ref
    from releases.controller import Controller
    from yard import deployment
    from yard.commands import shift as shifting

    wanted = parse_version_ref(ref)
    check_alias(alias)
    deployment.check_declared(wanted.model)
    place = deployment.find(stage)
    if not dry_run:
        _check_room(place, wanted)
    if shift is not None:
        return shifting.begin(
            place,
            wanted,
            steps=shift,
            bake=bake,
            hold=hold,
            min_requests=min_requests,
            alias=alias,
            reason=reason,
            detach=detach,
            dry_run=dry_run,
            as_json=as_json,
        )
    if dry_run:
        return moves.plan(place, lambda planner: planner.release(wanted, alias=alias), as_json=as_json)

    def done(moved: Moved, where: str) -> str:
        serves = f"{wanted.model}@{alias} serves {wanted}"
        return f"{serves} {where}" if moved.line else f"{serves} already; nothing moved"

    return moves.carry_out(
        place,
        f"releasing {wanted}",
        lambda stage: Controller(stage).release(wanted, alias=alias, reason=reason),
        done=done,
        as_json=as_json,
        in_seconds=True,
    )


def _check_room(place: Deployment, ref: ByVersion) -> None:
    """Refuse what Lambda has no room for before anything is prepared; a rollback never asks."""
    from model_store.contract.placement import fits_a_layer
    from model_store.versions import load_manifest
    from releases.bases import current_base
    from releases.endpoints import target_of
    from releases.kept import LAMBDA
    from releases.quotas import must_store
    from yard import deployment

    store = place.store()
    manifest = load_manifest(store, ref)
    if not fits_a_layer(manifest) or target_of(current_base(store, ref.model)) != LAMBDA:
        return  # Lambda stores its manifest, and none of its files
    for warning in must_store(deployment.quotas(), manifest.size):
        output.warn(warning)


def rollback(
    name: options.ModelName,
    to: Annotated[
        int | None, typer.Option("--to", metavar="VERSION", min=1, help="Back to this earlier release.")
    ] = None,
    now: options.Now = False,
    alias: options.Alias = "live",
    reason: options.Reason = "",
    dry_run: options.DryRun = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Let the alias serve the model version before the present one. Repeat it to go back further.

    With --to it goes back to any earlier release that still stands, and strikes out what came after.
    While a shift runs, it gets away from the version being tried. With --now it waits for nothing.
    Example: yard rollback digits --reason "wrong on sevens"
    """
    from model_store.contract.names import check_alias, check_name
    from releases.controller import Controller
    from yard import deployment

    check_name(name)
    check_alias(alias)
    if now:
        options.check_reason(reason)
    place = deployment.find(stage)
    if dry_run:
        return moves.plan(
            place, lambda planner: planner.rollback(name, alias=alias, to=to, now=now), as_json=as_json
        )

    def done(moved: Moved, where: str) -> str:
        serves = f"{name}@{alias} serves {moved.ref}"
        return f"{serves} again {where}" if moved.line else f"{serves} already; nothing moved"

    return moves.carry_out(
        place,
        f"rolling {name}@{alias} back",
        lambda stage: Controller(stage).rollback(name, alias=alias, reason=reason, to=to, now=now),
        done=done,
        as_json=as_json,
    )


def retire(
    name: options.ModelName,
    alias: options.Alias = "live",
    reason: options.Reason = "",
    dry_run: options.DryRun = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Take an alias out of service: it answers 503, and the model may leave the catalog.

    Example: yard retire digits --reason "replaced by digits-cnn"
    """
    from model_store.contract.names import check_alias, check_name
    from releases.controller import Controller
    from yard import deployment

    check_name(name)
    check_alias(alias)
    place = deployment.find(stage)
    if dry_run:
        return moves.plan(place, lambda planner: planner.retire(name, alias=alias), as_json=as_json)
    return moves.carry_out(
        place,
        f"retiring {name}@{alias}",
        lambda stage: Controller(stage).retire(name, alias=alias, reason=reason),
        done=lambda _, __: f"{name}@{alias} is out of service and answers 503",
        as_json=as_json,
    )
