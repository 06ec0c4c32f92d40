"""``yard promote``: carry a version from one stage to another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from model_store.contract.names import ByVersion
    from model_store.ports import ObjectStore


def promote(
    name: Annotated[
        str, typer.Argument(metavar="NAME[:VERSION]", help="What the alias serves there, or this version.")
    ],
    from_stage: Annotated[str, typer.Option("--from", metavar="STAGE", help="Where it is.")],
    to_stage: Annotated[str, typer.Option("--to", metavar="STAGE", help="Where it shall be.")],
    alias: options.Alias = "live",
    from_profile: Annotated[
        str | None, typer.Option("--from-profile", metavar="NAME", help="AWS profile that reads there.")
    ] = None,
    to_profile: Annotated[
        str | None, typer.Option("--to-profile", metavar="NAME", help="AWS profile that writes here.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Store a version of one stage as the next version of another, by digest. Nothing is released by it.

    Stages in different accounts: name a profile for each.
    Example: yard promote digits --from dev --to prod --from-profile dev --to-profile prod
    """
    from model_store.contract.deployment import check_stage
    from model_store.contract.errors import InvalidNameError
    from model_store.promote import promote as carry
    from yard import deployment

    if (check_stage(from_stage), from_profile) == (check_stage(to_stage), to_profile):
        raise InvalidNameError(
            f"`{from_stage}` is where it is and where it shall be",
            hint="Name two stages, or one in two accounts by two profiles.",
        )
    wanted, alias = _wanted(name), _checked(alias)
    deployment.check_declared(wanted if isinstance(wanted, str) else wanted.model)
    with _in_account(from_profile):
        source = deployment.find(from_stage).store()
    with _in_account(to_profile):
        place = deployment.find(to_stage)
        target = place.store()
        keys = place.keys() if place.signed_by else None
        caller = deployment.caller()
    ref = _served(source, wanted, alias, from_stage) if isinstance(wanted, str) else wanted
    with output.working(f"promoting {ref} from {from_stage} to {to_stage}") as steps:
        published = carry(
            source,
            target,
            ref,
            from_stage=from_stage,
            promoted_by=caller,
            on_progress=lambda step, at, total: steps(f"{step} ({at / total if total else 0:.0%})"),
        )
    manifest = published.manifest
    for remark in published.remarks:
        output.warn(remark)
    if published.created:
        output.done(f"{from_stage}'s {ref} is {to_stage}'s {manifest.ref}, {manifest.digest}")
    else:
        output.done(f"these bytes are {to_stage}'s {manifest.ref} already; nothing was stored")
    if keys is not None and place.signed_by is not None:
        from yard.commands.sign import sign_with

        sign_with(target, manifest.ref, keys, place.signed_by, by=caller)
    output.people.print(f"next: yard release {manifest.ref} --stage {to_stage}", style="dim")
    if as_json:
        output.print_json(
            {
                "model": manifest.model,
                "version": manifest.version,
                "digest": str(manifest.digest),
                "created": published.created,
                "from": {"stage": from_stage, "version": ref.version},
                "lineage": manifest.lineage,
            }
        )
    else:
        output.data.print(str(manifest.ref))


def _wanted(text: str) -> ByVersion | str:
    from model_store.contract.names import check_name, parse_version_ref

    return parse_version_ref(text) if ":" in text else check_name(text)


def _checked(alias: str) -> str:
    from model_store.contract.names import check_alias

    return check_alias(alias)


def _served(store: ObjectStore, model: str, alias: str, stage: str) -> ByVersion:
    """What the ledger of ``alias`` says is served: reading it needs no more than the store."""
    from model_store.contract.names import ByVersion
    from releases.errors import NotDeployedError
    from releases.ledger import Ledger, in_force

    step = in_force(Ledger(store, model, alias).lines())
    if step is None:
        raise NotDeployedError(
            f"`{model}@{alias}` serves nothing on stage `{stage}`",
            hint=f"Name a version: `yard promote {model}:N --from {stage} …`.",
        )
    return ByVersion(model, step.version)


@contextmanager
def _in_account(profile: str | None) -> Iterator[None]:
    """Act with ``profile``, or as ever without one; clients made meanwhile keep what they were made with.

    The environment is put back afterwards: finding the embedded cloud's stage points this process at it,
    and the other stage may be in AWS.
    """
    import boto3
    from botocore.exceptions import ProfileNotFound

    from model_store.contract.errors import InvalidNameError

    environment, session = dict(os.environ), boto3.DEFAULT_SESSION
    if profile is not None:
        # The store's client has a session of its own: keys in the environment would come before a profile.
        os.environ["AWS_PROFILE"] = profile
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            os.environ.pop(name, None)
    try:
        boto3.setup_default_session(profile_name=profile)
        yield
    except ProfileNotFound as error:
        raise InvalidNameError(
            f"there is no AWS profile `{profile}` on this machine",
            hint="`aws configure list-profiles` names those there are.",
        ) from error
    finally:
        os.environ.clear()
        os.environ.update(environment)
        boto3.DEFAULT_SESSION = session
