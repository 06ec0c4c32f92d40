"""``yard invoke``: call a model the way an application does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yard import options, output

if TYPE_CHECKING:
    from yard.deployment import Deployment


def invoke(
    name: options.ModelName,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FILE", help="A V2 infer request; - reads stdin."),
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="Ask for exactly this version.")
    ] = None,
    alias: options.Alias = "live",
    token_file: options.TokenFile = None,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Send one request through the API. Without --data it sends the golden sample of what is asked.

    What is too large for Lambda goes through S3, there and back, if the model hands off.
    Example: yard invoke digits --data request.json
    """
    from model_store.contract.names import check_alias, check_name
    from yard import deployment
    from yard.calls import CallRefusedError, infer

    check_name(name)
    check_alias(alias)
    body = _read(data) if data is not None else None
    place = deployment.find(stage)
    body = body if body is not None else _golden(place, name, alias, version)
    prefix = "" if alias == "live" else f"/{alias}"
    pinned = f"/versions/{version}" if version is not None else ""
    answer = infer(place, f"{prefix}/v2/models/{name}{pinned}", body, token_file=token_file)
    said = _parsed(answer.body)
    if answer.status >= 400:
        reason = said.get("error") or said.get("message") if isinstance(said, dict) else None
        raise CallRefusedError(
            f"{answer.status} {reason or answer.body[:300].decode('utf-8', 'replace')}",
            hint="Look at `yard status`, and compare the request with what the message expects.",
        )
    output.done(f"{answer.status} in {answer.took_ms:.0f} ms from {answer.headers.get('x-switchyard-model')}")
    if as_json:
        output.print_json(said)
    else:
        output.data.print(json.dumps(said, ensure_ascii=False), soft_wrap=True, markup=False)


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    path = Path(source)
    if not path.is_file():
        raise typer.BadParameter(f"there is no file `{source}`", param_hint="--data")
    return path.read_bytes()


def _golden(place: Deployment, name: str, alias: str, version: int | None) -> bytes:
    """The inputs that the version was published with: always a valid request."""
    from model_store.contract.names import ByVersion
    from model_store.versions import load_manifest
    from releases.status import status

    asked = version or status(place.releases(output.say), name, alias=alias).version
    if not asked:
        # Nothing is released: let the API itself say so.
        return json.dumps({"inputs": []}).encode()
    manifest = load_manifest(place.store(), ByVersion(name, asked))
    output.say(f"sending the golden sample of {manifest.ref}")
    return json.dumps({"inputs": [tensor.as_json() for tensor in manifest.golden.inputs]}).encode()


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
