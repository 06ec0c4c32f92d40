"""``functions.endpoint.service``: read, run, write."""

from __future__ import annotations

import asyncio
import json

import pytest

from functions.endpoint.batcher import Batcher, Policy
from functions.endpoint.lanes import LoopLane
from functions.endpoint.runner import Runner
from functions.endpoint.server import _new_stop
from functions.endpoint.service import EndpointService
from functions.inference.limits import Limits
from functions.protocol.errors import BadRequestError, TooLargeError
from tests.unit.functions.conftest import Caller, Layer

ROWS = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 4], "data": [1, 2, 3, 4, 5, 6, 7, 8]}]}


def make(layer: Layer, limits: Limits) -> EndpointService:
    """On the running loop."""
    served = layer.load()
    runner = Runner(
        served.predictor, None, on_broken=pytest.fail, on_failure=lambda error: pytest.fail(str(error))
    )
    lane = LoopLane(runner, lambda: pytest.fail("not slow"), most_s=10)
    return EndpointService(served, limits, Batcher([lane], Policy(), new_stop=_new_stop))


def test_queued_or_at_once_the_answer_is_the_function_s(linear_layer: Layer) -> None:
    async def answers() -> tuple[bytes, bytes]:
        service = make(linear_layer, Limits())
        body = json.dumps(ROWS).encode()
        request = service.read(body, None)
        queued = await service.begin(request).future
        at_once = service.at_once(request, company=False)
        assert at_once is not None
        return service.write(request, queued).body, service.write(request, at_once).body

    queued, at_once = asyncio.run(answers())
    assert queued == at_once == Caller(linear_layer.load()).infer(*ROWS["inputs"]).body


def test_bytes_and_rows_are_bounded(linear_layer: Layer) -> None:
    async def test() -> None:
        service = make(linear_layer, Limits(max_payload_bytes=150, max_batch=1))
        with pytest.raises(TooLargeError, match="151 bytes"):
            service.read(b" " * 151, None)
        with pytest.raises(BadRequestError):
            service.read(b"{}", None)
        text = json.dumps(ROWS, separators=(",", ":")).encode()
        request = service.read(text, None)
        with pytest.raises(TooLargeError, match="2 rows"):
            service.begin(request)
        with pytest.raises(TooLargeError, match="2 rows"):
            service.at_once(request, company=False)
        outputs = service.loaded.predictor(request.inputs, request.outputs)
        with pytest.raises(TooLargeError, match="the answer has"):
            service.write(request, outputs)

    asyncio.run(test())
