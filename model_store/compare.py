"""Compare two versions: what changed for callers, in size, in quality and in where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from model_store.contract.manifest import Manifest
from model_store.contract.tensors import TensorSpec


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs: which part of the manifest, what in it, and both sides (``""`` is none)."""

    part: str
    name: str
    before: str
    after: str
    remark: str = ""


def changes(before: Manifest, after: Manifest) -> list[Change]:
    """Everything in which ``after`` differs from ``before``; empty for the same artifact, said the same way.

    Who published it and when is not a difference of the version.
    """
    return [
        *_changed("artifact", _artifact(before), _artifact(after)),
        *_sizes(before, after),
        *_changed("inputs", _specs(before.inputs), _specs(after.inputs)),
        *_changed("outputs", _specs(before.outputs), _specs(after.outputs)),
        *_metrics(before.metrics, after.metrics),
        *_changed("lineage", before.lineage, after.lineage),
        *_changed("files", _files(before), _files(after)),
        *_changed("note", {"note": before.note}, {"note": after.note}),
    ]


def _artifact(manifest: Manifest) -> dict[str, str]:
    golden = manifest.golden
    return {
        "digest": str(manifest.digest),
        "kind": manifest.kind,
        "entry": manifest.entry,
        "golden sample": f"rtol {golden.rtol:g}, atol {golden.atol:g}" if golden.is_there else "none",
    }


def _sizes(before: Manifest, after: Manifest) -> Iterator[Change]:
    if before.size != after.size:
        share = f"{(after.size - before.size) / before.size:+.1%}" if before.size else ""
        yield Change("artifact", "bytes", f"{before.size:,}", f"{after.size:,}", share)


def _specs(specs: tuple[TensorSpec, ...]) -> dict[str, str]:
    return {spec.name: f"{spec.datatype} {list(spec.shape)}" for spec in specs}


def _files(manifest: Manifest) -> dict[str, str]:
    return {file.path: f"{file.digest.short} {file.size:,} bytes" for file in manifest.files}


def _metrics(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[Change]:
    for change in _changed(
        "metrics",
        {name: f"{value:g}" for name, value in before.items()},
        {name: f"{value:g}" for name, value in after.items()},
    ):
        both = change.name in before and change.name in after
        remark = f"{after[change.name] - before[change.name]:+g}" if both else ""
        yield Change(change.part, change.name, change.before, change.after, remark)


def _changed(part: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        one, other = before.get(name, ""), after.get(name, "")
        if one != other:
            yield Change(part, name, one, other)
