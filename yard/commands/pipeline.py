"""``yard pipeline``: from data to a release, if what was made is better than what is live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yard import options, output
from yard.commands.train import OUT
from yard.fitting import curves, needed


def pipeline(
    path: Annotated[Path, typer.Argument(metavar="PIPELINE", help="A pipeline.toml.")],
    release: Annotated[
        bool, typer.Option("--release/--no-release", help="Release what passes, or only publish it.")
    ] = True,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where what is made goes.")] = OUT,
    reason: options.Reason = "",
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Train, optimise, evaluate against the live version on the same test data, publish, release.

    What is not better than what is live is not published, and the exit code is 1; what is live stays. A
    killed run is gone on from by the same command. Example: yard pipeline pipeline.toml
    """
    with needed():
        from training.pipeline import read_pipeline, run
        from training.recipe import read_recipe
    from model_store.contract.names import ByVersion, check_alias
    from releases.controller import Controller
    from releases.ledger import in_force
    from yard import deployment

    wanted = read_pipeline(path)
    check_alias(wanted.alias)
    model = read_recipe(path.parent / wanted.recipe).model
    deployment.check_declared(model)
    place = deployment.find(stage)
    controller = Controller(place.releases(output.say))
    step = in_force(controller.history(model, alias=wanted.alias))
    live = ByVersion(model, step.version) if step else None

    def released(ref: ByVersion) -> None:
        said = reason or f"pipeline {path.name}: better than {live} on the same test data"
        controller.release(ref, alias=wanted.alias, reason=said)

    with curves(f"fitting {model}") as heard:
        done = run(
            path,
            out / f"{model}-pipeline",
            out / ".data",
            store=place.store(),
            live=live,
            created_by=deployment.caller(),
            release=released if release else None,
            say=output.say,
            on_epoch=heard,
        )
    against = f", {live} {done.live.metrics}" if done.live else ""
    output.done(f"{done.version} ({done.candidate.how}) {done.candidate.metrics}{against}")
    if done.released:
        output.done(f"{model}@{wanted.alias} serves {done.version}")
    output.say(f"report: {done.report}")
    if as_json:
        output.print_json(
            {
                "version": done.version,
                "candidate": {"how": done.candidate.how, "metrics": done.candidate.metrics},
                "live": {"version": str(live), "metrics": done.live.metrics} if done.live else None,
                "released": done.released,
                "report": str(done.report),
            }
        )
    else:
        output.data.print(done.version)
