"""``yard pull``: get the files of a version, verified."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from model_store.cache import Cache

CACHE = "SWITCHYARD_CACHE"
CACHE_BYTES = "SWITCHYARD_CACHE_BYTES"


def pull(
    version: options.VersionRef,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Where to; by default a new folder such as digits-2."),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help=f"Fetch everything, keep nothing in the cache (${CACHE}).")
    ] = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Put the files of a version into a folder: every byte verified, all of them or none.

    Files that were pulled before come from a cache on this machine.

    Example: yard pull digits:2 model
    """
    from model_store import fetch as room
    from model_store.contract.names import parse_version_ref
    from yard import deployment

    ref = parse_version_ref(version)
    target = folder or Path(f"{ref.model}-{ref.version}")
    cache = None if no_cache else _cache()
    store = deployment.find(stage).store()
    with output.transferring(f"pulling {ref}") as progress:
        manifest = room.fetch(store, ref, target, cache=cache, on_progress=progress)
    output.done(f"{ref} is in {target}, {manifest.size:,} bytes, {manifest.digest}")
    if as_json:
        output.print_json(
            {
                "model": ref.model,
                "version": ref.version,
                "digest": str(manifest.digest),
                "size": manifest.size,
                "folder": str(target.resolve()),
                "files": [file.path for file in manifest.files],
            }
        )
    else:
        output.data.print(str(target), markup=False)


def _cache() -> Cache:
    """The cache of this user: where and how large, the environment may say."""
    from model_store.cache import DEFAULT_LIMIT_BYTES, Cache

    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    limit = os.environ.get(CACHE_BYTES) or str(DEFAULT_LIMIT_BYTES)
    if not limit.isdecimal():
        raise typer.BadParameter(f"{CACHE_BYTES} is `{limit}`; write a number of bytes")
    return Cache(Path(os.environ.get(CACHE) or home / "switchyard"), limit=int(limit))
