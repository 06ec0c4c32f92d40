"""``yard adopt``: take over a model that answers already, while it goes on answering."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output
from yard.commands.publish import Sample

if TYPE_CHECKING:
    from model_store.publish import Published
    from releases.adoption import Integration, Running, RunningEndpoint, RunningFunction
    from releases.stage import Stage
    from yard.deployment import Deployment


def adopt(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="lambda:FUNCTION[:ALIAS] or sagemaker:ENDPOINT: it answers.")
    ],
    name: options.ModelName,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The files of the model that it runs.")],
    sample: Sample = None,
    plain: Annotated[
        str | None,
        typer.Option("--plain", metavar="TAKES=GIVES", help="It takes and gives one key of JSON each."),
    ] = None,
    api: Annotated[
        str | None,
        typer.Option("--api", metavar="ID", help="Lead the routes of this HTTP API here, which lead to it."),
    ] = None,
    publish_only: Annotated[
        bool, typer.Option("--publish-only", help="Store the version and release nothing.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Lead the routes of --api back to where they led before.")
    ] = False,
    alias: options.Alias = "live",
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Make a version of what answers already, release it, and lead its callers here, without a gap.

    Its own answers are the golden sample; files that are not its model are refused. It is never changed. An
    endpoint goes on running its version behind the gateway, until the next release.
    Example: yard adopt lambda:scores:prod digits model.onnx --api a1b2c3d4
    """
    from model_store.contract.deployment import function_name
    from model_store.contract.names import check_alias, check_name
    from releases import adoption
    from yard import deployment

    check_name(name)
    check_alias(alias)
    deployment.check_declared(name)
    if undo and api is None:
        raise typer.BadParameter("--undo leads routes back; name their HTTP API with --api ID")
    place = deployment.find(stage)
    function = function_name(stage, name)
    if undo and api is not None:
        led = adoption.give_back(place.fronts(), api, function=function)
        output.done(f"{len(led)} integrations of {api} lead to where they led before")
        return _told(None, led, as_json=as_json)
    with output.working(f"adopting {what}") as steps:
        room = place.releases(steps)
        running = _running(place, room, what, name, plain)
        published = _published(place, running, name, path, sample)
    ref = published.manifest.ref
    output.done(f"{ref} is what {what} runs; its golden sample is what that answers")
    if publish_only:
        output.people.print(f"next: yard release {ref}", style="dim")
        return _told(published, [], as_json=as_json)
    _release(place, published, what, alias)
    taken: list[Integration] = []
    if api is not None and isinstance(running, adoption.RunningFunction):
        taken = adoption.take_over(place.fronts(), api, running, function=function, alias=alias)
        output.done(f"{len(taken)} integrations of {api} lead to {name}@{alias} from now on")
    output.people.print(f"{what} goes on answering; nothing of it was changed", style="dim")
    return _told(published, taken, as_json=as_json)


def _running(
    place: Deployment, room: Stage, what: str, name: str, plain: str | None
) -> RunningFunction | RunningEndpoint:
    from model_store.contract.errors import InvalidNameError
    from releases.adoption import Plain, RunningEndpoint, RunningFunction

    kind, _, written = what.partition(":")
    if kind == "sagemaker" and written:
        return RunningEndpoint(written, place.asked_endpoint(written))
    if kind != "lambda":
        raise InvalidNameError(
            f"`{what}` is nothing that can be adopted",
            hint="Write `lambda:FUNCTION`, with the alias that callers use, or `sagemaker:ENDPOINT`.",
        )
    asked = Plain.parse(plain) if plain is not None else None
    return RunningFunction(room.functions, written, name, plain=asked)


def _published(place: Deployment, running: Running, name: str, path: Path, sample: Path | None) -> Published:
    from model_store.publish import publish
    from releases.adoption import own_answers
    from yard import deployment

    published = publish(
        place.store(),
        name,
        path,
        sample=sample,
        lineage=running.facts,
        created_by=deployment.caller(),
        answered=lambda golden: own_answers(running, golden),
    )
    if place.signed_by:
        from yard.commands.sign import signed

        signed(place, published.manifest.ref)
    return published


def _release(place: Deployment, published: Published, what: str, alias: str) -> None:
    from releases.controller import Controller

    ref = published.manifest.ref
    with output.working(f"releasing {ref}") as steps:
        room = place.releases(steps)
        moved = Controller(room).release(ref, alias=alias, reason=f"adopted from {what}")
    for warning in moved.warnings:
        output.warn(warning)
    output.done(f"{ref.model}@{alias} serves {ref}" + ("" if moved.line else " already"))


def _told(published: Published | None, led: list[Integration], *, as_json: bool) -> None:
    if not as_json:
        if published is not None:
            output.data.print(str(published.manifest.ref))
        return
    manifest = published.manifest if published else None
    output.print_json(
        {
            "model": manifest.model if manifest else None,
            "version": manifest.version if manifest else None,
            "digest": str(manifest.digest) if manifest else None,
            "created": published.created if published else False,
            "lineage": dict(manifest.lineage) if manifest else {},
            "led": [{"integration": item.id, "routes": list(item.routes)} for item in led],
        }
    )
