"""How shifts are typed and shown: durations, steps, and a table that follows one."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from yard import output

if TYPE_CHECKING:
    from releases.watch import Half, Look

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def seconds(text: str) -> float:
    """Read ``90s``, ``2m``, ``1h`` or ``7d``."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"`{text}` is not a duration; write for example 90s, 2m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def percents(text: str) -> tuple[float, ...]:
    """Read ``5,25,50``."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"`{text}` are not steps; write percentages, for example 5,25,50") from None


def show(looks: Iterator[Look], *, as_json: bool, on_stdout: bool) -> Look:
    """Follow a shift to its end and return the last look at it.

    A live table in a terminal; anywhere else a line for each change, or with ``as_json`` one JSON
    document a line for every look.
    """
    console = output.data if on_stdout else output.people
    if as_json:
        return _as_lines(looks)
    if not console.is_terminal:
        return _as_sentences(looks, console)
    with Live(console=console, auto_refresh=False) as live:
        last = next(looks)
        live.update(_table(last), refresh=True)
        for last in looks:
            live.update(_table(last), refresh=True)
    return last


def _as_lines(looks: Iterator[Look]) -> Look:
    for last in looks:
        sys.stdout.write(json.dumps(last.as_json(), ensure_ascii=False) + "\n")
        sys.stdout.flush()
    return last


def _as_sentences(looks: Iterator[Look], console: Console) -> Look:
    said = ""
    for last in looks:
        if (sentence := _sentence(last)) != said:
            said = sentence
            console.print(escape(said))
    return last


def _sentence(look: Look) -> str:
    if look.tried is None or look.is_over:
        return look.said
    seen = look.tried.seen
    return (
        f"{look.said}: {seen.requests} of {look.min_requests} requests seen in this step, "
        f"{seen.errors} failed, {seen.faults} server faults"
    )


def _table(look: Look) -> Table:
    made = output.table(
        f"{look.model}@{look.alias}: {look.said}",
        ["version", "share", "requests", "failed", "server faults", "p90 latency"],
        [_row(look.model, half) for half in (look.before, look.tried) if half is not None],
    )
    if look.step and not look.is_over:
        elapsed = max(look.at - look.since, 0.0)
        made.caption = (
            f"step {look.step} of {look.steps} for {elapsed:.0f} s; it goes on after {look.bake_s:.0f} s "
            f"and {look.min_requests} requests"
        )
    return made


def _row(model: str, half: Half) -> tuple[str, ...]:
    seen = half.seen
    latency = "-" if seen.latency_ms is None else f"{seen.latency_ms:.1f} ms"
    return (
        f"{model}:{half.version}",
        f"{half.share:.0%}",
        str(seen.requests),
        str(seen.errors),
        str(seen.faults),
        latency,
    )
