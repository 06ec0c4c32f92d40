"""``yard collect``, ``pin``, ``unpin`` and ``pins``: what goes, and what must not."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yard import options, output

if TYPE_CHECKING:
    from model_store.collect import Collected, Item, Plan, Rules
    from releases.garbage import LambdaPlan

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

    Garbage of the store (blobs, uploads, and if asked versions) and of Lambda (versions and layers that
    nothing needs).

    Examples: yard collect; yard collect --versions 90d --apply
    """
    from model_store import collect as room
    from releases import garbage
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
    of_lambda = garbage.plan(releases, reader.functions, grace_s=rules.grace_s, keep=keep_releases)
    found = _Found(planned, of_lambda)
    if not as_json:
        _show(found, rules)
    if apply and found.items:
        actor = place.collector(assume=True)
        by = deployment.caller()
        # Lambda first: what it lets go of, the store may let go of the next time.
        found.taken.append(
            garbage.collect(
                releases,
                actor.functions,
                announce=actor.store,
                by=by,
                agreed=of_lambda,
                grace_s=rules.grace_s,
                keep=keep_releases,
            )
        )
        found.taken.append(
            room.collect(
                actor.store,
                actor.deletes,
                lambda: needed(releases, keep=keep_releases),
                rules=rules,
                now=time.time,
                by=by,
                agreed=planned,
                on_progress=output.say,
            )
        )
    _report(found, as_json=as_json)


@dataclass
class _Found:
    """What would go of the store and of Lambda, and what went."""

    of_store: Plan
    of_lambda: LambdaPlan
    taken: list[Collected] = field(default_factory=list)

    @property
    def items(self) -> tuple[Item, ...]:
        return (*self.of_store.items, *self.of_lambda.items)

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items)

    @property
    def kept(self) -> dict[str, str]:
        return {**{str(ref): why for ref, why in self.of_store.kept.items()}, **self.of_lambda.kept}


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


def _show(found: _Found, rules: Rules) -> None:
    for remark in found.of_store.remarks:
        output.warn(remark)
    rows = [(item.what, item.name, f"{item.size:,}", item.why) for item in found.items[:_SHOWN]]
    if rows:
        output.data.print(output.table("would go", ["what", "name", "bytes", "why"], rows))
    if len(found.items) > _SHOWN:
        output.say(f"and {len(found.items) - _SHOWN} more (--json lists all)")
    if rules.versions_older_s is not None and found.kept:
        kept = sorted(found.kept.items())
        output.data.print(output.table("old and kept", ["version", "why"], kept[:_SHOWN]))


def _report(found: _Found, *, as_json: bool) -> None:
    gone = [item for taken in found.taken for item in taken.items]
    spared = [item for taken in found.taken for item in taken.spared]
    if found.taken:
        output.done(f"{len(gone)} things are gone, {sum(item.size for item in gone):,} bytes")
        for item in spared:
            output.warn(f"{item.what} `{item.name}` stays: it came to be needed, or time was up")
    elif found.items:
        output.done(f"{len(found.items)} things would go, {found.size:,} bytes; nothing was touched")
        output.people.print("next: the same command with --apply", style="dim")
    else:
        output.done("there is no garbage")
    if as_json:
        output.print_json(
            {
                "planned": [_as_json(item) for item in found.items],
                "bytes": found.size,
                "kept": found.kept,
                "remarks": list(found.of_store.remarks),
                "taken": [_as_json(item) for item in gone],
                "spared": [_as_json(item) for item in spared],
            }
        )


def _as_json(item: Item) -> dict[str, Any]:
    return {"what": item.what, "name": item.name, "bytes": item.size, "why": item.why}
