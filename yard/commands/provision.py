"""``yard provision``: give a version of a heavy model an endpoint."""

from __future__ import annotations

import difflib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output
from yard.commands.lock import listed_versions, the_catalog

if TYPE_CHECKING:
    from catalog import Catalog
    from catalog.lock import Lock
    from model_store.contract.names import ByVersion
    from model_store.ports import ObjectStore


def provision(
    ref: options.VersionRef,
    no_deploy: Annotated[
        bool, typer.Option("--no-deploy", help="Edit catalog and lock only; a pipeline deploys them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Let the CDK widen permissions without asking.")] = False,
    dry_run: options.DryRun = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """List a version of a heavy model in the catalog, lock what it is, and deploy its endpoint.

    Nothing that serves changes; release it afterwards. The endpoint costs money from here on, until the
    version leaves the list. Comments and order of the catalog stay as they are.

    Example: yard provision bert:4 --stage prod
    """
    from catalog.edit import listed
    from catalog.load import load_catalog
    from catalog.lock import load_lock, lock_path, write_lock
    from model_store.contract.names import parse_version_ref
    from yard import deployment, stacks

    wanted = parse_version_ref(ref)
    path = the_catalog()
    catalog = load_catalog(path)
    before = path.read_text("utf-8")
    after = listed(before, catalog, wanted, stage)
    if not dry_run:
        _check_machines(after, path, stage, wanted.model)
    lock = _locked(after, path, stage, deployment.find(stage).store())
    lock_file = lock_path(path)
    lock_before = load_lock(lock_file)
    changed = after != before or lock != lock_before
    if dry_run:
        _show(path, before, after)
        _show(lock_file, lock_before.to_text(), lock.to_text())
        output.people.print("this was only the plan; nothing was changed", style="dim")
    else:
        # The lock first: an entry that nothing lists is harmless, a listed version without one is refused.
        if lock != lock_before:
            write_lock(lock_file, lock)
        if after != before:
            _replace(path, after)
    deployed = not (dry_run or no_deploy)
    if deployed:
        stacks.deploy(path.parent, path, stage, wanted.model, approved=yes, say=output.say)
    _report(wanted, stage, changed=changed, deployed=deployed, dry_run=dry_run, as_json=as_json)


def _locked(text: str, path: Path, stage: str, store: ObjectStore) -> Lock:
    """The lock as it has to be for the catalog ``text``; refused here if the catalog could not be read."""
    from catalog.lock import load_lock, lock_path

    catalog = _read(text, path)
    there = load_lock(lock_path(path))
    return there.with_stage(stage, listed_versions(store, catalog, stage))


def _read(text: str, path: Path) -> Catalog:
    """The catalog that ``path`` would be with this text."""
    from catalog.load import load_catalog

    with tempfile.TemporaryDirectory() as folder:
        edited = Path(folder) / path.name
        edited.write_text(text, "utf-8")
        return load_catalog(edited)


def _check_machines(text: str, path: Path, stage: str, model: str) -> None:
    """Refuse what SageMaker would not start, before anything is written."""
    from model_store.contract.endpoints import SAGEMAKER
    from releases.quotas import Needs, may_not_grow, must_start
    from yard import deployment

    every = _read(text, path).models_for(stage)
    kind = every[model].instance_type
    if every[model].target != SAGEMAKER or kind is None:
        return
    alike = [one for one in every.values() if one.target == SAGEMAKER and one.instance_type == kind]
    # An endpoint begins with one machine, also where its floor is none.
    least = sum(len(one.versions) * max(1, one.min_instances) for one in alike)
    most = sum(len(one.versions) * one.max_instances for one in alike)
    quotas = deployment.quotas()
    warnings = must_start(quotas, Needs(instances={kind: least}))
    for warning in (*warnings, *may_not_grow(quotas, Needs(instances={kind: most}))):
        output.warn(warning)


def _replace(path: Path, text: str) -> None:
    """Put the text in place of the file, whole: whoever reads meanwhile finds one or the other."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(text, "utf-8")
    unfinished.chmod(path.stat().st_mode & 0o777)
    unfinished.replace(path)


def _show(path: Path, before: str, after: str) -> None:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), path.name, path.name, lineterm="", n=1
    )
    for line in lines:
        output.say(line)


def _report(
    ref: ByVersion, stage: str, *, changed: bool, deployed: bool, dry_run: bool, as_json: bool
) -> None:
    if as_json:
        output.print_json(
            {
                "model": ref.model,
                "version": ref.version,
                "stage": stage,
                "changed": changed and not dry_run,
                "deployed": deployed,
            }
        )
    if dry_run:
        return
    if deployed:
        output.done(f"{ref} has an endpoint on stage {stage}; release it: yard release {ref} --stage {stage}")
    elif changed:
        output.done(f"{ref} is listed and locked for stage {stage}; deploy to make its endpoint")
    else:
        output.done(f"{ref} was listed and locked for stage {stage} already")
