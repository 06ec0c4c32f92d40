"""``yard dash``: the deployed dashboard of a model, or of a stage, drawn into one HTML file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from dashboards.asked import Mark
    from yard.deployment import Deployment


def dash(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The model; without one, the whole stage.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the page goes.")] = Path(
        "page.html"
    ),
    since: options.Since = "3h",
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Draw the dashboard that CloudWatch shows, from the same document and the same numbers.

    One file that needs no network. Releases are marked and listed, from the ledger.
    Example: yard dash digits --out page.html
    """
    from dashboards import asked
    from dashboards.page import draw_page
    from model_store.contract.deployment import fleet_dashboard_name, model_dashboard_name
    from model_store.contract.names import check_name
    from releases.errors import NotDeployedError
    from yard import deployment, shifts

    span_s = shifts.seconds(since)
    board = model_dashboard_name(stage, check_name(name)) if name else fleet_dashboard_name(stage)
    place = deployment.find(stage)
    until = place.now()
    reader = place.boards()
    body = reader.body(board)
    if body is None:
        raise NotDeployedError(
            f"there is no dashboard `{board}`",
            hint="Declare the model in the catalog and deploy; a page comes with its stack.",
        )
    page = asked.read(body, span_s=span_s)
    marked = _marks(place, name, since=until - span_s) if name else []
    out.write_text(draw_page(page, reader, since=until - span_s, until=until, marks=marked), "utf-8")
    if as_json:
        output.print_json(
            {
                "dashboard": board,
                "file": str(out),
                "charts": [chart.title for chart in page.charts],
                "alarms": list(page.alarms),
                "marks": [asdict(mark) for mark in marked],
                "left_out": list(page.left_out),
            }
        )
    output.done(f"{out}: {len(page.charts)} charts of `{board}`, {len(marked)} releases marked")


def _marks(place: Deployment, model: str, *, since: float) -> list[Mark]:
    """Every move of every alias of the model."""
    from dashboards.asked import Mark
    from releases.marks import marks_of

    store = place.releases(output.say).store
    return [Mark(one.at, one.label, one.by, one.why) for one in marks_of(store, model, since=since)]
