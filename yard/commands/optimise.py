"""``yard optimise``: smaller and quicker versions of a version, compared with it in one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output
from yard.commands.train import OUT
from yard.fitting import needed

if TYPE_CHECKING:
    from training.optimise.compare import Row
    from training.optimise.run import Outcome


def optimise(
    ref: options.VersionRef,
    ways: Annotated[
        list[str],
        typer.Option(
            "--with",
            metavar="WAY",
            help="int8, int8-dynamic, int4, fp16, prune=0.5, prune-units=0.25 or distil=RECIPE; repeatable.",
        ),
    ],
    recipe: Annotated[
        Path, typer.Option("--recipe", metavar="RECIPE", help="What the version was trained by.")
    ],
    most_loss: Annotated[
        float, typer.Option("--most-loss", min=0, help="The accuracy that may be lost, as a share.")
    ] = 0.01,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make and compare, and publish nothing.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where what is made goes.")] = OUT,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Publish smaller versions of a version, each with its size, latency and accuracy against it.

    A way that loses more than allowed is not published, and the exit code is 1.

    Example: yard optimise digits:3 --recipe recipe.toml --with int8 --with prune-units=0.5
    """
    from model_store.contract.names import parse_version_ref

    version = parse_version_ref(ref)
    with needed():
        from training.data.declared import read_data
        from training.optimise.compare import draw_pareto
        from training.optimise.run import check_ways
        from training.optimise.run import optimise as room
        from training.recipe import read_recipe
    from yard import deployment

    check_ways(ways)
    kind = read_data(recipe.parent / read_recipe(recipe).data).task
    folder = out / f"{version.model}-{version.version}"
    store = deployment.find(stage).store()
    with output.working(f"optimising {version}") as steps:
        done = room(
            store,
            version,
            recipe,
            ways,
            folder,
            out / ".data",
            most_loss=most_loss,
            created_by=deployment.caller(),
            publish_them=not dry_run,
            say=steps,
        )
    draw_pareto([done.parent, *done.rows], kind, folder / "pareto.png", title=version.model)
    if as_json:
        output.print_json(_document(done))
    else:
        _show(done, kind)
    for way, published in done.published.items():
        output.done(f"{way} is {published.manifest.ref}")
    output.say(f"picture: {folder / 'pareto.png'}")
    for error in done.refused.values():
        output.fail(str(error), hint=error.hint)
    if done.refused:
        raise typer.Exit(1)


def _show(done: Outcome, kind: str) -> None:
    from training.measured import headline

    name, _ = headline(kind)
    output.data.print(
        output.table(
            f"one run of all; milliseconds of one row on one thread; {name} on the test part",
            ["", "bytes", "of parent", "p50 ms", "p95 ms", "zeros", name, "version"],
            [
                (
                    row.how,
                    f"{row.bytes:,}",
                    f"{row.bytes / done.parent.bytes:.0%}",
                    f"{row.p50_ms:.4f}",
                    f"{row.p95_ms:.4f}",
                    f"{row.zeros:.0%}",
                    f"{row.metrics[name]:.4f}",
                    _version(done, row),
                )
                for row in (done.parent, *done.rows)
            ],
        )
    )


def _version(done: Outcome, row: Row) -> str:
    if row is done.parent:
        return "parent"
    if row.how in done.refused:
        return "refused"
    published = done.published.get(row.how)
    return str(published.manifest.ref) if published else "not published"


def _document(done: Outcome) -> dict[str, object]:
    return {
        "parent": _row(done.parent),
        "ways": [{**_row(row), "version": _version(done, row)} for row in done.rows],
        "refused": {way: str(error) for way, error in done.refused.items()},
    }


def _row(row: Row) -> dict[str, object]:
    return {
        "how": row.how,
        "bytes": row.bytes,
        "p50_ms": round(row.p50_ms, 5),
        "p95_ms": round(row.p95_ms, 5),
        "zeros": round(row.zeros, 4),
        "metrics": row.metrics,
    }
