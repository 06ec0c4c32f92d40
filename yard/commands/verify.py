"""``yard verify``: read everything that is stored again, and say what is wrong with it."""

from __future__ import annotations

from typing import Annotated

import typer

from yard import options, output


def verify(
    name: Annotated[
        str, typer.Argument(metavar="[NAME[:VERSION]]", help="One version, one model, or everything.")
    ] = "",
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Re-read and re-hash what is stored. Nothing is changed; exit code 1 if anything is wrong.

    Example: yard verify digits:2
    """
    from model_store import verify as room
    from model_store.contract.names import check_name, parse_version_ref
    from yard import deployment

    ref = parse_version_ref(name) if ":" in name else None
    model = ref.model if ref else check_name(name) if name else None
    store = deployment.find(stage).store()
    with output.transferring(f"verifying {name or 'everything'}") as progress:
        done = room.verify(store, model=model, version=ref.version if ref else None, on_progress=progress)
    if as_json:
        output.print_json(
            {
                "versions": done.versions,
                "files": done.files,
                "bytes": done.size,
                "findings": [
                    {"version": str(finding.ref), "what": finding.what} for finding in done.findings
                ],
            }
        )
    else:
        for finding in done.findings:
            output.data.print(str(finding), markup=False)
    looked = f"{done.versions} versions, {done.files} files, {done.size:,} bytes re-read"
    if done.findings:
        output.fail(
            f"{looked}, and {len(done.findings)} of them are not what was published",
            hint="Do not release these: restore the object from an earlier version of the bucket, or "
            "publish the model again.",
        )
        raise typer.Exit(1)
    output.done(f"{looked}: everything is what was published")
