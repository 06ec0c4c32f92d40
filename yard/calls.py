"""Calling a deployed API: plain HTTP, signed with the caller's own credentials where the API asks for it.

What Lambda does not carry goes through S3, there and back, if the model hands off (ADR 12).
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from model_store.contract.environment import MAX_PAYLOAD_BYTES
from model_store.contract.errors import SwitchyardError
from releases.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    command line, which every user of a machine can read. Where the stage knows callers by keys, one goes with
    it, from the environment alone.
    """
    from switchyard_client.auth import (
        Anonymous,
        Bearer,
        Iam,
        key_of_environment,
        token_of_environment,
        token_of_file,
        with_key,
    )

    auth: Auth = Anonymous()
    if place.auth == "iam":
        auth = Iam()
    elif place.auth == "jwt":
        auth = Bearer(token_of_environment if token_file is None else lambda: token_of_file(str(token_file)))
    return with_key(auth, key_of_environment if place.asks_for_key else None)


def submit(place: Deployment, path: str, body: bytes, *, token_file: Path | None = None) -> Answer:
    """Send a JSON request to be answered later. A model without a queue answers it at once.

    Raises ``CallRefusedError`` where it is too large and the model hands nothing off.
    """
    from switchyard_client.calls import LATER, goes_through
    from switchyard_client.messages import Written

    fits = goes_through(Written(body), as_bytes=place.api_kind == "rest")
    sent = body if fits else _by_reference(place, path, body, token_file)
    return _fetched(call(place, "POST", f"{path}/infer", sent, token_file=token_file, headers=LATER))


def result(
    place: Deployment, path: str, id_: str, *, wait_s: float, token_file: Path | None = None
) -> Answer:
    """What came of a request by its id, waited for at most so long; 202 as long as nothing did."""
    from switchyard_client.calls import LOOK_AGAIN_S

    end = time.monotonic() + wait_s
    while True:
        answer = call(place, "GET", f"{path}/results/{id_}", token_file=token_file)
        if answer.status != 202 or time.monotonic() + LOOK_AGAIN_S > end:
            return _fetched(answer)
        time.sleep(LOOK_AGAIN_S)


def infer(place: Deployment, path: str, body: bytes, *, token_file: Path | None = None) -> Answer:
    """Send a JSON request to the model at ``path``, by whichever way it and its answer fit through.

    Returns whatever was answered, errors included; an answer that lies in S3 is fetched. Raises
    ``CallRefusedError`` where a request is too large and the model hands nothing off.
    """
    from switchyard_client.calls import goes_through
    from switchyard_client.messages import Written

    # A REST API carries every body as base64.
    fits = goes_through(Written(body), as_bytes=place.api_kind == "rest")
    answer = call(
        place,
        "POST",
        f"{path}/infer",
        body if fits else _by_reference(place, path, body, token_file),
        token_file=token_file,
    )
    if answer.status == 413 and fits and _hands_off(place, path, token_file):
        answer = call(place, "POST", f"{path}/infer", _allowing_a_pointer(body), token_file=token_file)
    return _fetched(answer)


def explain(place: Deployment, path: str, body: bytes, *, token_file: Path | None = None) -> Answer:
    """Ask the model at ``path`` what its answer to a JSON request hangs on; returns whatever was answered."""
    return call(place, "POST", f"{path}/explain", body, token_file=token_file)


def of_pictures(place: Deployment, path: str, file: bytes, *, token_file: Path | None = None) -> bytes:
    """The request that hands ``file`` to the model at ``path``.

    Raises ``CallRefusedError`` where the model has not the one input that takes files, and no other.
    """
    inputs = _document(call(place, "GET", path, token_file=token_file)).get("inputs") or []
    if len(inputs) != 1 or "content_type" not in (inputs[0].get("parameters") or {}):
        raise CallRefusedError(
            "the file is a picture, and the model takes other inputs than one of pictures",
            hint="Give a V2 infer request in JSON.",
        )
    data = [base64.b64encode(file).decode()]
    tensor = {"name": inputs[0]["name"], "datatype": "BYTES", "shape": [1], "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def is_picture(data: bytes) -> bool:
    """Whether ``data`` begin as a JPEG or PNG does, and as no JSON does."""
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))


