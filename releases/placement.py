"""Placement: how a version gets to its function, as a layer or from S3 when it starts.

Decided from the manifest and the base alone, so a plan, a release and a deploy decide the same. What
cannot be is refused here, with the numbers, and not minutes later by Lambda (law 8).
"""

from __future__ import annotations

from dataclasses import dataclass

from model_store.contract import environment as env
from model_store.contract.manifest import Manifest
from model_store.contract.placement import (
    DEFAULT_EPHEMERAL_MB,
    LAYER_BYTES,
    MAX_EPHEMERAL_MB,
    ephemeral_needed_mb,
    fits_a_layer,
    memory_needed_mb,
    reading_s,
    start_limit_s,
)
from releases.errors import UnfitVersionError
from releases.ports import FunctionConfig
from releases.records import UNRELEASED, Base

MAX_MEMORY_MB = 10_240


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a function finds a version. ``ephemeral_mb`` is its ``/tmp`` if it reads it there, else 0.

    ``target`` is set for a heavy model, whose gateway carries the manifest and asks an endpoint there.
    """

    ephemeral_mb: int = 0
    target: str = ""

    @property
    def in_layer(self) -> bool:
        return not self.ephemeral_mb

    def __str__(self) -> str:
        if self.target:
            return f"an endpoint on {self.target}"
        return "layer" if self.in_layer else f"S3 at start, {self.ephemeral_mb} MB"


def place(manifest: Manifest, base: Base) -> Placement:
    """Decide how ``manifest`` gets to a function on ``base``, or raise ``UnfitVersionError``."""
    if target := base.environment.get(env.TARGET):
        return Placement(target=target)
    if fits_a_layer(manifest):
        return Placement()
    needed = ephemeral_needed_mb(manifest)
    if needed > MAX_EPHEMERAL_MB:
        raise UnfitVersionError(
            f"`{manifest.ref}` has {manifest.size:,} bytes, and `/tmp` of a Lambda function has at most "
            f"{MAX_EPHEMERAL_MB:,} MB",
            hint="Publish a smaller (quantised or pruned) version.",
        )
    if env.BUCKET not in base.environment:
        raise UnfitVersionError(
            f"`{manifest.ref}` has {manifest.size:,} bytes and a layer holds {LAYER_BYTES:,}, and this model "
            "may not read its versions from S3 at start",
            hint=f"{_write_ephemeral(manifest.model, needed)}, or publish a smaller (quantised or pruned) "
            "version.",
        )
    if needed > base.ephemeral_mb:
        raise UnfitVersionError(
            f"`{manifest.ref}` has {manifest.size:,} bytes, which takes {needed:,} MB of `/tmp`, and the "
            f"function has {base.ephemeral_mb:,} MB",
            hint=f"{_write_ephemeral(manifest.model, needed)}.",
        )
    _must_fit_memory(manifest, base)
    return Placement(base.ephemeral_mb)


def slow_start(manifest: Manifest, base: Base) -> tuple[str, ...]:
    """What is to be said of a version that may take longer to start than Lambda waits."""
    if fits_a_layer(manifest) or env.TARGET in base.environment:
        return ()
    seconds = reading_s(manifest.size)
    patient = base.snap_start != "None" or base.provisioned > 0
    limit = start_limit_s(patient=patient, timeout_s=base.timeout_s)
    if seconds <= limit:
        return ()
    reading = f"reading `{manifest.ref}` from S3 takes some {seconds:.0f} s by estimate"
    said = f"{reading}, and a start has {limit:.0f} s"
    if not patient:
        said += (
            f" and then up to the {base.timeout_s} s time limit inside the first request, which may fail; "
            "what was read by then is kept"
        )
    return (said,)


def reads_at_start(config: FunctionConfig | None) -> bool:
    """Whether a Lambda version reads its model from S3 when it starts."""
    return config is not None and env.MANIFEST in config.environment


def placed(config: FunctionConfig | None) -> str:
    """How a Lambda version gets its model, in the words of ``Placement``; empty if it carries none."""
    if config is None or int(config.environment.get(env.VERSION, UNRELEASED)) == UNRELEASED:
        return ""
    target = config.environment.get(env.TARGET, "")
    return str(Placement(config.ephemeral_mb if reads_at_start(config) else 0, target))


def _must_fit_memory(manifest: Manifest, base: Base) -> None:
    needed = memory_needed_mb(manifest)
    if needed <= base.memory_mb:
        return
    hint = (
        f"Set `memory_mb = {needed}` under `[models.{manifest.model}]` in models.toml and deploy"
        if needed <= MAX_MEMORY_MB
        else "Publish a smaller (quantised or pruned) version"
    )
    raise UnfitVersionError(
        f"`{manifest.ref}` needs about {needed:,} MB of memory to be loaded, and the function has "
        f"{base.memory_mb:,} MB",
        hint=f"{hint}; a graph file takes its size twice, external data once.",
    )


def _write_ephemeral(model: str, needed: int) -> str:
    """What to write into the catalog; above SnapStart's limit that has to go too (law 8)."""
    size = max(needed, DEFAULT_EPHEMERAL_MB)
    also = "" if size <= DEFAULT_EPHEMERAL_MB else " and `snapstart = false`"
    return f"Write `ephemeral_mb = {size}`{also} under `[models.{model}]` in models.toml and deploy"
