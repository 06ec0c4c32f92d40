"""``yard rebase``: take what is live to the base of the last deploy, in waves with a stop rule."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from releases.waves import Campaign, Ended, Part

DEFAULT_WAVES = "5,25"


def rebase(
    waves: Annotated[
        str | None,
        typer.Option(
            "--waves",
            metavar="PARTS",
            help="Up to which percentage of the models, or which, each wave goes: 5,25 or digits,words+spam. "
            f"The rest is the last one. {DEFAULT_WAVES} unless one is under way.",
        ),
    ] = None,
    bake: Annotated[
        str, typer.Option("--bake", metavar="TIME", help="How long each wave is looked at: 90s, 10m, 1h.")
    ] = "10m",
    stop: Annotated[
        bool, typer.Option("--stop", help="End it: the wave that is not judged yet goes back.")
    ] = False,
    reason: options.Reason = "",
    dry_run: options.DryRun = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Move all models to the base of the last deploy, wave by wave; the first bad one goes back and ends it.

    For a stage whose catalog says rebase = "waves". The same command goes on after it was interrupted. Exits
    1 when a wave was bad. Example: yard rebase --waves 5,25 --bake 10m --reason CVE-2026-1234
    """
    from releases.errors import ReleaseError
    from releases.waves import BAD
    from releases.waving import Waving
    from yard import deployment, shifts

    parts = None if waves is None else read_parts(waves)
    bake_s = shifts.seconds(bake)
    place = deployment.find(stage)
    if dry_run:
        planned = Waving(place.releases(output.say)).plan(
            parts or read_parts(DEFAULT_WAVES), bake_s=bake_s, reason=reason
        )
        return _show_plan(planned, as_json=as_json)
    if stop:
        with output.working(f"ending the rebase of {stage}") as steps:
            stopped = Waving(place.releases(steps)).stop(reason=reason or "no reason given")
        if stopped is None:
            output.done("no rebase in waves is under way; nothing moved")
            return _told(None, None, as_json=as_json)
        output.done(f"rebase {stopped[0].number} is ended: {stopped[1].why or 'every wave had held'}")
        return _told(*stopped, as_json=as_json)
    with output.working(f"rebasing {stage}") as steps:
        waving = Waving(place.releases(steps))
        begun = waving.begin(parts, bake_s=bake_s, reason=reason, otherwise=read_parts(DEFAULT_WAVES))
        ended = waving.go_on(begun.campaign) if begun else None
    if begun is None or ended is None:
        output.done("every model stands on the base of the last deploy; nothing moved")
        return _told(None, None, as_json=as_json)
    campaign = begun.campaign
    _told(campaign, ended, as_json=as_json)
    if ended.how == BAD:
        raise ReleaseError(
            f"rebase {campaign.number} was stopped at {ended.why}; that wave is back on the base before",
            hint="Repair the layer and deploy it, or run `yard rebase` again if the base was not the reason.",
        )
    names = sum(len(wave) for wave in campaign.waves)
    output.done(f"{names} models stand on the base of the last deploy, in {len(campaign.waves)} waves")
    return None


def read_parts(text: str) -> tuple[Part, ...]:
    """Read ``5,25`` or ``digits,words+spam``: percentages and names, in order."""
    from model_store.contract.names import check_name

    parts: list[Part] = []
    for part in text.split(","):
        written = part.strip()
        try:
            percent = float(written)
        except ValueError:
            parts.append(tuple(check_name(name.strip()) for name in written.split("+")))
            continue
        if not 0 < percent <= 100:
            raise typer.BadParameter(f"`{written}` is no percentage between 0 and 100")
        parts.append(percent)
    return tuple(parts)


def _show_plan(campaign: Campaign, *, as_json: bool) -> None:
    if as_json:
        return output.print_json(asdict(campaign))
    rows = [(number, ", ".join(names)) for number, names in enumerate(campaign.waves, 1)]
    if rows:
        output.data.print(output.table(f"rebase {campaign.number}", ["wave", "models"], rows))
    else:
        output.data.print("every model stands on the base of the last deploy: nothing would be done")
    return output.people.print("this was only the plan; nothing was changed", style="dim")


def _told(campaign: Campaign | None, ended: Ended | None, *, as_json: bool) -> None:
    if as_json:
        output.print_json(
            {
                "rebase": asdict(campaign) if campaign else None,
                "ended": ended.how if ended else None,
                "why": ended.why if ended else "",
            }
        )
