"""``yard top``: every model of a stage at a glance, again and again."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from yard import options, output

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from telemetry.fleet import Fleet, Look, Row

SHORTEST_S = 2.0
"""CloudWatch charges for each metric read, and its numbers are minutes old anyway."""


def top(
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="How often to look.")] = "10s",
    over: Annotated[
        str, typer.Option("--over", metavar="TIME", help="What the numbers are counted over.")
    ] = "5m",
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Watch every model: versions, shares of traffic, requests a second, latency, faults, firing alarms.

    A live table in a terminal until Ctrl-C; anywhere else, and with --json, it looks once.
    Example: yard top --every 30s --over 15m
    """
    from telemetry.fleet import Fleet
    from yard import declared, deployment, shifts

    every_s, over_s = max(shifts.seconds(every), SHORTEST_S), shifts.seconds(over)
    place = deployment.find(stage)
    room = place.releases(output.say)
    fleet = Fleet(stage, declared.models(room), room.functions, place.numbers(), room.clock)
    if as_json:
        output.print_json(fleet.look(over_s).as_json())
    elif once or not output.data.is_terminal:
        output.data.print(_page(fleet.look(over_s), over))
    else:
        _follow(fleet, over_s, over, every_s)


def _follow(fleet: Fleet, over_s: float, over: str, every_s: float) -> None:
    """Draw until somebody presses Ctrl-C, which is how this ends and no failure."""
    try:
        with Live(console=output.data, auto_refresh=False, screen=True) as live:
            while True:
                live.update(_page(fleet.look(over_s), over), refresh=True)
                time.sleep(every_s)
    except KeyboardInterrupt:
        return


def _page(look: Look, over: str) -> RenderableType:
    parts: list[Table | Text] = [_table(look, over)]
    if not look.rows:
        parts.append(Text("no model serves anything yet"))
    parts += [Text(f"ALARM {alarm.name}: {alarm.reason or alarm.description}") for alarm in look.firing]
    if look.unread:
        parts.append(Text(f"{look.unread} older versions were not asked about"))
    return Group(*parts)


def _table(look: Look, over: str) -> Table:
    at = datetime.fromtimestamp(look.at, UTC).strftime("%H:%M:%S UTC")
    columns = ["model", "version", "traffic", "requests/s", "p50 ms", "p99 ms", "faults", "alarms"]
    said: set[str] = set()
    rows = []
    for row in look.rows:
        firing = look.firing_on(row.model)
        rows.append(
            (
                "" if row.model in said else row.model,
                row.version,
                _traffic(row),
                f"{row.rate:.2f}",
                _ms(row.p50_ms),
                _ms(row.p99_ms),
                f"{row.faults} ({row.faults / row.requests:.1%})" if row.faults else "0",
                "" if row.model in said or not firing else f"{firing} in ALARM",
            )
        )
        said.add(row.model)
    return output.table(f"stage {look.stage}, the last {over}, at {at}", columns, rows)


def _traffic(row: Row) -> str:
    shares = ", ".join(
        one.alias if one.share > 0.9999 else f"{one.alias} {one.share:.0%}" for one in row.shares
    )
    return shares or "by number, or before"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
