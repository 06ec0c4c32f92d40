"""Lambda entry point. Every line here runs once, in the init phase, before a SnapStart snapshot.

The order is deliberate: the model is being hashed, or read from the store, while numpy and onnxruntime are
imported.
"""

# ruff: noqa: E402
from __future__ import annotations

import os
from typing import Any

from functions.inference.artifact import Artifact, find_artifact
from functions.inference.failed_start import counted
from model_store.contract.environment import MANIFEST, STAGE


def _find() -> Artifact | None:
    """In a layer, or read from the store while the rest is imported; only that imports what reads."""
    if MANIFEST not in os.environ:
        return find_artifact(os.environ)
    from functions.inference.stored import find_stored

    return find_stored(os.environ)


_artifact = counted(_find)

# numpy's linear algebra makes a thread for every processor when it is imported, and those wait in a busy
# loop for tens of milliseconds: processor time that a start needs. Nothing here uses them; onnxruntime has
# its own. Source: OpenBLAS user manual, "Runtime variables".
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from functions.inference.door import Handler, HttpDoor
from functions.inference.doors import Doors
from functions.inference.doors.explanations import explain_routes
from functions.inference.doors.payloads import handoff_routes
from functions.inference.limits import Limits
from functions.inference.pinned import PinnedDoor
from functions.inference.request_log import RequestLog
from functions.inference.served import load_served
from functions.inference.service import ModelService
from functions.inference.siblings import siblings_of
from functions.inference.snapstart import prepare
from model_store.contract.environment import CAPTURE, SHADOW

_served = counted(load_served, os.environ, artifact=_artifact)
_service = ModelService(_served, Limits.from_environment(os.environ))
_stage = {"stage": os.environ[STAGE]} if STAGE in os.environ else {}
_log = RequestLog({**_served.labels, **_stage})

_recorder = None
if CAPTURE in os.environ:
    from functions.inference.capture import CaptureDoor, recording

    _recorder = recording(_served, os.environ, _log)

_http: Handler = HttpDoor(
    _service,
    _log,
    {**handoff_routes(_service, os.environ, _recorder), **explain_routes(_service, os.environ)},
)
if _recorder is not None:
    _http = CaptureDoor(_http, _recorder)

if SHADOW in os.environ:
    from functions.inference.mirror import mirrored

    _http = mirrored(_http, os.environ)


def _compare(event: dict[str, Any], context: object) -> dict[str, Any]:
    from functions.inference.doors import shadow

    return shadow.answer(event, context, _service, _log, _service.outputs)


handler = Doors(
    PinnedDoor(_http, _served, connect=siblings_of(os.environ)),
    _service,
    _log,
    os.environ,
    compare=_compare,
    recorder=_recorder,
)


def _refresh() -> None:
    # How fast the model ran where the snapshot was taken says nothing about this machine.
    _service.pace.forget()
    _log.again()


prepare(os.environ, prime=_service.prime, refresh=_refresh)
