"""``functions.endpoint.service``: read, run, write."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from functions.endpoint.batcher import Batcher, Policy
from functions.endpoint.lanes import LoopLane
from functions.endpoint.runner import Runner
from functions.endpoint.server import _new_stop
from functions.endpoint.service import EndpointService
from functions.inference.limits import Limits
from functions.protocol.answers import encode_answer
from functions.protocol.errors import BadRequestError, TooLargeError
from functions.protocol.requests import decode_request
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


def binary(values: list[float], *, more: dict[str, Any] | None = None) -> tuple[bytes, int]:
    data = np.array(values, np.float32).tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}
    document = {"inputs": [tensor], "parameters": {"binary_data_output": True}, **(more or {})}
    text = json.dumps(document).encode()
    return text + data, len(text)


def test_the_same_text_before_other_data_is_another_request_and_every_answer_its_own(
    linear_layer: Layer,
) -> None:
    async def test() -> None:
        service = make(linear_layer, Limits())
        for number in range(5):
            body, length = binary([number, 1, 2, 3])
            request = service.read(body, length)
            assert request == decode_request(body, service.loaded.signature, json_length=length)._replace(
                inputs=request.inputs
            )
            assert request.inputs["x"].tolist() == [[number, 1, 2, 3]]
            outputs = service.loaded.predictor(request.inputs, request.outputs)
            expected = encode_answer(service.loaded.manifest.ref, outputs, binary=request.binary)
            assert service.write(request, outputs) == expected

    asyncio.run(test())


def test_a_known_text_with_too_few_data_is_refused_as_ever(linear_layer: Layer) -> None:
    async def test() -> None:
        service = make(linear_layer, Limits())
        body, length = binary([1, 2, 3, 4])
        service.read(body, length)
        for wrong in (body[:-1], body + b"\0"):
            with pytest.raises(BadRequestError):
                service.read(wrong, length)

    asyncio.run(test())


def test_ids_are_kept_apart_and_do_not_pile_up(linear_layer: Layer) -> None:
    async def test() -> None:
        service = make(linear_layer, Limits())
        for number in range(300):
            body, length = binary([1, 2, 3, 4], more={"id": str(number)})
            assert service.read(body, length).id == str(number)
        for number in range(300):
            body, length = binary([1, 2, 3, 4], more={"unread": number})
            service.read(body, length)
        assert len(service._known) <= 256

    asyncio.run(test())
