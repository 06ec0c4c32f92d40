"""The process: listens at once, loads the model beside that, and leaves without losing a request.

    starting ──► ready ──► draining ──► exit 0
        └──────────┴─► broken: answers 503 and waits to be replaced

A server whose model does not verify or does not load stays up and says so, with the reason in its log and
in ``/ping``. It never serves (law 2), and whoever runs it sees an unhealthy server instead of one that
starts over and over.

On SIGTERM what was accepted is finished and what is new is answered 503 with ``Connection: close``, so that
a balancer which has not noticed yet tries another server. After ``drain_s`` at most, the process ends.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

import onnxruntime as ort
import orjson
import uvloop

from functions.endpoint.batcher import Batcher, Policy
from functions.endpoint.batches import Work, is_batched, is_bounded, keeps_rows_apart
from functions.endpoint.connections import HttpServer
from functions.endpoint.engines import load_engine
from functions.endpoint.explanations import Explanations
from functions.endpoint.health import Health
from functions.endpoint.http import HttpApp
from functions.endpoint.lanes import Lane, LoopLane, ThreadLane
from functions.endpoint.metrics import Metrics
from functions.endpoint.runner import Runner
from functions.endpoint.service import EndpointService
from functions.endpoint.settings import Settings
from functions.endpoint.trial import QUICK_S, is_quick, rows_that_pay
from functions.inference.artifact import find_artifact
from functions.inference.request_log import RequestLog
from functions.inference.served import Served
from functions.protocol.requests import Signature
from functions.protocol.tensors import array_from_tensor
from model_store.contract import environment
from model_store.contract.errors import IntegrityError

LINGER_S = 0.5
"""How long a drained server still answers 503 before it stops listening."""

FLUSH_S = 3.0
"""How long the last answers have to reach their callers before connections are cut."""


class Loaded:
    """A verified model that has answered its golden sample once, and what that has shown."""

    def __init__(self, served: Served, *, golden: Work | None, batched: bool, rows: int, quick: bool) -> None:
        """``batched`` says whether requests can be joined; ``rows`` are the most of one run."""
        self.served = served
        self.golden = golden
        self.batched = batched
        self.rows = rows
        self.quick = quick


def load(settings: Settings, environ: Mapping[str, str]) -> Loaded:
    """Verify, load and try the model. Raises ``IntegrityError`` and whatever the engine raises."""
    artifact = find_artifact(environ, package=str(settings.model_dir))
    if artifact is None:
        raise IntegrityError(
            f"the environment variable `{environment.VERSION}` is not set, and an endpoint serves one version"
        )
    manifest = artifact.manifest
    engine = load_engine(artifact, settings)
    signature = Signature.of(manifest.inputs, manifest.outputs, manifest.pictures)
    served = Served(manifest, engine, signature, artifact.golden)
    golden = None
    batched = settings.batching != "off" and is_batched(served.signature)
    sample = artifact.golden()
    if sample.inputs:
        inputs = {tensor.name: array_from_tensor(tensor) for tensor in sample.inputs}
        golden = Work(inputs, tuple(served.signature.outputs))
        engine(golden.inputs, golden.outputs)
        batched = batched and keeps_rows_apart(engine, golden, rtol=sample.rtol, atol=sample.atol)
    rows = settings.max_batch if batched else 1
    if golden is not None and settings.batching == "auto":
        rows = rows_that_pay(engine, golden, rows)
    quick = golden is not None and is_bounded(served.signature) and is_quick(engine, golden, rows)
    return Loaded(served, golden=golden, batched=batched, rows=rows, quick=quick)


class EndpointServer:
    """One run of the process, on one event loop."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        labels = {
            "model": environ.get(environment.MODEL, "unknown"),
            "version": environ.get(environment.VERSION, "unknown"),
        }
        self.health = Health()
        self._metrics = Metrics(labels["model"], labels["version"])
        self._labels = labels
        self._app = HttpApp(
            self.health,
            self._metrics,
            RequestLog(labels),
            lambda: self._http.arriving,
            traced=settings.tracing,
        )
        self._http = HttpServer(self._app, max_body_bytes=settings.max_body_bytes)
        self._rpc: Any = None
        self._grpc: Any = None
        self._batcher: Batcher | None = None
        self._explanations: Explanations | None = None
        self._started = time.perf_counter()

    async def run(self) -> int:
        """Serve until told to stop. Returns the exit status."""
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        listener = socket.create_server(
            (self._settings.host, self._settings.port), backlog=2048, reuse_port=False
        )
        await self._http.listen(listener)
        self._say("listening", port=listener.getsockname()[1])
        opening = asyncio.create_task(self._open())
        await told.wait()
        await self._drain()
        opening.cancel()
        await self._http.close(FLUSH_S)
        if self._batcher is not None:
            self._batcher.close()
        if self._explanations is not None:
            self._explanations.close()
        self._say("stopped")
        return 0

    async def _open(self) -> None:
        """Load the model off the loop, which answers health checks meanwhile, and open the doors."""
        try:
            loaded = await asyncio.to_thread(load, self._settings, self._environ)
            service = self._service(loaded)
            self._app.serve(service, self._explaining(service))
            port = await self._open_grpc(service)
        except Exception as error:  # noqa: BLE001 - law 2: whatever it is, this server does not serve
            self._app.failed(error)
            reason = f"{type(error).__name__}: {error}"
            self.health.broken(reason)
            self._say("broken", reason=reason)
            return
        # What was loaded stays for good; the collector need not walk through it again and again.
        gc.collect()
        gc.freeze()
        self.health.ready()
        self._say(
            "ready",
            seconds=round(time.perf_counter() - self._started, 3),
            batched=loaded.batched,
            rows=loaded.rows,
            on_loop=loaded.quick and self._settings.workers is None,
            providers=getattr(loaded.served.predictor, "providers", []),
            grpc_port=port,
        )

    def _service(self, loaded: Loaded) -> EndpointService:
        settings = self._settings
        loop = asyncio.get_running_loop()

        def broken(reason: str) -> None:
            loop.call_soon_threadsafe(self._broken, reason)

        runner = Runner(loaded.served.predictor, loaded.golden, on_broken=broken, on_failure=self._app.failed)
        policy = Policy(
            max_batch=loaded.rows,
            max_queue_delay_s=settings.max_queue_delay_ms / 1000,
            queue_size=settings.queue_size,
            timeout_s=settings.timeout_s,
        )
        self._batcher = batcher = Batcher(
            self._lanes(loaded, runner),
            policy,
            new_stop=_new_stop,
            on_batch=self._metrics.batch,
            on_stuck=self._broken,
        )
        self._metrics.watch_queue(lambda: batcher.depth, lambda: batcher.running)
        return EndpointService(loaded.served, settings.limits(self._environ), batcher)

    def _explaining(self, service: EndpointService) -> Explanations | None:
        if not self._settings.explain:
            return None
        self._explanations = Explanations(service, timeout_s=self._settings.timeout_s)
        return self._explanations

    def _lanes(self, loaded: Loaded, runner: Runner) -> list[Lane]:
        loop = asyncio.get_running_loop()
        if self._settings.workers is None and loaded.quick:
            return [LoopLane(runner, lambda: ThreadLane(runner, loop), most_s=10 * QUICK_S)]
        return [ThreadLane(runner, loop) for _ in range(self._settings.workers or 1)]

    async def _open_grpc(self, service: EndpointService) -> int | None:
        if self._settings.grpc_port is None:
            return None
        from functions.endpoint.rpc import Rpc, start_server

        self._rpc = Rpc(service, self.health, self._metrics, self._app.failed)
        self._grpc, port = await start_server(
            self._rpc,
            host=self._settings.host,
            port=self._settings.grpc_port,
            max_bytes=self._settings.max_body_bytes,
        )
        return port

    def _broken(self, reason: str) -> None:
        self.health.broken(reason)
        self._say("broken", reason=reason)

    @property
    def _open_requests(self) -> int:
        return self._app.open + (self._rpc.open if self._rpc is not None else 0)

    async def _drain(self) -> None:
        """Finish what was accepted, while new requests are told to go elsewhere."""
        self.health.draining()
        self._say("draining", open=self._open_requests)
        deadline = time.perf_counter() + self._settings.drain_s
        while self._open_requests and time.perf_counter() < deadline:
            await asyncio.sleep(0.02)
        await asyncio.sleep(min(LINGER_S, max(0.0, deadline - time.perf_counter())))
        if self._grpc is not None:
            # Not before: a server that is stopping cancels what is new, and callers hear no reason.
            await self._grpc.stop(max(0.0, deadline - time.perf_counter()))

    def _say(self, event: str, **facts: object) -> None:
        line = {"event": event, **self._labels, **facts}
        sys.stdout.write(orjson.dumps(line).decode() + "\n")
        sys.stdout.flush()


def _new_stop() -> ort.RunOptions:
    options = ort.RunOptions()
    options.log_severity_level = 4
    return options


async def _serve(settings: Settings) -> int:
    return await EndpointServer(settings, os.environ).run()


def main() -> int:
    """Run the server that the environment describes."""
    settings = Settings.from_environment(os.environ)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))
