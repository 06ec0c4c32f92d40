"""Arguments and options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

Stage = Annotated[
    str, typer.Option("--stage", envvar="SWITCHYARD_STAGE", help="Which deployment: local, prod, …")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Alias = Annotated[str, typer.Option("--alias", help="Which alias of the model.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the ledger.")]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The model, for example digits.")]
VersionRef = Annotated[str, typer.Argument(metavar="NAME:VERSION", help="For example digits:2.")]
