"""A worker that ends in the middle of a run is replaced, and only its own requests fail, whichever way they came.

No model that may be served ends a thread on purpose; a wrapper around a real one does. A crash of the engine's
machine code takes the process with it, and whoever runs the container replaces that.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime as ort
import pytest
import uvloop

from functions.endpoint.batcher import Batcher, Policy
from functions.endpoint.connections import HttpServer
from functions.endpoint.health import Health
from functions.endpoint.http import HttpApp
from functions.endpoint.lanes import Lane, LoopLane, ThreadLane
from functions.endpoint.messages import ModelInferRequest
from functions.endpoint.metrics import Metrics
from functions.endpoint.rpc import Rpc
from functions.endpoint.runner import Runner
from functions.endpoint.service import EndpointService
from functions.endpoint.settings import EndpointLimits
from functions.inference.predictor import Engine, Stop
from functions.inference.request_log import RequestLog
from functions.protocol.tensors import Array
from tests.contract.test_endpoint_container import TABLE, patient_body, patient_layer
from tests.unit.functions.conftest import Layer

POISON = 5


class Deadly:
    """Ends the thread that runs it on one index, and remembers which threads it ran on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.threads: set[int] = set()
        self.died = 0

    def __call__(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        self.threads.add(threading.get_ident())
        if POISON in inputs["index"]:
            self.died += 1
            raise SystemExit("this worker is done for")
        return self._engine(inputs, outputs, options=options)


class Serving:
    """The whole container's code in this process, but for the process."""

    def __init__(self, engine: Deadly, url: str, rpc: Rpc) -> None:
        self.engine, self.url, self.rpc = engine, url, rpc
        self.client = httpx.AsyncClient(timeout=60)

    async def ask(self, index: int) -> httpx.Response:
        return await self.client.post(f"{self.url}/v2/models/patient/infer", json=patient_body((0, index)))


@asynccontextmanager
async def serving(layer: Layer, kind: str) -> AsyncIterator[Serving]:
    loop = asyncio.get_running_loop()
    loaded = layer.load()
    engine = Deadly(loaded.predictor)
    health, metrics = Health(), Metrics("patient", "1")
    app = HttpApp(health, metrics, RequestLog({"model": "patient", "version": "1"}), lambda: 2)
    runner = Runner(engine, None, on_broken=health.broken, on_failure=app.failed)
    lanes: dict[str, Callable[[], list[Lane]]] = {
        "two threads": lambda: [ThreadLane(runner, loop) for _ in range(2)],
        "one thread": lambda: [ThreadLane(runner, loop)],
        "the loop": lambda: [LoopLane(runner, lambda: ThreadLane(runner, loop), most_s=10.0)],
    }
    batcher = Batcher(lanes[kind](), Policy(max_batch=1), new_stop=ort.RunOptions)
    service = EndpointService(loaded._replace(predictor=engine), EndpointLimits(), batcher)
    app.serve(service)
    health.ready()
    server = HttpServer(app, max_body_bytes=100_000)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    await server.listen(listener)
    serving = Serving(engine, url, Rpc(service, health, metrics, app.failed))
    try:
        yield serving
        assert health.is_ready
    finally:
        await serving.client.aclose()
        await server.close(5)
        batcher.close()


def run(layer: Layer, kind: str, test: Callable[[Serving], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(layer, kind) as there:
            await test(there)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    return patient_layer(tmp_path / "model")


@pytest.mark.parametrize("kind", ["two threads", "one thread", "the loop"])
def test_only_the_requests_of_a_worker_that_dies_fail_and_another_takes_over(kind: str, layer: Layer) -> None:
    async def test(there: Serving) -> None:
        asked = [number % 8 for number in range(40)]
        answers = await asyncio.gather(*(there.ask(index) for index in asked))
        for index, answer in zip(asked, answers, strict=True):
            if index == POISON:
                assert answer.status_code == 500
                assert "try it again" in answer.json()["error"]
            else:
                assert answer.json()["outputs"][0]["data"] == [TABLE[index]]
        assert there.engine.died == asked.count(POISON)
        # Every death but one on the loop itself brought a new thread.
        assert len(there.engine.threads) > 1
        assert (await there.ask(1)).status_code == 200

    run(layer, kind, test)


def message(index: int) -> Any:
    request = ModelInferRequest(model_name="patient", id=str(index))
    for name, value in (("turns", 0), ("index", index)):
        request.inputs.add(name=name, datatype="INT64", shape=[1, 1])
        request.raw_input_contents.append(np.array([value], np.int64).tobytes())
    return request


def test_a_stream_goes_on_after_a_worker_died_under_it(layer: Layer) -> None:
    async def test(there: Serving) -> None:
        async def asked() -> AsyncIterator[Any]:
            for index in (1, POISON, 2, POISON, 3):
                yield message(index)

        heard = [each async for each in there.rpc.model_stream_infer(asked(), None)]
        assert [bool(each.error_message) for each in heard] == [False, True, False, True, False]
        assert [each.infer_response.id for each in heard] == ["1", "5", "2", "5", "3"]
        values = [each.infer_response.raw_output_contents[0] for each in heard if not each.error_message]
        assert [np.frombuffer(value, np.float32)[0] for value in values] == [1.5, 3.0, 4.5]

    run(layer, "one thread", test)


def test_the_metrics_tell_of_it(layer: Layer) -> None:
    async def test(there: Serving) -> None:
        assert (await there.ask(POISON)).status_code == 500
        page = (await there.client.get(f"{there.url}/metrics")).text
        assert 'outcome="failed",version="1"} 1.0' in page

    run(layer, "one thread", test)
