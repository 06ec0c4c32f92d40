"""``yard restore``: serve in another region what a lost one served."""

from __future__ import annotations

from datetime import UTC
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

    Says until when the replica knows of anything, what is missing before that, and how long each part took.
    Exits 1 when something could not be brought back. Repeat it to go on.
    Example: yard restore --from-bucket switchyard-prod-copy-111122223333-eu-west-1 --stage prod-dr
    """
    import time
    from dataclasses import asdict

    from model_store.adapters.s3 import S3Store, s3_client
    from model_store.replica import bring
    from releases.restore import known
    from releases.restore import restore as serve_again
    from yard import deployment

    place = deployment.find(stage)
    source = S3Store(from_bucket, client=s3_client(region=region))
    began = time.monotonic()
    with output.working(f"restoring {stage} from {from_bucket}") as steps:
        ledgers = known(source)
        brought = bring(source, place.store(), say=lambda step, _done, _total: steps(step))
        copied = time.monotonic()
        restored = serve_again(place.releases(steps))
    ended = time.monotonic()
    gaps = [
        f"line {number} of the ledger of `{each.ref}` did not arrive"
        for each in ledgers
        for number in each.missing
    ]
    lost = [*brought.lost, *gaps, *(f"{item.ref}: {item.lost}" for item in restored if item.lost)]
    for said in lost:
        output.warn(said)
    written = (
        brought.known_until.astimezone(UTC).isoformat(timespec="milliseconds") if brought.known_until else ""
    )
    until = max([written, *(each.at for each in ledgers)])
    serving = [item for item in restored if not item.lost]
    output.done(
        f"{len(brought.versions)} versions are there, {len(serving)} aliases serve what their ledger says "
        f"({copied - began:.1f} s to copy, {ended - copied:.1f} s to prepare and release)"
    )
    if until:
        output.say(f"the replica knows of nothing after {until}: what was done later has to be done again")
    if as_json:
        output.print_json(
            {
                "versions": [str(ref) for ref in brought.versions],
                "aliases": [{**asdict(item), "ref": str(item.ref)} for item in restored],
                "ledgers": [{**asdict(each), "ref": str(each.ref)} for each in ledgers],
                "known_until": until,
                "lost": lost,
                "copied_s": round(copied - began, 3),
                "released_s": round(ended - copied, 3),
            }
        )
    if lost:
        raise typer.Exit(1)
