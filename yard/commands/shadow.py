"""``yard shadow``: ask a version what callers ask, answer nobody with it, and see how often it agrees."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from yard import moves, options, output

if TYPE_CHECKING:
    from model_store.contract.names import ByVersion
    from releases.shadowing import Difference, Report
    from yard.deployment import Deployment


def shadow(
    name: Annotated[
        str, typer.Argument(metavar="NAME[:VERSION]", help="digits:4 to begin, digits to look or to stop.")
    ],
    sample: Annotated[
        str | None, typer.Option("--sample", metavar="SHARE", help="How many of the calls: 10%.")
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Mirror nothing any more.")] = False,
    differing: Annotated[
        int, typer.Option("--differing", metavar="N", min=0, help="Show the newest N that did not agree.")
    ] = 0,
    alias: options.Alias = "live",
    reason: options.Reason = "",
    dry_run: options.DryRun = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Mirror a share of an alias's calls to a version that answers nobody, and compare its answers.

    The version is prepared and checked first, as for a release. Callers are answered by what is live, and
    wait for nothing. Any release or rollback of the alias ends it. With a name alone it reports.
    Example: yard shadow digits:4 --sample 10%, and later: yard shadow digits --stop
    """
    from model_store.contract.names import check_alias, check_name, parse_version_ref
    from yard import deployment

    check_alias(alias)
    if ":" in name:
        if stop or sample is None:
            raise typer.BadParameter(
                f"write `yard shadow {name} --sample 10%`, or `yard shadow {name.partition(':')[0]} --stop`"
            )
        wanted = parse_version_ref(name)
        deployment.check_declared(wanted.model)
        share = percent(sample)
        place = deployment.find(stage)
        return _begin(place, wanted, share, alias, reason, dry_run=dry_run, as_json=as_json)
    check_name(name)
    if sample is not None:
        raise typer.BadParameter(f"--sample needs a version to mirror to, for example {name}:4")
    place = deployment.find(stage)
    if stop:
        return _stop(place, name, alias, reason, dry_run=dry_run, as_json=as_json)
    return _report(place, name, alias, differing, as_json=as_json)


def percent(text: str) -> float:
    """Read ``10%`` or ``10`` as a part of one."""
    from releases.shadowing import check_share

    try:
        return check_share(float(text.strip().removesuffix("%")))
    except ValueError:
        raise typer.BadParameter(f"`{text}` is no share; write a percentage, for example 10%") from None


def _begin(
    place: Deployment,
    ref: ByVersion,
    share: float,
    alias: str,
    reason: str,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    from releases.shadowing import Shadowing

    if dry_run:
        return moves.plan(
            place, lambda planner: planner.shadow(ref, share=share, alias=alias), as_json=as_json
        )
    with output.working(f"shadowing {ref.model}@{alias} with {ref}") as steps:
        begun = Shadowing(place.releases(steps)).begin(ref, share=share, alias=alias, reason=reason)
    for warning in begun.warnings:
        output.warn(warning)
    already = " already" if begun.joined else ""
    output.done(
        f"{share * 100:g}% of {ref.model}@{alias} is mirrored to {ref}{already}; "
        f"{ref.model}:{begun.against} answers (ledger line {begun.line.line})"
    )
    output.people.print(
        f"look at it: yard shadow {ref.model}   stop it: yard shadow {ref.model} --stop", style="dim"
    )
    if as_json:
        output.print_json(
            {
                "model": ref.model,
                "alias": alias,
                "version": ref.version,
                "against": begun.against,
                "share": share,
                "moved": not begun.joined,
                "line": begun.line.as_json(),
                "warnings": list(begun.warnings),
            }
        )
    return None


def _stop(place: Deployment, name: str, alias: str, reason: str, *, dry_run: bool, as_json: bool) -> None:
    from releases.shadowing import Shadowing

    if dry_run:
        return moves.plan(place, lambda planner: planner.stop_shadow(name, alias=alias), as_json=as_json)
    with output.working(f"stopping the shadow of {name}@{alias}") as steps:
        room = place.releases(steps)
        began = time.perf_counter()
        moved = Shadowing(room).stop(name, alias=alias, reason=reason)
        took_ms = (time.perf_counter() - began) * 1000
    if moved.line is None:
        output.done(f"nothing of {name}@{alias} is mirrored; nothing moved")
    else:
        where = f"ledger line {moved.line.line}, {took_ms:.0f} ms"
        output.done(f"nothing of {name}@{alias} is mirrored any more ({where})")
    return _report(place, name, alias, 0, as_json=as_json)


def _report(place: Deployment, name: str, alias: str, differing: int, *, as_json: bool) -> None:
    from releases.shadowing import Shadowing

    shadowing = Shadowing(place.releases(output.say))
    found = shadowing.report(name, alias=alias)
    differences = shadowing.differences(found, most=differing) if found and differing else []
    if as_json:
        body = {**found.as_json(), "differences": [asdict(item) for item in differences]} if found else None
        return output.print_json(body)
    if found is None:
        return output.say(f"nothing of {name}@{alias} was ever mirrored")
    _show(found)
    if found.running and not found.compared:
        output.say("nothing was compared yet; counts come a minute or two after the calls")
    if differing:
        _show_differences(differences)
    return None


def _show_differences(differences: list[Difference]) -> None:
    if not differences:
        return output.say("no request is known on which they did not agree")
    rows = [
        (
            item.request_id,
            "; ".join(f"{name}: {how}" for name, how in item.differs.items()) or f"answered {item.status}",
            _ms(item.ms),
            _ms(item.answered_ms),
        )
        for item in differences
    ]
    columns = ["request", "did not agree on", "shadow", "what answered"]
    return output.data.print(output.table("newest last", columns, rows))


def _show(found: Report) -> None:
    when = f"since {found.since}" if found.running else f"from {found.since} to {found.until}"
    share, to = f"{found.share * 100:g}%", f"{found.model}:{found.version}"
    title = f"{share} of {found.model}@{found.alias} mirrored to {to} {when}"
    agreement = "-" if found.agreement is None else f"{found.agreed} ({found.agreement:.2%})"
    columns = ["compared", "agreed", "not answered", "lost", "p90 of the shadow", "p90 of what answered"]
    row = (
        found.compared,
        agreement,
        found.failed,
        found.lost,
        _ms(found.latency_ms),
        f"{_ms(found.answered_latency_ms)} ({found.model}:{found.against})",
    )
    output.data.print(output.table(title, columns, [row]))


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
