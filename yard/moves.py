"""What every command that moves an alias does alike: plan or carry out, time it, and say what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from yard import output

if TYPE_CHECKING:
    from releases.controller import Moved
    from releases.plans import Plan, Planner
    from releases.stage import Stage
    from yard.deployment import Deployment


def plan(place: Deployment, make: Callable[[Planner], Plan], *, as_json: bool) -> None:
    """Print what a command would do; nothing is changed."""
    from releases.plans import Planner

    output.plan(make(Planner(place.releases(output.say))), as_json=as_json)


def carry_out(
    place: Deployment,
    doing: str,
    command: Callable[[Stage], Moved],
    *,
    done: Callable[[Moved, str], str],
    as_json: bool,
    in_seconds: bool = False,
) -> None:
    """Run ``command`` while saying that it is ``doing`` something, and tell what ``done`` makes of it.

    ``done`` is given what moved, and in brackets the ledger line and how long it took.
    """
    with output.working(doing) as steps:
        room = place.releases(steps)
        began = time.perf_counter()
        moved = command(room)
        took_ms = (time.perf_counter() - began) * 1000
    line = moved.line.line if moved.line else "-"
    took = f"{took_ms / 1000:.1f} s" if in_seconds else f"{took_ms:.0f} ms"
    output.done(done(moved, f"(ledger line {line}, {took})"))
    report(moved, took_ms, as_json=as_json)


def report(moved: Moved, took_ms: float, *, as_json: bool) -> None:
    """What came of a move: its warnings, and the version that the alias serves now."""
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
