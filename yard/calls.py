"""Calling a deployed API: plain HTTP, signed with the caller's own credentials where the API asks for it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_store.contract.environment import MAX_PAYLOAD_BYTES
from model_store.contract.errors import SwitchyardError
from releases.errors import ServiceError

if TYPE_CHECKING:
    from pathlib import Path

    from switchyard_client.auth import Auth
    from yard.deployment import Deployment

TIMEOUT_S = 35.0
"""An HTTP API gives up after 30 seconds; the client waits a little longer, to hear it say so."""


class CallRefusedError(SwitchyardError):
    """The API answered a call with an error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its status, its headers with lower-case names, its body, and how long it took."""

    status: int
    headers: dict[str, str]
    body: bytes
    took_ms: float


def auth_for(place: Deployment, token_file: Path | None = None) -> Auth:
    """How a request to this stage proves who sends it: signed, with a token, or not at all.

    A token comes from ``token_file``, else from the environment (``switchyard_client.auth``); never from the
    command line, which every user of a machine can read.
    """
    from switchyard_client.auth import Anonymous, Bearer, Iam, token_of_environment, token_of_file

    if place.auth == "iam":
        return Iam()
    if place.auth == "jwt":
        return Bearer(token_of_environment if token_file is None else lambda: token_of_file(str(token_file)))
    return Anonymous()


def call(
    place: Deployment, method: str, path: str, body: bytes | None = None, *, token_file: Path | None = None
) -> Answer:
    """Send one request and return whatever was answered, errors included.

    A body that Lambda would refuse is refused before it is sent, and so is a request that cannot say whom
    it is from.
    """
    import httpx

    if place.api_url is None:
        raise ServiceError(
            f"stage `{place.stage}` has no API yet",
            hint=f"Finish the deploy: `cdk deploy --all -c stage={place.stage}`.",
        )
    if body is not None and len(body) > MAX_PAYLOAD_BYTES:
        raise CallRefusedError(
            f"the request has {len(body):,} bytes, a Lambda model takes at most {MAX_PAYLOAD_BYTES:,}",
            hint="Send fewer rows in one request.",
        )
    url = f"{place.api_url}{path}"
    headers = {"content-type": "application/json"} if body is not None else {}
    headers = _signed(auth_for(place, token_file), method, url, headers, body)
    started = time.perf_counter()
    try:
        answer = httpx.request(method, url, content=body, headers=headers, timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        raise ServiceError(
            f"`{url}` did not answer: {error or type(error).__name__}",
            hint="Check the network and `yard status`, then repeat.",
        ) from error
    took_ms = (time.perf_counter() - started) * 1000
    return Answer(
        answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content, took_ms
    )


def _signed(auth: Auth, method: str, url: str, headers: dict[str, str], body: bytes | None) -> dict[str, str]:
    """Add what proves who sends this; nothing is sent where nobody can."""
    from switchyard_client import Bearer, CredentialsError

    try:
        return auth.headers(method, url, headers, body or b"")
    except CredentialsError as error:
        if isinstance(auth, Bearer):
            raise CallRefusedError(
                f"this call has no token: {error}",
                hint="Set SWITCHYARD_TOKEN, or name the file that holds the token with `--token-file`.",
            ) from error
        raise CallRefusedError(
            f"this call cannot be signed: {error}", hint="Set AWS_PROFILE and AWS_REGION, or sign in first."
        ) from error
