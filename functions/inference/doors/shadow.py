"""A mirrored request: what the live version was asked and answered, to be answered here and compared.

Nobody waits for the answer and nobody gets it. What comes of it is one log line with metrics of its own
(``ShadowAgrees`` and so on): no payload, and nothing that an alarm of a release counts. It never raises,
since Lambda would send the event again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson

from functions.inference.embedded_metrics import shadow_metrics
from functions.inference.quick import body_of, remaining_s
from functions.inference.released import Service
from functions.inference.request_log import RequestLog
from functions.inference.statuses import STATUS
from functions.protocol.binary import array_from_binary
from functions.protocol.headers import json_length
from functions.protocol.tensors import Array, array_from_json
from model_store.contract.environment import (
    AGREES_METRIC,
    MAX_PAYLOAD_BYTES,
    SHADOW_EVENT,
    SHADOW_FAULTS_METRIC,
    SHADOW_LATENCY_METRIC,
    SHADOW_LOST_METRIC,
    SHADOWED_LATENCY_METRIC,
)
from model_store.contract.manifest import Golden

Event = Mapping[str, Any]
Computes = Callable[[bytes | str, int | None, float | None], Mapping[str, Array]]


def answer(
    event: Event, context: object, service: Service, log: RequestLog, computes: Computes
) -> dict[str, Any]:
    """Answer one mirrored request and compare; what is returned goes nowhere but into tests and logs.

    ``computes`` gives this version's outputs for a body, the length of its JSON where binary data follow,
    and the seconds there are.
    """
    try:
        return _compare(event, context, service, log, computes)
    except Exception as error:  # noqa: BLE001 - an event that nobody mirrored; sending it again mends nothing
        said = {"route": "shadow", "refused": type(error).__name__}
        log.aside(said)
        return said


def asked_for(service: Service) -> Computes:
    """The outputs that an endpoint answers, whichever form they come in."""

    def outputs(body: bytes | str, length: int | None, seconds: float | None) -> Mapping[str, Array]:
        said = service.infer(
            body,
            service.served.model,
            json_length=length,
            remaining_s=seconds,
            max_bytes=MAX_PAYLOAD_BYTES,
        )
        return _outputs_in(said.body, said.json_length)

    return outputs


def _compare(
    event: Event, context: object, service: Service, log: RequestLog, computes: Computes
) -> dict[str, Any]:
    about = event[SHADOW_EVENT]
    served = service.select(version=str(about["version"]))
    live = outputs_of(event["answer"])
    started = time.perf_counter()
    status, mine = 200, dict[str, Array]()
    try:
        request = event["request"]
        length = json_length((request.get("headers") or {}).items())
        mine = dict(computes(body_of(dict(request)), length, remaining_s(context)))
    except Exception as error:  # noqa: BLE001 - what the live version answered and this one did not
        status = STATUS.get(type(error), 500)
    ms = round((time.perf_counter() - started) * 1000, 3)
    differs = differing(live, mine, served.manifest.golden) if status == 200 else {}
    agrees = status == 200 and not differs
    values = {
        AGREES_METRIC: int(agrees),
        SHADOW_FAULTS_METRIC: int(status != 200),
        SHADOW_LATENCY_METRIC: ms,
        SHADOWED_LATENCY_METRIC: float(about["ms"]),
        SHADOW_LOST_METRIC: int(about.get("lost") or 0),
    }
    said = {
        "request_id": about.get("request_id") or "unknown",
        "route": "shadow",
        "status": status,
        "agrees": agrees,
        "differs": differs,
        "ms": ms,
        "answered_ms": about["ms"],
    }
    log.aside({**said, **shadow_metrics(log.labels, values)})
    return said


def outputs_of(half: Event) -> dict[str, Array]:
    """The tensors of an answer of ours, whichever form each has."""
    body = body_of(dict(half))
    content = body.encode() if isinstance(body, str) else body
    return _outputs_in(content, json_length((half.get("headers") or {}).items()))


def _outputs_in(content: bytes, length: int | None) -> dict[str, Array]:
    text = orjson.loads(content if length is None else content[:length])
    at = len(content) if length is None else length
    found: dict[str, Array] = {}
    for output in text["outputs"]:
        name, datatype, shape = output["name"], output["datatype"], output["shape"]
        size = (output.get("parameters") or {}).get("binary_data_size")
        if size is None:
            found[name] = array_from_json(name, datatype, shape, output["data"])
        else:
            found[name] = array_from_binary(name, datatype, shape, memoryview(content)[at : at + size])
            at += size
    return found


def differing(live: Mapping[str, Array], mine: Mapping[str, Array], golden: Golden) -> dict[str, str]:
    """Which outputs are not those of the live version, within the golden sample's tolerance, and how.

    In words and counts: values are a caller's.
    """
    found: dict[str, str] = {}
    for name in sorted(live.keys() | mine.keys()):
        if name not in mine or name not in live:
            found[name] = "only one of the two versions has it"
        elif live[name].dtype != mine[name].dtype or live[name].shape != mine[name].shape:
            found[name] = "another datatype or shape"
        elif wrong := _wrong(live[name], mine[name], golden):
            found[name] = f"{wrong} of {live[name].size} values"
    return found


def _wrong(live: Array, mine: Array, golden: Golden) -> int:
    if live.dtype.kind != "f":
        return int(np.count_nonzero(live != mine))
    # Where both computed no number they agree: unlike a golden sample, a caller may ask for one.
    near = np.isclose(mine, live, rtol=golden.rtol, atol=golden.atol, equal_nan=True)
    return int(near.size - np.count_nonzero(near))
