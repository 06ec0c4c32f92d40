"""Lambda entry point of a gateway: the inference function's doors around a service that asks an endpoint.

Every line here runs once, at init. Neither numpy nor onnxruntime is imported, nor boto3: a start takes
little more than Python's own.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from functions.gateway.adapters import endpoint_of, job_routes, later_of
from functions.gateway.explanations import explain_routes
from functions.gateway.openai import openai_routes, own_paths
from functions.gateway.pin import find_pin
from functions.gateway.service import GatewayService
from functions.inference.door import Handler, HttpDoor
from functions.inference.doors import Doors
from functions.inference.doors.payloads import handoff_routes
from functions.inference.failed_start import counted
from functions.inference.limits import Limits
from functions.inference.pinned import PinnedDoor
from functions.inference.request_log import RequestLog
from functions.inference.siblings import siblings_of
from model_store.contract.environment import CAPTURE, SHADOW, STAGE

_pin = counted(find_pin, os.environ)
_connect = cache(lambda: endpoint_of(_pin, os.environ))
_later = later_of(_pin, os.environ, _connect)
_service = GatewayService(_pin, Limits.from_environment(os.environ), connect=_connect, later=_later)
_stage = {"stage": os.environ[STAGE]} if STAGE in os.environ else {}
_log = RequestLog({**_pin.labels, **_stage})

_recorder = None
if CAPTURE in os.environ:
    from functions.inference.capture import CaptureDoor, recording

    _recorder = recording(_pin, os.environ, _log, own_paths=own_paths(_service))

_payloads = handoff_routes if _later is None else job_routes
_routes = {**openai_routes(_service), **explain_routes(_service, os.environ)}
_http: Handler = HttpDoor(_service, _log, {**_routes, **_payloads(_service, os.environ, _recorder)})
if _recorder is not None:
    _http = CaptureDoor(_http, _recorder)

if SHADOW in os.environ:
    from functions.inference.mirror import mirrored

    _http = mirrored(_http, os.environ)


def _compare(event: dict[str, Any], context: object) -> dict[str, Any]:
    # Comparing is the one thing here that needs numpy; a version that shadows imports it with its first.
    from functions.inference.doors import shadow

    return shadow.answer(event, context, _service, _log, shadow.asked_for(_service))


handler = Doors(
    PinnedDoor(_http, _pin, connect=siblings_of(os.environ)),
    _service,
    _log,
    os.environ,
    compare=_compare,
    recorder=_recorder,
)
