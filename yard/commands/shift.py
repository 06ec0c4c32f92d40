"""``yard stop``, ``yard flip``, ``yard watch``, and the release in steps that ``yard release`` begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from yard import moves, options, output

if TYPE_CHECKING:
    from model_store.contract.names import ByVersion
    from releases.controller import Moved
    from yard.deployment import Deployment

LOOK_EVERY_S = 2.0
FOLLOW_FOR_S = 6 * 3600.0


def stop(
    name: options.ModelName,
    alias: options.Alias = "live",
    reason: options.Reason = "",
    dry_run: options.DryRun = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """End a shift: the version from before it answers everything again. Without a shift nothing changes.

    Example: yard stop digits --reason "odd answers on sevens"
    """
    from model_store.contract.names import check_alias, check_name
    from releases.shifting import Shifting
    from yard import deployment

    check_name(name)
    check_alias(alias)
    place = deployment.find(stage)
    if dry_run:
        return moves.plan(place, lambda planner: planner.stop(name, alias=alias), as_json=as_json)

    def done(moved: Moved, where: str) -> str:
        if moved.line is None:
            return f"no shift of {name}@{alias} is running, it serves {moved.ref}; nothing moved"
        return f"{name}@{alias} serves {moved.ref} alone again {where}"

    return moves.carry_out(
        place,
        f"stopping the shift of {name}@{alias}",
        lambda stage: Shifting(stage).stop(name, alias=alias, reason=reason),
        done=done,
        as_json=as_json,
    )


def flip(
    ref: options.VersionRef,
    now: options.Now = False,
    alias: options.Alias = "live",
    reason: options.Reason = "",
    dry_run: options.DryRun = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Break the glass: serve a version now, unchecked, whatever alarms say and whoever shifts.

    The version must have passed its checks at some time. Nothing takes this back by itself, and the
    ledger says that it was forced. Example: yard flip digits:3 --now --reason "v4 fails on sevens"
    """
    from model_store.contract.names import check_alias, parse_version_ref
    from releases.controller import Controller
    from yard import deployment

    wanted = parse_version_ref(ref)
    check_alias(alias)
    if not now:
        raise typer.BadParameter(
            f"this checks nothing and overrides alarms; write `yard release {wanted}`, or add --now"
        )
    options.check_reason(reason)
    place = deployment.find(stage)
    if dry_run:
        return moves.plan(place, lambda planner: planner.flip(wanted, alias=alias), as_json=as_json)
    return moves.carry_out(
        place,
        f"flipping {wanted.model}@{alias}",
        lambda stage: Controller(stage).flip(wanted, alias=alias, reason=reason),
        done=lambda _, where: f"{wanted.model}@{alias} serves {wanted}, forced {where}",
        as_json=as_json,
    )


def watch(
    name: options.ModelName,
    alias: options.Alias = "live",
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="How often to look.")] = "2s",
    for_: Annotated[str, typer.Option("--for", metavar="TIME", help="Give up looking after this.")] = "1h",
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Follow a shift: the shares, failures and latency of both versions, until it ends. Changes nothing.

    With --json one document a line. Exits 1 if the shift was taken back. Example: yard watch digits
    """
    from model_store.contract.names import check_alias, check_name
    from releases.watch import TAKEN_BACK, follow
    from yard import deployment, shifts

    check_name(name)
    check_alias(alias)
    every_s, for_s = max(shifts.seconds(every), 0.2), shifts.seconds(for_)
    room = deployment.find(stage).releases(output.say)
    looks = follow(room, name, alias=alias, every_s=every_s, for_s=for_s)
    last = shifts.show(looks, as_json=as_json, on_stdout=True)
    if not last.is_over:
        output.warn(f"the shift goes on; look again with `yard watch {name}`")
    if last.phase == TAKEN_BACK:
        raise typer.Exit(1)


def begin(
    place: Deployment,
    ref: ByVersion,
    *,
    steps: str,
    bake: str,
    hold: str,
    min_requests: int,
    alias: str,
    reason: str,
    detach: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Start a release in steps and follow it; what happens does not depend on this terminal."""
    from releases.shifting import Shifting, check_shares
    from yard import shifts

    shares = check_shares(shifts.percents(steps))
    bake_s, hold_s = shifts.seconds(bake), shifts.seconds(hold)
    if dry_run:
        return moves.plan(
            place,
            lambda planner: planner.shift(
                ref, shares=shares, bake_s=bake_s, hold_s=hold_s, min_requests=min_requests, alias=alias
            ),
            as_json=as_json,
        )
    begun = Shifting(place.releases(output.say)).begin(
        ref,
        shares=shares,
        bake_s=bake_s,
        hold_s=hold_s,
        min_requests=min_requests,
        alias=alias,
        reason=reason,
    )
    target = f"{ref.model}@{alias}"
    if begun is None:
        output.done(f"{target} serves {ref} already; nothing moved")
        return _told(None, ref, alias, as_json=as_json)
    verb = "is under way already" if begun.joined else "is started"
    output.done(f"the shift of {target} to {ref} {verb} (execution {begun.shift.id})")
    output.people.print(f"follow it: yard watch {ref.model}   stop it: yard stop {ref.model}", style="dim")
    if detach:
        return _told(begun.shift.id, ref, alias, as_json=as_json)
    return _follow(place, ref, alias, begun.shift.id, as_json=as_json)


def _follow(place: Deployment, ref: ByVersion, alias: str, id_: str, *, as_json: bool) -> None:
    from releases.watch import DONE, follow
    from yard import shifts

    looks = follow(
        place.releases(output.say), ref.model, alias=alias, every_s=LOOK_EVERY_S, for_s=FOLLOW_FOR_S
    )
    try:
        last = shifts.show(looks, as_json=False, on_stdout=False)
    except KeyboardInterrupt:
        output.warn(f"the shift goes on without you; look again with `yard watch {ref.model}`")
        raise
    _told(id_, ref, alias, as_json=as_json, phase=last.phase, said=last.said)
    if last.phase == DONE:
        output.done(last.said)
    else:
        output.fail(
            f"the shift of {ref.model}@{alias} to {ref} did not get there: {last.said}",
            hint=f"`yard history {ref.model}` has the whole story.",
        )
        raise typer.Exit(1)


def _told(
    id_: str | None,
    ref: ByVersion,
    alias: str,
    *,
    as_json: bool,
    phase: str = "",
    said: str = "",
) -> None:
    if as_json:
        output.print_json(
            {
                "model": ref.model,
                "alias": alias,
                "version": ref.version,
                "shift": id_,
                "phase": phase or ("started" if id_ else "none"),
                "said": said,
            }
        )
