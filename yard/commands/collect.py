"""``yard collect``, ``pin``, ``unpin`` and ``pins``: what goes, and what must not."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yard import options, output

if TYPE_CHECKING:
    from model_store.collect import Collected, Item, Plan, Rules

_AGE = re.compile(r"(?P<number>[0-9]{1,5})(?P<unit>[hdw])")
_UNITS = {"h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_SHOWN = 50

Why = Annotated[str, typer.Option("--reason", help="Why, for whoever reads it later.")]


def collect(
    apply: Annotated[bool, typer.Option("--apply", help="Take it; without this only the plan.")] = False,
    versions: Annotated[
        str | None,
        typer.Option("--versions", metavar="AGE", help="Also versions older than this that nothing needs."),
    ] = None,
    grace: Annotated[
        str, typer.Option("--grace", metavar="AGE", help="How old blobs and uploads must be.")
    ] = "7d",
    keep_releases: Annotated[
        int, typer.Option("--keep-releases", min=1, help="Newest releases of each alias that stay.")
    ] = 10,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Say what is garbage, why and how much; with --apply take it, as the one role that may delete.

    Examples: yard collect; yard collect --versions 90d --apply
    """
    from model_store import collect as room
    from releases.needs import needed
    from yard import deployment

    rules = room.Rules(
        grace_s=_seconds(grace, "--grace"),
        versions_older_s=_seconds(versions, "--versions") if versions else None,
    )
    place = deployment.find(stage)
    releases = place.releases(output.say)
    reader = place.collector()
    planned = room.plan(
        place.store(),
        reader.deletes,
        lambda: needed(releases, keep=keep_releases),
        rules=rules,
        now=time.time,
    )
    taken = None
    if not as_json:
        _show(planned, rules)
    if apply and planned.items:
        actor = place.collector(assume=True)
        taken = room.collect(
            actor.store,
            actor.deletes,
            lambda: needed(releases, keep=keep_releases),
            rules=rules,
            now=time.time,
            by=deployment.caller(),
            agreed=planned,
            on_progress=output.say,
        )
    _report(planned, taken, as_json=as_json)


def pin(
    ref: options.VersionRef, reason: Why, stage: options.Stage = "local", as_json: options.Json = False
) -> None:
    """Keep a version, whatever else becomes of it, until `yard unpin`.

    Example: yard pin digits:2 --reason "reference for the audit"
    """
    from dataclasses import asdict

    from model_store import pins as room
    from model_store.contract.names import parse_version_ref
    from yard import deployment

    asked = parse_version_ref(ref)
    store = deployment.find(stage).store()
    made = room.pin(store, asked, reason=reason, by=deployment.caller(), at=_today(), now=time.time)
    output.done(f"{asked} is pinned: {reason}")
    if as_json:
        output.print_json(asdict(made))


def unpin(
    ref: options.VersionRef, reason: Why = "", stage: options.Stage = "local", as_json: options.Json = False
) -> None:
    """Let go of every pin of a version. The pins and their ends stay readable.

    Example: yard unpin digits:2
    """
    from dataclasses import asdict

    from model_store import pins as room
    from model_store.contract.names import parse_version_ref
    from yard import deployment

    asked = parse_version_ref(ref)
    store = deployment.find(stage).store()
    let_go = room.unpin(store, asked, reason=reason, by=deployment.caller(), at=_today())
    for made in let_go:
        output.done(f"{asked} was pinned by {made.by} at {made.at} ({made.reason}); that is over")
    if as_json:
        output.print_json([asdict(made) for made in let_go])


def pins(name: options.ModelName, stage: options.Stage = "local", as_json: options.Json = False) -> None:
    """List what is pinned of a model, by whom and why.

    Example: yard pins digits
    """
    from dataclasses import asdict

    from model_store import pins as room
    from model_store.contract.names import check_name
    from yard import deployment

    check_name(name)
    held = room.pins(deployment.find(stage).store(), name)
    if as_json:
        output.print_json([asdict(made) for made in held])
        return
    rows = [(made.ref, made.by, made.at, made.reason) for made in held]
    output.data.print(output.table(f"pins of {name}", ["version", "by", "since", "why"], rows))


def _seconds(text: str, option: str) -> float:
    found = _AGE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(
            f"`{text}` is not an age; write for example 7d, 36h or 12w", param_hint=option
        )
    return int(found["number"]) * _UNITS[found["unit"]]


def _today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _show(planned: Plan, rules: Rules) -> None:
    for remark in planned.remarks:
        output.warn(remark)
    rows = [(item.what, item.name, f"{item.size:,}", item.why) for item in planned.items[:_SHOWN]]
    if rows:
        output.data.print(output.table("would go", ["what", "name", "bytes", "why"], rows))
    if len(planned.items) > _SHOWN:
        output.say(f"and {len(planned.items) - _SHOWN} more (--json lists all)")
    if rules.versions_older_s is not None and planned.kept:
        kept = [(str(ref), why) for ref, why in sorted(planned.kept.items(), key=lambda kept: str(kept[0]))]
        output.data.print(output.table("old and kept", ["version", "why"], kept[:_SHOWN]))


def _report(planned: Plan, taken: Collected | None, *, as_json: bool) -> None:
    if taken is not None:
        output.done(f"{len(taken.items)} things are gone, {taken.size:,} bytes")
        for item in taken.spared:
            output.warn(f"{item.what} `{item.name}` stays: it came to be needed, or time was up")
    elif planned.items:
        output.done(f"{len(planned.items)} things would go, {planned.size:,} bytes; nothing was touched")
        output.people.print("next: the same command with --apply", style="dim")
    else:
        output.done("there is no garbage")
    if as_json:
        output.print_json(
            {
                "planned": [_as_json(item) for item in planned.items],
                "bytes": planned.size,
                "kept": {str(ref): why for ref, why in planned.kept.items()},
                "remarks": list(planned.remarks),
                "taken": [_as_json(item) for item in taken.items] if taken else [],
                "spared": [_as_json(item) for item in taken.spared] if taken else [],
            }
        )


def _as_json(item: Item) -> dict[str, Any]:
    return {"what": item.what, "name": item.name, "bytes": item.size, "why": item.why}
