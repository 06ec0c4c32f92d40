"""``yard logs``: what a model's function wrote, one line a request."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from yard import options, output

if TYPE_CHECKING:
    from releases.stage import Stage
    from telemetry.ports import Line

MOST = 100


def logs(
    name: options.ModelName,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="One version; all without it.")
    ] = None,
    alias: Annotated[str | None, typer.Option("--alias", help="Only what came through this alias.")] = None,
    since: options.Since = "1h",
    errors: Annotated[
        bool, typer.Option("--errors", help="Only answers of 500 and above, time-outs and crashes.")
    ] = False,
    slowest: Annotated[
        int | None, typer.Option("--slowest", min=1, max=1000, help="The slowest so many inferences.")
    ] = None,
    last: Annotated[
        int, typer.Option("--last", min=1, max=10_000, help="At most so many, the newest.")
    ] = MOST,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new lines until Ctrl-C.")] = False,
    container: Annotated[
        bool, typer.Option("--container", help="What the containers of a heavy model's endpoints wrote.")
    ] = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Read a model's log from CloudWatch: one line for each request, and what Lambda wrote of failures.

    With --container it is the log of what stands behind a gateway: its starts, its errors, what was traced.
    With --json one document a line. Example: yard logs digits --errors --since 3h
    """
    from model_store.contract.deployment import function_name
    from model_store.contract.names import check_alias, check_name
    from telemetry.ports import Wanted
    from telemetry.reading import Writers
    from yard import deployment, shifts

    check_name(name)
    if alias is not None:
        check_alias(alias)
    if follow and slowest is not None:
        raise typer.BadParameter("what is slowest is known at the end; take --follow or --slowest")
    if container and (alias is not None or slowest is not None):
        raise typer.BadParameter("a container knows no alias and times no request; leave out --container")
    place = deployment.find(stage)
    room = place.releases(output.say)
    now = place.now()
    begin, source = now - shifts.seconds(since), place.lines()
    if container:
        logged = _containers(room, name, version)
        if follow and len(logged) > 1:
            raise typer.BadParameter("there are several endpoints; name a --version that has one")
        # A line of a container is whose endpoint it runs on, whatever it says of itself.
        wanted = Wanted(errors=errors)
    else:
        serves = Writers(partial(_serves, room, name)).version
        logged = [Log(f"/aws/lambda/{function_name(stage, name)}", serves)]
        wanted = Wanted(version, alias, errors)
    read = source.slowest if slowest is not None else source.newest
    lines = [
        (line, log.wrote(line))
        for log in logged
        for line in read(log.group, wanted, since=begin, until=now, most=slowest or last)
    ]
    if len(logged) > 1:
        lines = sorted(lines, key=lambda item: item[0].at)[-last:]
    show = _show_json if as_json else _show
    shown = _print(lines, version, name, show)
    if follow:
        from telemetry.following import LATE_S
        from telemetry.following import follow as follow_on

        (log,) = logged
        known = {(line.at, line.text) for line, _ in lines}
        # From a little before the newest: what is older may still be on its way.
        newest = max((line.at for line, _ in lines), default=begin + LATE_S) - LATE_S
        new = follow_on(source, room.clock, log.group, wanted, since=newest)
        try:
            _print(
                ((line, log.wrote(line)) for line in new if (line.at, line.text) not in known),
                version,
                name,
                show,
            )
        except KeyboardInterrupt:
            return
    if not shown:
        output.say(f"nothing of that kind was logged in the last {since}")
    elif slowest is None and len(lines) == last:
        output.say(f"these are the newest {last}; more with --last")


@dataclass(frozen=True, slots=True)
class Log:
    """A log group, and which model version wrote a line of it, if that is known."""

    group: str
    wrote: Callable[[Line], int | None]


def _always(version: int) -> Callable[[Line], int]:
    def wrote(_line: Line) -> int:
        return version

    return wrote


def _containers(room: Stage, model: str, version: int | None) -> list[Log]:
    """The logs of the endpoints that are there; of one version, or of all."""
    from releases.bases import current_base
    from releases.endpoints import container_logs
    from releases.errors import NotDeployedError

    endpoints = room.endpoints_of(current_base(room.store, model))
    if endpoints is None:
        raise typer.BadParameter(f"`{model}` runs on Lambda and has no container; leave out --container")
    found = container_logs(endpoints, room.name, model)
    wanted = [Log(group, _always(of)) for of, group in found if version in (None, of)]
    if not wanted:
        ref = f"{model}:{version}" if version else model
        raise NotDeployedError(
            f"`{ref}` has no endpoint on stage `{room.name}`, and a container's log goes with its endpoint",
            hint=f"See which versions have one: `yard status {model}`.",
        )
    return wanted


def _serves(room: Stage, model: str, number: str) -> int:
    """The model version of a Lambda version; 0 where it is gone."""
    from releases.prepare import served_by

    return served_by(room.functions.config(room.function(model), number))


Show = Callable[["Line", int | None, str], None]


def _print(lines: Iterable[tuple[Line, int | None]], version: int | None, model: str, show: Show) -> int:
    """Show those that ``version`` wrote, and count them."""
    count = 0
    for line, wrote in lines:
        if version is None or wrote == version:
            show(line, wrote, model)
            count += 1
    return count


def _show_json(line: Line, wrote: int | None, model: str) -> None:
    at = datetime.fromtimestamp(line.at, UTC).isoformat(timespec="milliseconds")
    body: dict[str, Any] = {"at": at, "model": model, "model_version": wrote, "stream": line.stream}
    body |= {"line": dict(line.fields)} if line.fields else {"text": line.text}
    sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _show(line: Line, wrote: int | None, model: str) -> None:
    at = datetime.fromtimestamp(line.at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    who = f"{model}:{wrote}" if wrote else model
    if not line.fields or "status" not in line.fields:
        output.data.print(f"{at}  {who}  {escape(line.text)}")
        return
    said = dict(line.fields)
    parts = [
        f"{said['status']}",
        f"{float(said.get('ms', 0)):9.1f} ms",
        f"{said.get('method', '')} {said.get('route', '')}",
        f"@{said['alias']}" if "alias" in said else "",
        f"{said['Rows']} rows" if "Rows" in said else "",
        "cold" if said.get("cold") else "",
        f"{said.get('request_id', '')}",
        f"{said['failure']}" if "failure" in said else "",
    ]
    output.data.print(escape(f"{at}  {who}  {'  '.join(part for part in parts if part)}"))
    for row in str(said.get("trace", "")).splitlines():
        output.data.print(escape(f"    {row}"), style="dim")
