"""``yard callers``: who has keys to a REST API, and a key to hand over."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from yard.callers import Caller


def callers(
    name: Annotated[
        str | None, typer.Argument(metavar="CALLER", help="Whose key to print; with --key.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="LABEL", help="Which key of the caller to print.")
    ] = None,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """List who may call with a key and within which limits; with --key print that key, and nothing else.

    Callers are declared in models.toml, for a stage whose API is a REST API. API Gateway makes the keys.

    Example: yard callers shop --key first --stage prod
    """
    from yard import deployment
    from yard.callers import ApiKeys

    if (name is None) != (key is None):
        raise typer.BadParameter("a caller and --key LABEL go together", param_hint="--key")
    place = deployment.find(stage)
    keys = ApiKeys(place.stage)
    if name is not None and key is not None:
        _print_key(keys.value(name, key), name, key, as_json=as_json)
        return
    found = keys.callers()
    if as_json:
        output.print_json([one.as_json() for one in found])
        return
    if not place.asks_for_key:
        output.say(f"the API of stage {stage} asks nobody for a key")
    columns = ["caller", "keys", "a second", "at once", "quota"]
    output.data.print(output.table(f"callers of stage {stage}", columns, [_row(one) for one in found]))


def _print_key(value: str, name: str, label: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"caller": name, "label": label, "key": value})
        return
    output.say(f"the key `{label}` of {name}; it goes into the header x-api-key")
    sys.stdout.write(value + "\n")


def _row(one: Caller) -> list[object]:
    quota = f"{one.quota:,} a {one.period}" if one.quota else "-"
    return [one.name, ", ".join(one.keys), _shown(one.rate), _shown(one.burst), quota]


def _shown(limit: float | None) -> str:
    return "-" if limit is None else f"{limit:g}"
