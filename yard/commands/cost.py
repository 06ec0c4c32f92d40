"""``yard cost``: what models cost, from what was counted and a table of list prices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from telemetry.cost import Cost, Item


def cost(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One model; all without it.")] = None,
    since: options.Since = "7d",
    prices_file: Annotated[
        Path | None, typer.Option("--prices", metavar="FILE", help="Another table than planning/prices.toml.")
    ] = None,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Say what models cost: by line, for a thousand requests, and what only a rollback needs.

    An estimate from metrics and list prices, not the bill. Example: yard cost digits --since 30d
    """
    from model_store.contract.names import check_name
    from planning.prices import read_prices
    from releases.errors import NotDeployedError
    from telemetry.cost import cost as work_out
    from telemetry.window import window
    from yard import declared, deployment, shifts

    if name is not None:
        check_name(name)
    over_s = shifts.seconds(since)
    prices = read_prices(prices_file) if prices_file else read_prices()
    place = deployment.find(stage)
    room = place.releases(output.say)
    over, numbers = window(place.now(), over_s), place.numbers()
    found = []
    for model in [name] if name is not None else declared.models(room):
        try:
            found.append(work_out(room, numbers, model, over, prices, api=place.api_kind))
        except NotDeployedError:
            if name is not None:
                raise
    if as_json:
        output.print_json(
            {
                "stage": stage,
                "since": over.since,
                "until": over.now,
                "prices": {"as_of": prices.as_of, "region": prices.region},
                "dollars": sum(one.dollars for one in found),
                "models": [one.as_json() for one in found],
            }
        )
        return
    _show(found, since, prices.where)


def _show(found: list[Cost], since: str, where: str) -> None:
    rows: list[tuple[object, ...]] = []
    for one in found:
        rows += [(f"{one.model} ({one.target})", *_line(item)) for item in one.items]
        rows.append((f"{one.model} ({one.target})", "together", "", "", f"{one.dollars:,.4f}", _of(one)))
    output.data.print(
        output.table(
            f"the last {since}, in US dollars; {where}",
            ["model", "what", "how much", "unit", "$", "remark"],
            rows,
        )
    )
    for one in found:
        for said in one.unpriced:
            output.warn(f"{one.model}, {said}: no table has its price, so it is not in the sum")
    if len(found) > 1:
        output.say(f"all models: ${sum(one.dollars for one in found):,.4f}")
    output.say("list prices, and what stands ready as it stands now; S3, KMS and transfer are not in it")


def _line(item: Item) -> tuple[str, ...]:
    remarks = ["only for a rollback"] * item.warmth + ["estimated"] * item.estimated
    amount = f"{item.quantity:,.3f}".rstrip("0").rstrip(".")
    return item.what, amount, item.unit, f"{item.dollars:,.4f}", ", ".join(remarks)


def _of(one: Cost) -> str:
    said = []
    if one.per_thousand is not None:
        said.append(f"{one.per_thousand:,.4f} for 1000 requests")
    if one.warmth:
        said.append(f"{one.warmth:,.4f} of it only for a rollback")
    return ", ".join(said)
