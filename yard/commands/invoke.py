"""``yard invoke``: call a model the way an application does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yard import options, output

if TYPE_CHECKING:
    from yard.calls import Answer
    from yard.deployment import Deployment


def invoke(
    name: options.ModelName,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FILE", help="A V2 infer request, or a picture; - reads stdin."),
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="Ask for exactly this version.")
    ] = None,
    later: Annotated[
        bool, typer.Option("--async", help="Do not wait for the answer: print an id to ask for it with.")
    ] = False,
    result: Annotated[
        str | None, typer.Option("--result", metavar="ID", help="What came of an earlier --async.")
    ] = None,
    wait: Annotated[
        str, typer.Option("--wait", metavar="TIME", help="So long --result waits: 90s, 15m.")
    ] = "0s",
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Ask what the answer hangs on; the request has one row."),
    ] = False,
    alias: options.Alias = "live",
    token_file: options.TokenFile = None,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Send one request through the API. Without --data it sends the golden sample of what is asked.

    What is too large for Lambda goes through S3, there and back, if the model hands off. A model that is
    `asynchronous` in the catalog takes --async; --result exits 1 while there is no answer. One with `explain`
    takes --explain.
    Example: yard invoke digits --data request.json
    """
    from model_store.contract.names import check_alias, check_name
    from yard import calls, deployment
    from yard.shifts import seconds

    check_name(name)
    check_alias(alias)
    if result is not None and (later or explain or data is not None or version is not None):
        raise typer.BadParameter(
            "goes with none of --async, --explain, --data and --version", param_hint="--result"
        )
    if explain and (later or data is None):
        raise typer.BadParameter("goes with --data, and not with --async", param_hint="--explain")
    patience = seconds(wait)
    body = _read(data) if data is not None else None
    place = deployment.find(stage)
    path = f"{'' if alias == 'live' else f'/{alias}'}/v2/models/{name}"
    if result is not None:
        _show(calls.result(place, path, result, wait_s=patience, token_file=token_file), as_json=as_json)
        return
    body = body if body is not None else _golden(place, name, alias, version)
    path += f"/versions/{version}" if version is not None else ""
    if calls.is_picture(body):
        body = calls.of_pictures(place, path, body, token_file=token_file)
    send = calls.explain if explain else calls.submit if later else calls.infer
    _show(send(place, path, body, token_file=token_file), as_json=as_json, waiting_is_fine=True)


def _show(answer: Answer, *, as_json: bool, waiting_is_fine: bool = False) -> None:
    from yard.calls import CallRefusedError

    said = _parsed(answer.body)
    if answer.status >= 400:
        reason = said.get("error") or said.get("message") if isinstance(said, dict) else None
        raise CallRefusedError(
            f"{answer.status} {reason or answer.body[:300].decode('utf-8', 'replace')}",
            hint="Look at `yard status`, and compare the request with what the message expects.",
        )
    if answer.status == 202:
        output.say(f"it is answered later: ask with `--result {said['id']}`")
    else:
        _done(answer)
    if as_json:
        output.print_json(said)
    else:
        output.data.print(json.dumps(said, ensure_ascii=False), soft_wrap=True, markup=False)
    if answer.status == 202 and not waiting_is_fine:
        raise typer.Exit(1)


def _done(answer: Answer) -> None:
    output.done(f"{answer.status} in {answer.took_ms:.0f} ms from {answer.headers.get('x-switchyard-model')}")


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