def call(
    place: Deployment,
    method: str,
    path: str,
    body: bytes | None = None,
    *,
    token_file: Path | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request and return whatever was answered, errors included.

    A body that Lambda would refuse is refused before it is sent, and so is a request that cannot say whom
    it is from.
    """
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
    said = {"content-type": "application/json"} if body is not None else {}
    signed = _signed(auth_for(place, token_file), method, url, {**said, **(headers or {})}, body)
    return _sent(method, url, body, signed)


def _by_reference(place: Deployment, path: str, body: bytes, token_file: Path | None) -> bytes:
    """Upload ``body`` to where the model can read it, and return the request that names it."""
    told = call(
        place, "POST", f"{path}/uploads", json.dumps({"bytes": len(body)}).encode(), token_file=token_file
    )
    if told.status == 404:
        raise CallRefusedError(
            f"the request has {len(body):,} bytes, a Lambda model takes at most {MAX_PAYLOAD_BYTES:,}",
            hint="Send fewer rows in one request, or set `handoff = true` for the model in models.toml.",
        )
    where = _document(told)
    if told.status != 200 or "url" not in where:
        raise CallRefusedError(
            f"no upload of {len(body):,} bytes is taken: {told.status} {where.get('error', '')}".rstrip(),
            hint="Send fewer rows in one request.",
        )
    put = _sent("PUT", str(where["url"]), body, dict(where.get("headers") or {}))
    if put.status >= 300:
        raise CallRefusedError(
            f"the upload of {len(body):,} bytes was answered with {put.status}", hint="Repeat the command."
        )
    return json.dumps({"parameters": {"input_ref": where["input_ref"], "accept_output_url": True}}).encode()


def _hands_off(place: Deployment, path: str, token_file: Path | None) -> bool:
    parameters = _document(call(place, "GET", path, token_file=token_file)).get("parameters")
    return isinstance(parameters, dict) and "handoff_max_bytes" in parameters


def _allowing_a_pointer(body: bytes) -> bytes:
    """The same request, which may be answered with an address."""
    asked = json.loads(body)
    return json.dumps(
        {**asked, "parameters": {**asked.get("parameters", {}), "accept_output_url": True}}
    ).encode()


def _fetched(answer: Answer) -> Answer:
    """The answer itself, if what came is only the address where it lies."""
    parameters = _document(answer).get("parameters")
    if not isinstance(parameters, dict) or "output_url" not in parameters:
        return answer
    got = _sent("GET", str(parameters["output_url"]), None, {})
    if got.status != 200:
        raise CallRefusedError(
            f"the answer lies in S3, and asking for it was answered with {got.status}",
            hint="Repeat the command.",
        )
    return replace(answer, body=got.body, took_ms=answer.took_ms + got.took_ms)


def _document(answer: Answer) -> dict[str, Any]:
    """The JSON object that was answered; an empty one if it was something else."""
    if not answer.body.startswith(b"{"):
        return {}
    try:
        return dict(json.loads(answer.body))
    except ValueError:
        return {}


def _sent(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    import httpx

    started = time.perf_counter()
    try:
        answer = httpx.request(method, url, content=body, headers=headers, timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        raise ServiceError(
            f"`{url.partition('?')[0]}` did not answer: {error or type(error).__name__}",
            hint="Check the network and `yard status`, then repeat.",
        ) from error
    took_ms = (time.perf_counter() - started) * 1000
    return Answer(
        answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content, took_ms
    )


def _signed(auth: Auth, method: str, url: str, headers: dict[str, str], body: bytes | None) -> dict[str, str]:
    """Add what proves who sends this; nothing is sent where nobody can."""
    from switchyard_client import Bearer, CredentialsError, Keyed

    if isinstance(auth, Keyed):
        signed = _signed(auth.inner, method, url, headers, body)
        try:
            return signed | auth.key_header()
        except CredentialsError as error:
            raise CallRefusedError(
                f"this call has no key: {error}",
                hint="Set SWITCHYARD_API_KEY, or SWITCHYARD_API_KEY_FILE to a file that holds it; whoever "
                "runs the stage prints it with `yard callers CALLER --key LABEL`.",
            ) from error
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
