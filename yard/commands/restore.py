"""``yard restore``: serve in another region what a lost one served."""

from __future__ import annotations

from typing import Annotated

import typer

from yard import options, output


def restore(
    from_bucket: Annotated[
        str,
        typer.Option("--from-bucket", metavar="NAME", help="The bucket that the store was replicated to."),
    ],
    region: Annotated[
        str | None, typer.Option("--region", metavar="R", help="Where that bucket is; else this region.")
    ] = None,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Bring models and ledgers from a replica into a freshly deployed stage, then release what was live.

    Exits 1 when something could not be brought back, and says what. Repeat it to go on.
    Example: yard restore --from-bucket prod-replica --region eu-west-1 --stage prod-dr
    """
    from dataclasses import asdict

    from model_store.adapters.s3 import S3Store, s3_client
    from model_store.replica import bring
    from releases.restore import restore as serve_again
    from yard import deployment

    place = deployment.find(stage)
    source = S3Store(from_bucket, client=s3_client(region=region))
    with output.working(f"restoring {stage} from {from_bucket}") as steps:
        brought = bring(source, place.store(), say=lambda step, _done, _total: steps(step))
        restored = serve_again(place.releases(steps))
    lost = [*brought.lost, *(f"{item.ref}: {item.lost}" for item in restored if item.lost)]
    for said in lost:
        output.warn(said)
    serving = [item for item in restored if not item.lost]
    output.done(
        f"{len(brought.versions)} versions are there, {len(serving)} aliases serve what their ledger says"
    )
    if as_json:
        output.print_json(
            {
                "versions": [str(ref) for ref in brought.versions],
                "aliases": [{**asdict(item), "ref": str(item.ref)} for item in restored],
                "lost": lost,
            }
        )
    if lost:
        raise typer.Exit(1)
