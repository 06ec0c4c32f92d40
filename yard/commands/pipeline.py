"""``yard pipeline``: from data to a release, if what was made is better than what is live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output
from yard.commands.shift import FOLLOW_FOR_S, LOOK_EVERY_S
from yard.commands.train import OUT
from yard.fitting import curves, needed

if TYPE_CHECKING:
    from model_store.contract.names import ByVersion
    from training.steps import Shift
    from yard.deployment import Deployment


def pipeline(
    path: Annotated[Path, typer.Argument(metavar="PIPELINE", help="A pipeline.toml.")],
    release: Annotated[
        bool, typer.Option("--release/--no-release", help="Release what passes, or only publish it.")
    ] = True,
    detach: Annotated[bool, typer.Option("--detach", help="Start the shift and do not follow it.")] = False,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where what is made goes.")] = OUT,
    reason: options.Reason = "",
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Train, optimise, evaluate against the live version on the same test data, publish, release by a shift.

    What is not better than what is live is not published, and the exit code is 1; what is live stays. It is
    1 too where the shift was taken back. A killed run is gone on from by the same command.

    Example: yard pipeline pipeline.toml
    """
    with needed():
        from training.pipeline import run
        from training.recipe import read_recipe
        from training.steps import read_pipeline
    from model_store.contract.names import check_alias
    from releases.candidates import live_version
    from yard import deployment

    wanted = read_pipeline(path)
    alias = check_alias(wanted.alias)
    model = read_recipe(path.parent / wanted.recipe).model
    deployment.check_declared(model)
    place = deployment.find(stage)
    shifts: list[str] = []

    def released(ref: ByVersion, against: ByVersion | None, shift: Shift) -> None:
        said = reason or f"pipeline {path.name}: better than {against or 'nothing'} on the same test data"
        shifts.extend(_go_live(place, ref, against, shift, alias, said))

    def signed(ref: ByVersion) -> None:
        from yard.commands.sign import signed as sign

        if place.signed_by:
            sign(place, ref)

    with curves(f"fitting {model}") as heard:
        done = run(
            path,
            out / f"{model}-pipeline",
            out / ".data",
            store=place.store(),
            look=lambda: live_version(place.releases(output.say), model, alias=alias),
            created_by=deployment.caller(),
            release=released if release else None,
            sign=signed,
            say=output.say,
            on_epoch=heard,
        )
    against = f", {done.live.how} {done.live.metrics}" if done.live else ""
    output.done(f"{done.version} ({done.candidate.how}) {done.candidate.metrics}{against}")
    output.say(f"report: {done.report}")
    phase, said = _followed(place, model, alias, shifts, detach=detach) if done.released else ("", "")
    if as_json:
        output.print_json(
            {
                "version": done.version,
                "candidate": {"how": done.candidate.how, "metrics": done.candidate.metrics},
                "live": {"version": done.live.how, "metrics": done.live.metrics} if done.live else None,
                "released": phase == "done",
                "shift": shifts[0] if shifts else None,
                "phase": phase,
                "report": str(done.report),
            }
        )
    else:
        output.data.print(done.version)
    if phase == "done":
        output.done(f"{model}@{alias} serves {done.version}")
    elif phase == "taken back":
        output.fail(
            f"the shift of {model}@{alias} to {done.version} did not get there: {said}",
            hint=f"`yard history {model}` has the whole story.",
        )
        raise typer.Exit(1)


def _go_live(
    place: Deployment, ref: ByVersion, against: ByVersion | None, shift: Shift, alias: str, reason: str
) -> list[str]:
    """Release ``ref``; the id of the shift that takes it there, if one does."""
    from releases.candidates import Steps, go_live

    steps = Steps(shift.steps, shift.bake_s, shift.hold_s, shift.min_requests)
    id_ = go_live(place.releases(output.say), ref, against=against, steps=steps, alias=alias, reason=reason)
    return [] if id_ is None else [id_]


def _followed(
    place: Deployment, model: str, alias: str, begun: list[str], *, detach: bool
) -> tuple[str, str]:
    """How the release went: its phase, and a sentence about it."""
    from releases.watch import DONE, follow
    from yard import shifts

    if not begun:
        return DONE, ""
    if detach:
        output.people.print(f"follow it: yard watch {model}   stop it: yard stop {model}", style="dim")
        return "started", ""
    room = place.releases(output.say)
    looks = follow(room, model, alias=alias, every_s=LOOK_EVERY_S, for_s=FOLLOW_FOR_S)
    last = shifts.show(looks, as_json=False, on_stdout=False)
    return last.phase, last.said
