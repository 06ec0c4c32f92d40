"""``yard publish`` and ``yard import``: store a model as its next version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from model_store.publish import Published
    from model_store.source import Source


Sample = Annotated[
    Path | None,
    typer.Option("--sample", metavar="FILE", help="Inputs of the golden sample: V2 JSON or .npz."),
]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        help="Rows of the training data, to compare with later: .npz, .csv, .parquet.",
    ),
]
Metric = Annotated[
    list[str] | None, typer.Option("--metric", metavar="K=V", help="A number to keep, repeatable.")
]
Parent = Annotated[
    str | None, typer.Option("--parent", metavar="NAME:VERSION", help="What it was made from.")
]
Step = Annotated[str, typer.Option("--step", metavar="TEXT", help="What was done to the parent.")]
Data = Annotated[str | None, typer.Option("--data-digest", metavar="SHA256", help="The training data.")]
Kind = Annotated[
    str | None, typer.Option("--kind", metavar="KIND", help="Needed for torchscript and torch-export.")
]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Take a .pt or .pt2 that executes code; no Lambda model may.")
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="A sentence to keep.")]
New = Annotated[bool, typer.Option("--new", help="A new version even of bytes that are one.")]


@dataclass(frozen=True, slots=True)
class Said:
    """What a person says about an artifact, besides where it is."""

    sample: Path | None
    baseline: Path | None
    metrics: dict[str, float]
    parent: str | None
    step: str
    data_digest: str | None
    note: str
    new: bool


def publish(
    name: options.ModelName,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A model's file, or a folder with one.")],
    sample: Sample = None,
    baseline: Baseline = None,
    metric: Metric = None,
    parent: Parent = None,
    step: Step = "",
    data_digest: Data = None,
    kind: Kind = None,
    allow_code: AllowCode = False,
    note: Note = "",
    new: New = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Store a model as its next version: checked, run once for its golden sample, immutable for ever.

    Example: yard publish digits examples/digits/v1/model.onnx --metric accuracy=0.95
    """
    from model_store.artifact import find_source

    metrics = _checked(name, metric)
    source = find_source(path, kind=kind, allow_code=allow_code)
    said = Said(sample, baseline, metrics, parent, step, data_digest, note, new)
    _publish(name, source, path, said, stage=stage, as_json=as_json)


def import_(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="mlflow:DIR, hf:DIR or sagemaker:FILE.tar.gz.")],
    name: options.ModelName,
    sample: Sample = None,
    baseline: Baseline = None,
    metric: Metric = None,
    parent: Parent = None,
    step: Step = "",
    data_digest: Data = None,
    kind: Kind = None,
    allow_code: AllowCode = False,
    note: Note = "",
    new: New = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Publish a model that another tool has packed; licence and model card travel along.

    Example: yard import mlflow:runs/1/artifacts/model digits
    """
    from model_store.adopt import adopted

    metrics = _checked(name, metric)
    said = Said(sample, baseline, metrics, parent, step, data_digest, note, new)
    with adopted(what, kind=kind, allow_code=allow_code) as found:
        for remark in found.remarks:
            output.warn(remark)
        path = Path(what.partition(":")[2])
        _publish(name, found.source, path, said, stage=stage, as_json=as_json)


def _checked(name: str, metric: list[str] | None) -> dict[str, float]:
    """What is misspelled is said first: it costs no file and no network."""
    from model_store.contract.names import check_name
    from yard import deployment

    check_name(name)
    metrics = _metrics(metric or [])
    deployment.check_declared(name)
    return metrics


def _publish(name: str, source: Source, path: Path, said: Said, *, stage: str, as_json: bool) -> None:
    from model_store import publish as room
    from model_store.lineage import origins, surroundings
    from yard import deployment

    place = deployment.find(stage)
    store = place.store()
    lineage = origins(store, parent=said.parent, step=said.step, data_digest=said.data_digest)
    with output.transferring(f"publishing {name}") as progress:
        published = room.publish(
            store,
            name,
            replace(source, said={**surroundings(path), **source.said}),
            sample=said.sample,
            metrics=said.metrics,
            note=said.note,
            lineage=lineage,
            baseline=said.baseline,
            created_by=deployment.caller(),
            force_new=said.new,
            on_progress=progress,
        )
    if place.signed_by:
        # After the manifest: a crash between leaves a version that the same command signs when repeated.
        from yard.commands.sign import signed

        signed(place, published.manifest.ref)
    _report(published, as_json=as_json)


def _report(published: Published, *, as_json: bool) -> None:
    manifest = published.manifest
    for remark in published.remarks:
        output.warn(remark)
    if published.created:
        output.done(f"{manifest.ref} is published, {manifest.size:,} bytes, {manifest.digest}")
    else:
        output.done(f"these bytes are {manifest.ref} already; nothing was stored")
    output.people.print(f"next: yard release {manifest.ref}", style="dim")
    if not as_json:
        output.data.print(str(manifest.ref))
        return
    output.print_json(
        {
            "model": manifest.model,
            "version": manifest.version,
            "kind": manifest.kind,
            "digest": str(manifest.digest),
            "size": manifest.size,
            "created": published.created,
            "metrics": manifest.metrics,
            "baseline": str(manifest.baseline) if manifest.baseline else None,
            "remarks": list(published.remarks),
        }
    )


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
