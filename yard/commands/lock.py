"""``yard lock``: write down what the versions are that the catalog lists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model_store.contract.errors import CatalogError, NotFoundError
from yard import options, output

if TYPE_CHECKING:
    from catalog.lock import Versions
    from catalog.schema import Catalog
    from model_store.ports import ObjectStore


def lock(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if the file does not agree with the store.")
    ] = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Write the digests of every listed version of a heavy model into models.lock, for `cdk deploy`.

    A synth asks no network: what it provisions, it reads there. Keep the file in Git beside the catalog.

    Example: yard lock --stage prod
    """
    from catalog.load import load_catalog
    from catalog.lock import load_lock, lock_path, write_lock
    from yard import deployment

    catalog_file = the_catalog()
    catalog = load_catalog(catalog_file)
    path = lock_path(catalog_file)
    there = load_lock(path)
    versions = listed_versions(deployment.find(stage).store(), catalog, stage)
    stale = there.differences(stage, versions)
    if stale and not check:
        write_lock(path, there.with_stage(stage, versions))
    _report(path.name, stage, stale, check=check, as_json=as_json)


def the_catalog() -> Path:
    """The catalog that is meant, or a refusal where there is none."""
    from yard import deployment

    path = deployment.catalog_path()
    if path is None:
        raise CatalogError(
            "there is no models.toml here or above", hint="Run it inside a Switchyard project."
        )
    return path


def listed_versions(store: ObjectStore, catalog: Catalog, stage: str) -> Versions:
    """What ``store`` says about every version that heavy models list on ``stage``."""
    from catalog.lock import LockedVersion
    from model_store.contract.names import ByVersion
    from model_store.lay_out import check_paths
    from model_store.versions import load_manifest

    found: Versions = {}
    for model in catalog.models_for(stage).values():
        for version in model.versions:
            ref = ByVersion(model.name, version)
            try:
                manifest = load_manifest(store, ref)
            except NotFoundError as error:
                raise CatalogError(
                    f"the catalog lists `{ref}` on stage `{stage}`: {error}",
                    hint=f"Publish it, or take {version} out of `models.{model.name}.versions`.",
                ) from error
            found.setdefault(model.name, {})[version] = LockedVersion.of(check_paths(manifest))
    return found


def _report(name: str, stage: str, stale: list[str], *, check: bool, as_json: bool) -> None:
    if as_json:
        output.print_json(
            {"stage": stage, "file": name, "stale": stale, "written": bool(stale) and not check}
        )
    for difference in stale:
        output.say(difference)
    if not stale:
        output.done(f"{name} agrees with the store of stage {stage}")
    elif check:
        output.fail(
            f"`{name}` does not agree with the store of stage `{stage}`",
            hint=f"Run `yard lock --stage {stage}`.",
        )
        raise typer.Exit(1)
    else:
        output.done(f"{name} says what stage {stage} is to serve")
