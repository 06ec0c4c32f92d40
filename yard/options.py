"""Arguments and options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Stage = Annotated[
    str, typer.Option("--stage", envvar="SWITCHYARD_STAGE", help="Which deployment: local, prod, …")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Alias = Annotated[str, typer.Option("--alias", help="Which alias of the model.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the ledger.")]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The model, for example digits.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")]
Now = Annotated[
    bool, typer.Option("--now", help="Break the glass: override checks, alarms and a running shift.")
]
Since = Annotated[
    str, typer.Option("--since", metavar="TIME", help="How far back to look: 90s, 30m, 1h, 7d.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="The token for an API that asks for a JWT; else SWITCHYARD_TOKEN or SWITCHYARD_TOKEN_FILE.",
    ),
]
VersionRef = Annotated[str, typer.Argument(metavar="NAME:VERSION", help="For example digits:2.")]


def check_reason(reason: str) -> None:
    """Refuse to break the glass without saying why."""
    if not reason.strip():
        raise typer.BadParameter("breaking the glass needs a reason; add --reason TEXT for the ledger")
