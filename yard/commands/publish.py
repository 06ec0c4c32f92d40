"""``yard publish``: store a model as its next version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yard import options, output


def publish(
    name: options.ModelName,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="An ONNX file, or a folder with one.")],
    sample: Annotated[
        Path | None,
        typer.Option("--sample", metavar="FILE", help="Inputs of the golden sample: V2 JSON or .npz."),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="K=V", help="A number to keep, repeatable.")
    ] = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="A sentence to keep.")] = "",
    new: Annotated[bool, typer.Option("--new", help="A new version even of bytes that are one.")] = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Store a model as its next version: checked, run once for its golden sample, immutable for ever.

    Example: yard publish digits examples/digits/v1/model.onnx --metric accuracy=0.95
    """
    from model_store import publish as room
    from model_store.contract.names import check_name
    from yard import deployment

    check_name(name)
    metrics = _metrics(metric or [])
    deployment.check_declared(name)
    place = deployment.find(stage)
    with output.transferring(f"publishing {name}") as progress:
        published = room.publish(
            place.store(),
            name,
            path,
            sample=sample,
            metrics=metrics,
            note=note,
            created_by=deployment.caller(),
            force_new=new,
            on_progress=progress,
        )
    manifest = published.manifest
    for remark in published.remarks:
        output.warn(remark)
    if published.created:
        output.done(f"{manifest.ref} is published, {manifest.size:,} bytes, {manifest.digest}")
    else:
        output.done(f"these bytes are {manifest.ref} already; nothing was stored")
    output.people.print(f"next: yard release {manifest.ref}", style="dim")
    if as_json:
        output.print_json(
            {
                "model": manifest.model,
                "version": manifest.version,
                "digest": str(manifest.digest),
                "size": manifest.size,
                "created": published.created,
                "metrics": manifest.metrics,
            }
        )
    else:
        output.data.print(str(manifest.ref))


def _metrics(given: list[str]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for item in given:
        key, equals, value = item.partition("=")
        try:
            metrics[key] = float(value)
        except ValueError:
            equals = ""
        if not key or not equals:
            raise typer.BadParameter(f"`{item}` is not a metric; write for example accuracy=0.97")
    return metrics
