"""``yard proxy``: let programs that cannot sign call an API that asks for IAM."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Annotated

import typer

from yard import options, output


def proxy(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Where to listen; a free port without it.")
    ] = 0,
    token_file: options.TokenFile = None,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Listen on this machine and sign every request to the stage's API. Stops on Ctrl-C.

    An API that asks for a JWT gets the token of --token-file or the environment, read for each request; with
    neither, what programs send in `Authorization` goes through. An API that knows its callers by keys gets
    the one in SWITCHYARD_API_KEY or the file SWITCHYARD_API_KEY_FILE, else what programs send in `x-api-key`.

    Example: yard proxy --stage prod --port 8000
    """
    from model_store.contract.errors import SwitchyardError
    from releases.errors import ServiceError
    from switchyard_client.auth import (
        KEY,
        KEY_FILE,
        TOKEN,
        TOKEN_FILE,
        Anonymous,
        key_of_environment,
        with_key,
    )
    from yard import deployment
    from yard.calls import auth_for
    from yard.proxy import LOOPBACK, Proxy, serve

    place = deployment.find(stage)
    if place.api_url is None:
        raise ServiceError(
            f"stage `{stage}` has no API yet",
            hint=f"Finish the deploy: `cdk deploy --all -c stage={stage}`.",
        )
    theirs = place.auth == "jwt" and not (token_file or os.environ.get(TOKEN) or os.environ.get(TOKEN_FILE))
    own_key = place.asks_for_key and bool(os.environ.get(KEY) or os.environ.get(KEY_FILE))
    auth = auth_for(place if own_key else replace(place, asks_for_key=False), token_file)
    if theirs:
        auth = with_key(Anonymous(), key_of_environment if own_key else None)
    try:
        signer = Proxy(place.api_url, auth, port=port, say=output.say)
    except OSError as error:
        raise SwitchyardError(
            f"port {port} of {LOOPBACK} cannot be listened on: {error.strerror}",
            hint="Choose another with `--port`, or leave it out for a free one.",
        ) from error
    what = "passes on to" if isinstance(auth, Anonymous) else "signs for"
    output.done(f"{signer.url} {what} stage {stage} at {place.api_url}; stop it with Ctrl-C")
    if as_json:
        output.print_json({"url": signer.url, "stage": stage, "api_url": place.api_url, "auth": place.auth})
    else:
        output.data.print(signer.url)
    sys.stdout.flush()  # whoever started this may be waiting for the address
    serve(signer)
    output.done("stopped")
