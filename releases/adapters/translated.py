"""What botocore's errors mean to this room, for the adapters of CloudWatch and Step Functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from model_store.contract.errors import AccessDeniedError
from releases.errors import NotDeployedError, ReleaseError, ServiceError

CONFIG: Any = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 5}
)
"""Retries are safe: every call of these adapters may be repeated."""

_DENIED = frozenset(
    {"AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "ExpiredTokenException"}
)
_GONE = frozenset(
    {"StateMachineDoesNotExist", "ResourceNotFoundException", "ResourceNotFound", "NotFoundException"}
)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Let nothing of botocore out: what may work later is ``ServiceError``."""
    try:
        yield
    except ClientError as error:
        raise _meaning(what, error) from error
    except BotoCoreError as error:
        raise ServiceError(
            f"AWS did not answer for {what}: {error}",
            hint="Check the network and the credentials, then run the same command again.",
        ) from error


def _meaning(what: str, error: ClientError) -> ReleaseError | AccessDeniedError:
    code = error.response["Error"]["Code"]
    said = error.response["Error"].get("Message", "")
    if code in _DENIED:
        return AccessDeniedError(
            f"AWS denies access to {what}: {said}", hint="Use credentials that may release this model."
        )
    if code in _GONE:
        return NotDeployedError(
            f"{what} does not exist", hint="Run `cdk deploy --all` for this stage, then repeat."
        )
    return ServiceError(f"AWS answered {code} for {what}: {said}", hint="Run the same command again.")
