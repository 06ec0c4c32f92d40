"""``yard verify``: read everything that is stored again, and say what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from model_store.verify import Verified
    from yard.deployment import Deployment


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
    place = deployment.find(stage)
    store = place.store()
    with output.transferring(f"verifying {name or 'everything'}") as progress:
        done = room.verify(store, model=model, version=ref.version if ref else None, on_progress=progress)
    signed = _signatures(place, done) if place.signed_by else None
    if as_json:
        output.print_json(
            {
                "versions": done.versions,
                "files": done.files,
                "bytes": done.size,
                "findings": [
                    {"version": str(finding.ref), "what": finding.what} for finding in done.findings
                ],
                **({"signed_by": signed} if signed else {}),
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
    by = f", and `{signed}` has signed each" if signed else ""
    output.done(f"{looked}: everything is what was published{by}")


def _signatures(place: Deployment, done: Verified) -> str | None:
    """The stage's key, once every version was held against it; one that it did not sign is a finding."""
    from model_store.contract.errors import IntegrityError, UnsignedError
    from model_store.signatures import check
    from model_store.verify import Finding

    store, keys, key = place.store(), place.keys(), place.signed_by
    assert key is not None
    wrong = {finding.ref for finding in done.findings}
    for ref in done.refs:
        if ref in wrong:
            continue
        try:
            check(store, ref, keys, key)
        except (UnsignedError, IntegrityError) as error:
            done.findings.append(Finding(ref, str(error)))
    return key
