"""What an answer hangs on, on an endpoint: integrated gradients where the engine has them, else occlusion.

One explanation at a time, on a thread of its own beside the lanes: explaining is many runs, and inferences go
first. A few may wait; more are refused as a full queue refuses. The request is that of a function
(``functions.inference.explain``), with two parameters more: ``explain_method`` is ``integrated_gradients`` or
``occlusion``, and ``explain_steps`` how many gradients are added up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, cast

from functions.endpoint.errors import QueueFullError
from functions.endpoint.service import EndpointService
from functions.inference.explain import METHOD, OCCLUSION, asked_of, occluded, written
from functions.protocol.encoded import Encoded
from functions.protocol.errors import BadRequestError
from functions.protocol.requests import InferRequest, decode_request
from functions.protocol.tensors import Array, quoted
from functions.protocol.words import kind
from model_store.contract.environment import EXPLAIN_MAX_PARTS

INTEGRATED = "integrated_gradients"
STEPS = 64
"""Worths add up within some thousandths then, also where ReLU makes gradients jump."""

WAITING = 8
"""How many may wait for the one that runs."""

_KNOWN = ("explain_output", "explain_target", "explain_baseline", "explain_steps", METHOD)


class Differentiable(Protocol):
    """An engine that can follow gradients back to its inputs."""

    has_gradients: bool

    def integrated(
        self,
        inputs: Mapping[str, Array],
        output: str,
        target: int,
        *,
        baseline: float,
        steps: int,
        end: float,
    ) -> tuple[dict[str, Array], float, float]: ...


class Explanations:
    """Explains inferences of one service, each in time or not at all."""

    def __init__(self, service: EndpointService, *, timeout_s: float) -> None:
        self._service = service
        self._timeout_s = timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explains")
        self._open = 0
        engine = service.loaded.predictor
        self._engine = cast("Differentiable", engine) if getattr(engine, "has_gradients", False) else None

    def begin(self, body: bytes, json_length: int | None) -> asyncio.Future[Encoded]:
        """Explain the inference that ``body`` asks for. Raises ``QueueFullError`` and ``TooLargeError``."""
        self._service.must_go_through(len(body))
        if self._open > WAITING:
            raise QueueFullError("as many explanations wait as may: ask again later")
        self._open += 1
        end = time.perf_counter() + self._timeout_s
        future = asyncio.get_running_loop().run_in_executor(
            self._thread, self._explained, body, json_length, end
        )
        future.add_done_callback(lambda _: self._closed())
        return future

    def close(self) -> None:
        """Begin no more; what runs is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _closed(self) -> None:
        self._open -= 1

    def _explained(self, body: bytes, json_length: int | None, end: float) -> Encoded:
        served = self._service.loaded
        request = decode_request(body, served.signature, json_length=json_length)
        left = end - time.perf_counter()
        if self._method(request.parameters) == OCCLUSION:
            answer = occluded(self._service, served, request, left)
        else:
            answer = self._by_gradients(request, left, end)
        self._service.must_go_through(len(answer.body))
        return answer

    def _method(self, parameters: Mapping[str, Any]) -> str:
        there = (OCCLUSION,) if self._engine is None else (INTEGRATED, OCCLUSION)
        method = parameters.get(METHOD, there[0])
        if method not in there:
            raise BadRequestError(
                f"`{METHOD}` is {quoted(str(method))}, and this version has: {', '.join(there)}"
            )
        return str(method)

    def _by_gradients(self, request: InferRequest, left: float, end: float) -> Encoded:
        served, engine = self._service.loaded, self._engine
        assert engine is not None
        asked = asked_of(self._service, served, request, left, _KNOWN)
        steps = request.parameters.get("explain_steps", STEPS)
        if type(steps) is not int or not 1 <= steps <= EXPLAIN_MAX_PARTS:
            said = steps if type(steps) is int else kind(steps)
            raise BadRequestError(
                f"`explain_steps` is {said}, and has to be a whole number from 1 to {EXPLAIN_MAX_PARTS}"
            )
        worths, value, before = engine.integrated(
            request.inputs, asked.output, asked.target, baseline=asked.baseline, steps=steps, end=end
        )
        total = sum(float(array.sum(dtype="f8")) for array in worths.values())
        return written(
            served,
            request,
            worths,
            {
                "method": INTEGRATED,
                "output": asked.output,
                "target": asked.target,
                "value": value,
                "baseline": asked.baseline,
                "baseline_value": before,
                "unexplained": value - before - total,
                "runs": steps + 3,
            },
        )
