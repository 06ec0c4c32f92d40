"""``yard sign``: let the stage's key vouch for a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yard import options, output

if TYPE_CHECKING:
    from model_store.contract.names import ByVersion
    from model_store.ports import ObjectStore
    from model_store.signatures import SigningKeys
    from yard.deployment import Deployment


def sign(
    ref: options.VersionRef,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Let the stage's key sign the manifest of a version that was published without it.

    `publish` signs by itself. Safe to repeat: a version is signed once by each key.

    Example: yard sign digits:2
    """
    from model_store.contract.errors import CatalogError
    from model_store.contract.names import parse_version_ref
    from yard import deployment

    wanted = parse_version_ref(ref)
    place = deployment.find(stage)
    if place.signed_by is None:
        raise CatalogError(
            f"stage `{stage}` has no key that signs",
            hint=f'Write `signed_by = "arn:…"` into `[stages.{stage}]`, and deploy.',
        )
    created = signed(place, wanted)
    if as_json:
        output.print_json({"version": str(wanted), "signed_by": place.signed_by, "created": created})


def signed(place: Deployment, ref: ByVersion) -> bool:
    """Sign ``ref`` with the stage's key, and say so; false if it was signed already."""
    from yard import deployment

    assert place.signed_by is not None
    return sign_with(place.store(), ref, place.keys(), place.signed_by, by=deployment.caller())


def sign_with(store: ObjectStore, ref: ByVersion, keys: SigningKeys, key: str, *, by: str) -> bool:
    """The same with what is given."""
    from datetime import UTC, datetime

    from model_store.signatures import sign as by_key

    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = by_key(store, ref, keys, key, by=by, at=at)
    output.done(f"{ref} is signed by {key}" + ("" if made else " already"))
    return made
