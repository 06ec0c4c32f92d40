"""``yard tune``: search for better numbers in a recipe, and write the best as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yard import options, output
from yard.commands.train import OUT
from yard.fitting import needed


def tune(
    search: Annotated[Path, typer.Argument(metavar="TUNE", help="A tune.toml.")],
    processes: Annotated[
        int, typer.Option("--processes", min=1, max=64, help="Search with several processes at once.")
    ] = 1,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where trials and the best recipe go.")
    ] = OUT / "tuned",
    as_json: options.Json = False,
) -> None:
    """Try recipes that differ in the numbers that TUNE names; what is hopeless is stopped early.

    The same command goes on with a search that was killed. Example: yard tune tune.toml --processes 2
    """
    with needed():
        from training.tune import PLOT
        from training.tune import tune as room

    with output.working("searching") as steps:
        done = room(search, out, out / ".data", processes=processes, say=steps)
    if as_json:
        output.print_json(
            {
                "recipe": str(done.recipe),
                "best": done.best.number,
                "loss": done.best.loss,
                "values": done.best.values,
                "trials": [
                    {"number": one.number, "state": one.state, "loss": one.loss, "values": one.values}
                    for one in done.trials
                ],
            }
        )
    else:
        ranked = sorted(done.trials, key=lambda one: (one.loss is None, one.loss or 0.0))
        keys = list(done.best.values)
        output.data.print(
            output.table(
                "trials, the best first",
                ["trial", "validation loss", "ended", "epochs", *keys],
                [
                    (
                        one.number,
                        "-" if one.loss is None else f"{one.loss:.5f}",
                        one.state,
                        one.epochs,
                        *(_short(one.values.get(key)) for key in keys),
                    )
                    for one in ranked
                ],
            )
        )
    output.done(f"trial {done.best.number} is the best, written to {done.recipe}; picture: {out / PLOT}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
