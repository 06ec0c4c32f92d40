"""``yard show`` and ``yard diff``: what a version is, and how two differ."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from model_store.contract.manifest import Manifest
    from model_store.pins import Pin
    from model_store.ports import ObjectStore


def show(
    ref: options.VersionRef,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write the page that was made at its publish."),
    ] = None,
    litert: Annotated[
        Path | None,
        typer.Option("--litert", metavar="FILE", help="Write its LiteRT file, for phones and boards."),
    ] = None,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Say everything about one version: files, tensors, golden sample, metrics, lineage, who and when.

    With --json it is the manifest as it is stored. Example: yard show digits:2
    """
    from model_store.contract.names import parse_version_ref
    from model_store.pins import pins
    from model_store.versions import load_manifest
    from yard import deployment

    asked = parse_version_ref(ref)
    store = deployment.find(stage).store()
    manifest = load_manifest(store, asked)
    if report is not None:
        from model_store.reports import load_report

        report.write_bytes(load_report(store, manifest))
        output.done(f"{report} is the page about {manifest.ref}")
    if litert is not None:
        from model_store.edge import load_litert

        litert.write_bytes(load_litert(store, manifest))
        output.done(f"{litert} is the LiteRT file of {manifest.ref}")
    if as_json:
        output.print_json(json.loads(manifest.to_json()))
        return
    held = [pin for pin in pins(store, asked.model) if pin.ref == asked]
    _print(manifest, held, _on_lambda(store, manifest))


def diff(
    before: Annotated[str, typer.Argument(metavar="NAME:A", help="For example digits:1.")],
    after: Annotated[str, typer.Argument(metavar="NAME:B", help="For example digits:2.")],
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Say how two versions differ: tensors, size, metrics, lineage, files.

    Example: yard diff digits:1 digits:2
    """
    from model_store.compare import changes
    from model_store.contract.names import parse_version_ref
    from model_store.versions import load_manifest
    from yard import deployment

    refs = [parse_version_ref(before), parse_version_ref(after)]
    store = deployment.find(stage).store()
    one, other = (load_manifest(store, ref) for ref in refs)
    found = changes(one, other)
    if as_json:
        output.print_json({"before": before, "after": after, "changes": [asdict(change) for change in found]})
        return
    rows = [
        (change.part, change.name, change.before or "-", change.after or "-", change.remark)
        for change in found
    ]
    if not rows:
        output.done(f"{before} and {after} are the same artifact, described the same way")
        return
    output.data.print(output.table("", ["part", "what", before, after, "change"], rows))


def _on_lambda(store: ObjectStore, manifest: Manifest) -> str:
    """How a release would get this version to the function that the last deploy left, or why it would not."""
    from model_store.contract.placement import fits_a_layer
    from releases.bases import current_base
    from releases.endpoints import target_of
    from releases.errors import NotDeployedError, UnfitVersionError
    from releases.placement import place
    from releases.prepare import must_run_on

    try:
        base = current_base(store, manifest.model)
    except NotDeployedError:
        base = None
    try:
        must_run_on(manifest, target_of(base) if base else "lambda")
        if base is None:
            return (
                "model: layer" if fits_a_layer(manifest) else "too large for a layer: read from S3 at start"
            )
        return f"model: {place(manifest, base)}"
    except UnfitVersionError as error:
        return f"not as it is: {error}"


def _print(manifest: Manifest, held: list[Pin], on_lambda: str) -> None:
    print_ = output.data.print
    golden = manifest.golden
    sample = (
        f"{len(golden.inputs)} inputs, {len(golden.outputs)} outputs, "
        f"within {golden.atol:g} + {golden.rtol:g} of each value"
        if golden.is_there
        else "none: targets that check one will not take it"
    )
    facts = [
        ("kind", manifest.kind),
        ("digest", manifest.digest),
        ("bytes", f"{manifest.size:,} in {len(manifest.files)} files, {manifest.entry} is loaded"),
        ("published", f"{manifest.created_at} by {manifest.created_by}"),
        ("golden sample", sample),
        ("baseline", str(manifest.baseline) if manifest.baseline else "none: its drift cannot be judged"),
        ("on Lambda", on_lambda),
        ("note", manifest.note or "-"),
        *(("pinned", f"by {pin.by} at {pin.at}: {pin.reason}") for pin in held),
    ]
    print_(output.table(str(manifest.ref), ["", ""], facts))
    tensors = [
        (side, spec.name, spec.datatype, list(spec.shape))
        for side, specs in (("input", manifest.inputs), ("output", manifest.outputs))
        for spec in specs
    ]
    if tensors:
        print_(output.table("tensors", ["", "name", "datatype", "shape"], tensors))
    files = [(file.path, f"{file.size:,}", file.digest.short) for file in manifest.files]
    print_(output.table("files", ["path", "bytes", "digest"], files))
    if manifest.metrics:
        print_(
            output.table("metrics", ["", ""], [(k, f"{v:g}") for k, v in sorted(manifest.metrics.items())])
        )
    if manifest.lineage:
        print_(output.table("lineage", ["", ""], sorted(manifest.lineage.items())))
