"""The checks that a version passes before an alias may point at it (law 5).

They ask the published version itself, by its number, the way a caller would: is it Active, is it
ready, is it the version and the bytes it claims to be, does it reproduce its golden sample.
"""

from __future__ import annotations

import json
from typing import Any

from model_store.contract.environment import DIGEST_HEADER, MODEL_HEADER
from model_store.contract.errors import SwitchyardError
from model_store.contract.events import http_event, read_answer
from model_store.contract.golden import differences
from model_store.contract.manifest import Manifest
from releases.errors import UnfitVersionError
from releases.ports import Clock, Functions
from releases.settle import wait_until_active

_MOST_DIFFERENCES = 5

LATER_PATIENCE_S = 1_800.0
"""How long a golden sample may wait in the queue of an endpoint that answers later and has no machine."""

_LOOK_AGAIN_S = 5.0

_WAKING_S = 10
"""A 503 that says to come again in so many seconds or more is of an endpoint that is getting a machine; one
that is only busy says 1."""


class _WakingError(Exception):
    """Not yet: asking has started a machine."""


def check(functions: Functions, clock: Clock, manifest: Manifest, function: str, lambda_version: str) -> None:
    """Raise ``UnfitVersionError`` with the function's own log lines unless every check passes.

    It changes nothing, so it may be repeated.
    """
    wait_until_active(functions, clock, function, lambda_version)
    path = f"/v2/models/{manifest.model}"
    _ask(functions, manifest, function, lambda_version, http_event("GET", f"{path}/ready", None), "readiness")
    if not manifest.golden.is_there:
        # Let in by ``releases.prepare`` for a team's own container alone: it says no more than ready.
        return
    body = json.dumps({"inputs": [tensor.as_json() for tensor in manifest.golden.inputs]}).encode()
    asked, deadline = http_event("POST", f"{path}/infer", body), clock.now() + LATER_PATIENCE_S
    while True:
        try:
            answer = _ask(functions, manifest, function, lambda_version, asked, "the golden sample")
        except _WakingError as waking:
            if clock.now() >= deadline:
                raise UnfitVersionError(
                    f"the endpoint of `{manifest.ref}` got no machine in {LATER_PATIENCE_S / 60:.0f} minutes",
                    hint="Look at the endpoint in SageMaker: its quota, or its scaling.",
                ) from waking
            clock.sleep(_LOOK_AGAIN_S)
            continue
        if "outputs" in answer or "id" not in answer or clock.now() >= deadline:
            break
        # Queued before endpoints that may have to start a machine first.
        clock.sleep(_LOOK_AGAIN_S)
        asked = http_event("GET", f"{path}/results/{answer['id']}", None)
    found = differences(manifest.golden, answer.get("outputs", []))
    if found:
        raise UnfitVersionError(
            f"`{manifest.ref}` does not reproduce its golden sample: {'; '.join(found[:_MOST_DIFFERENCES])}",
            hint="The runtime computes something else than at publish: compare the onnxruntime versions.",
        )


def _ask(
    functions: Functions,
    manifest: Manifest,
    function: str,
    lambda_version: str,
    event: dict[str, Any],
    what: str,
) -> dict[str, Any]:
    """Raises ``_WakingError`` where an endpoint without a machine was just told to get one."""
    ran = functions.invoke(function, lambda_version, event)
    if ran.error is not None:
        raise UnfitVersionError(
            f"`{manifest.ref}` failed on {what}: {ran.error}",
            hint="Read the log lines above; publish a version that loads and answers.",
            evidence=ran.log,
        )
    try:
        status, headers, body = read_answer(ran.payload)
        answer = json.loads(body) if body else {}
    except (SwitchyardError, ValueError) as error:
        raise UnfitVersionError(
            f"`{manifest.ref}` answered {what} with something that is not JSON over HTTP: {error}",
            evidence=ran.log,
        ) from error
    if status == 503 and int(headers.get("retry-after") or 0) >= _WAKING_S:
        raise _WakingError(answer)
    if status not in (200, 202):
        reason = answer.get("error", "no reason given") if isinstance(answer, dict) else answer
        raise UnfitVersionError(f"`{manifest.ref}` answered {what} with {status}: {reason}", evidence=ran.log)
    claims = {
        "Lambda version": (ran.executed_version, lambda_version),
        "model": (headers.get(MODEL_HEADER), str(manifest.ref)),
        "digest": (headers.get(DIGEST_HEADER), str(manifest.digest)),
    }
    for name, (claimed, expected) in claims.items():
        if claimed != expected:
            raise UnfitVersionError(
                f"the {name} that answered for `{manifest.ref}` is `{claimed}`, expected `{expected}`",
                evidence=ran.log,
            )
    return answer if isinstance(answer, dict) else {}
