"""``yard metrics``: what each version of a model answered, how often it failed and how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from telemetry.traffic import ModelTraffic, Spread, Traffic

BARS = "▁▂▃▄▅▆▇█"
SHOWN_MOMENTS = 40


def metrics(
    name: options.ModelName,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="One version; all without it.")
    ] = None,
    since: options.Since = "1h",
    period: Annotated[
        str | None,
        typer.Option("--period", metavar="TIME", help="Of the series; by default 1m, more for a long time."),
    ] = None,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Read a model's numbers from CloudWatch: requests, faults, latency, cold starts, rows and bytes.

    By version, and period by period with --json. Example: yard metrics digits --since 3h --period 5m
    """
    from model_store.contract.names import check_name
    from telemetry.traffic import traffic
    from telemetry.window import window
    from yard import deployment, shifts

    check_name(name)
    seconds = shifts.seconds(since)
    period_s = round(shifts.seconds(period)) if period else None
    place = deployment.find(stage)
    over = window(place.now(), seconds, period_s)
    found = traffic(place.numbers(), stage, name, over, version=version)
    if as_json:
        output.print_json(found.as_json())
    elif found.versions:
        _show(found, since)
    if not found.versions:
        output.say(
            f"no request of {name}{f':{version}' if version else ''} was counted in the last {since}; "
            "CloudWatch shows numbers a minute or two after they were made"
        )
    if found.failed or found.throttled:
        output.warn(
            f"Lambda counted {found.failed} failed and {found.throttled} throttled invocations of {name}, "
            "which reach no log line and are not in the table"
        )


def _show(found: ModelTraffic, since: str) -> None:
    period = found.window.period_s
    rows = [_row(f"{found.model}:{one.version}", one, found) for one in found.versions]
    if len(found.versions) > 1 and found.all.requests:
        rows.append(_row("all", found.all, found))
    times = "p50 / p95 / p99"
    columns = ["version", "requests", "per s", "faults", f"latency ms, {times}", f"model ms, {times}"]
    columns += ["cold starts", "rows", "bytes", f"requests per {period // 60} min"]
    output.data.print(output.table(f"{found.model}, the last {since}", columns, rows))


def _row(who: str, one: Traffic, found: ModelTraffic) -> tuple[object, ...]:
    share = f" ({one.faults / one.requests:.1%})" if one.faults else ""
    return (
        who,
        f"{one.requests:,}",
        f"{one.rate:.2f}",
        f"{one.faults:,}{share}",
        _spread(one.latency),
        _spread(one.model_latency),
        f"{one.cold_starts:,}",
        f"{one.rows:,}",
        f"{one.payload_bytes:,}",
        bars(_counts(one, found)),
    )


def _spread(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.p50:.1f} / {spread.p95:.1f} / {spread.p99:.1f}"


def _counts(one: Traffic, found: ModelTraffic) -> list[int]:
    """Requests of the newest periods, oldest first; those without any too."""
    by_period = {moment.at: moment.requests for moment in one.series}
    over = found.window
    count = min(round((over.until - over.since) / over.period_s), SHOWN_MOMENTS)
    begin = over.until - count * over.period_s
    return [by_period.get(begin + number * over.period_s, 0) for number in range(count)]


def bars(counts: list[int]) -> str:
    """A small picture: nothing is a space, the most is a full block.

    >>> bars([0, 1, 4, 8])
    ' ▁▄█'
    """
    most = max(counts, default=0)
    return "".join(BARS[-(-count * len(BARS) // most) - 1] if count else " " for count in counts)
