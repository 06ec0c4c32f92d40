"""``yard release``, ``yard rollback``, ``yard retire``: moving an alias."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from releases.controller import Moved


def release(
    ref: options.VersionRef,
    alias: options.Alias = "live",
    reason: options.Reason = "",
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Prepare and check a version, then let the alias serve it. Until it has passed, nothing changes.

    Example: yard release digits:2 --reason "better on sevens"
    """
    from model_store.contract.names import check_alias, parse_version_ref
    from releases.controller import Controller
    from yard import deployment

    wanted = parse_version_ref(ref)
    check_alias(alias)
    deployment.check_declared(wanted.model)
    place = deployment.find(stage)
    with output.working(f"releasing {wanted}") as steps:
        controller = Controller(place.releases(steps))
        began = time.perf_counter()
        moved = controller.release(wanted, alias=alias, reason=reason)
        took_ms = (time.perf_counter() - began) * 1000
    if moved.line is None:
        output.done(f"{wanted.model}@{alias} serves {wanted} already; nothing moved")
    else:
        output.done(
            f"{wanted.model}@{alias} serves {wanted} (ledger line {moved.line.line}, {took_ms / 1000:.1f} s)"
        )
    _report(moved, took_ms, as_json=as_json)


def rollback(
    name: options.ModelName,
    to: Annotated[
        int | None, typer.Option("--to", metavar="VERSION", min=1, help="Back to this earlier release.")
    ] = None,
    alias: options.Alias = "live",
    reason: options.Reason = "",
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Let the alias serve the model version before the present one. Repeat it to go back further.

    With --to it goes back to any earlier release that still stands, and strikes out what came after.
    Example: yard rollback digits --reason "wrong on sevens"
    """
    from model_store.contract.names import check_alias, check_name
    from releases.controller import Controller
    from yard import deployment

    check_name(name)
    check_alias(alias)
    place = deployment.find(stage)
    with output.working(f"rolling {name}@{alias} back") as steps:
        controller = Controller(place.releases(steps))
        began = time.perf_counter()
        moved = controller.rollback(name, alias=alias, reason=reason, to=to)
        took_ms = (time.perf_counter() - began) * 1000
    if moved.line is None:
        output.done(f"{name}@{alias} serves {moved.ref} already; nothing moved")
    else:
        output.done(
            f"{name}@{alias} serves {moved.ref} again (ledger line {moved.line.line}, {took_ms:.0f} ms)"
        )
    _report(moved, took_ms, as_json=as_json)


def retire(
    name: options.ModelName,
    alias: options.Alias = "live",
    reason: options.Reason = "",
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Take an alias out of service: it answers 503, and the model may leave the catalog.

    Example: yard retire digits --reason "replaced by digits-cnn"
    """
    from model_store.contract.names import check_alias, check_name
    from releases.controller import Controller
    from yard import deployment

    check_name(name)
    check_alias(alias)
    place = deployment.find(stage)
    with output.working(f"retiring {name}@{alias}") as steps:
        controller = Controller(place.releases(steps))
        began = time.perf_counter()
        moved = controller.retire(name, alias=alias, reason=reason)
        took_ms = (time.perf_counter() - began) * 1000
    output.done(f"{name}@{alias} is out of service and answers 503")
    _report(moved, took_ms, as_json=as_json)


def _report(moved: Moved, took_ms: float, *, as_json: bool) -> None:
    for warning in moved.warnings:
        output.warn(warning)
    if as_json:
        output.print_json(
            {
                "model": moved.ref.model,
                "alias": moved.alias,
                "version": moved.ref.version,
                "lambda_version": moved.lambda_version,
                "moved": moved.line is not None,
                "line": moved.line.as_json() if moved.line else None,
                "took_ms": round(took_ms, 1),
                "warnings": list(moved.warnings),
            }
        )
    elif moved.ref.version:
        output.data.print(str(moved.ref))
