"""The front of each load balancer: one port of 127.0.0.1, where requests really arrive and are passed on.

Stock: a request by HTTP/1.1 is passed on if it comes to the cloud's own port, and gRPC nowhere. AWS: a port
for each listener, TLS on those of gRPC. Here both listeners share a port without TLS: who begins with the
preface of HTTP/2 speaks to the one that carries gRPC, anybody else to the other. So the load balancer's
``DNSName`` names the port, and ``http://<DNSName>`` is an address.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h11
import urllib3
from h2 import events
from h2.exceptions import ProtocolError

from local_cloud.extension import http2, routing

ANSWER_S = 65.0
"""As the stack has it: ``idle_timeout.timeout_seconds``."""

_READ_BYTES = 1 << 16
_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
_BROKEN = (OSError, EOFError, h11.RemoteProtocolError, h11.LocalProtocolError, ProtocolError)

_pool = urllib3.PoolManager(maxsize=64, retries=False)
_fronts: dict[str, Front] = {}
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


class Front:
    """What listens for one load balancer, until it is closed."""

    def __init__(self, balancer: str) -> None:
        self.balancer = balancer
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._checks: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._checks = asyncio.create_task(self._check())

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in (*self._tasks, *((self._checks,) if self._checks else ())):
            task.cancel()

    async def _check(self) -> None:
        while True:
            await routing.check(self.balancer)
            await asyncio.sleep(routing.CHECK_S)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            first = await reader.readexactly(len(http2.PREFACE))
            if first == http2.PREFACE:
                await _Calls(self.balancer, reader, writer).serve(first)
            else:
                await _requests(self.balancer, reader, writer, first)
        except _BROKEN:
            return  # whoever asked is gone, or speaks something else
        finally:
            self._tasks.discard(task)
            writer.close()


async def _requests(
    balancer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes
) -> None:
    """Answer requests by HTTP/1.1, one after the other, while the connection lasts."""
    client = h11.Connection(h11.SERVER)
    client.receive_data(first)
    while True:
        request, body = None, b""
        while True:
            event: Any = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(await reader.read(_READ_BYTES))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return
        assert request is not None
        status, headers, content = await asyncio.to_thread(_answered, balancer, request, body)
        length = [("content-length", str(len(content)))]
        for part in (
            h11.Response(status_code=status, headers=[*headers, *length]),
            h11.Data(data=content),
            h11.EndOfMessage(),
        ):
            writer.write(client.send(part) or b"")
        await writer.drain()
        if client.our_state is h11.MUST_CLOSE:
            return
        client.start_next_cycle()


def _answered(balancer: str, request: h11.Request, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    method, path = request.method.decode(), request.target.decode()
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
    found = routing.route(balancer, grpc=False, method=method, path=path.partition("?")[0], headers=headers)
    if isinstance(found, routing.Fixed):
        return found.status, [("content-type", found.kind), ("server", "awselb/2.0")], found.body
    passed = {name: value for name, value in headers.items() if name not in _HOP}
    try:
        with routing.asking(found):
            answer = _pool.request(
                method,
                f"http://{found.host}:{found.port}{path}",
                body=body or None,
                headers=passed,
                timeout=ANSWER_S,
            )
    except urllib3.exceptions.TimeoutError:
        return 504, [("content-type", "text/html"), ("server", "awselb/2.0")], b""
    except urllib3.exceptions.HTTPError:
        return 502, [("content-type", "text/html"), ("server", "awselb/2.0")], b""
    kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP]
    return answer.status, kept, answer.data


class _Calls:
    """The calls of one HTTP/2 connection. Each finds its own target: a connection outlives many flips."""

    def __init__(self, balancer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._balancer = balancer
        self._wire = http2.Wire(reader, writer, client_side=False)
        self._calls: dict[int, tuple[http2.Call, asyncio.Task[None]]] = {}

    async def serve(self, first: bytes) -> None:
        try:
            async for event in self._wire.events(first):
                self._heard(event)
        finally:
            for _, task in list(self._calls.values()):
                task.cancel()

    def _heard(self, event: Any) -> None:
        if isinstance(event, events.RequestReceived):
            call = http2.Call(event.headers)
            task = asyncio.create_task(self._answer(event.stream_id, call))
            self._calls[event.stream_id] = call, task
            return
        call_and_task = self._calls.get(getattr(event, "stream_id", 0) or 0)
        if call_and_task is None:
            return
        if isinstance(event, events.DataReceived):
            call_and_task[0].body.put_nowait(event.data)
        elif isinstance(event, events.StreamEnded):
            call_and_task[0].body.put_nowait(None)
        elif isinstance(event, events.StreamReset):
            call_and_task[1].cancel()

    async def _answer(self, stream: int, call: http2.Call) -> None:
        begun = False

        async def passed_on(event: Any) -> None:
            nonlocal begun
            begun = True
            await self._passed_on(stream, event)

        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in call.headers}
            path, method = headers.get(":path", ""), headers.get(":method", "")
            found = routing.route(self._balancer, grpc=True, method=method, path=path, headers=headers)
            if isinstance(found, routing.Fixed):
                self._say(stream, found.status)
                return
            with routing.asking(found):
                await http2.carry(call, found.host, found.port, passed_on)
        except OSError:
            with contextlib.suppress(ProtocolError):
                if begun:
                    self._wire.reset(stream)
                else:
                    self._say(stream, 502)
        except ProtocolError:
            return  # whoever asked does not listen any more
        finally:
            self._calls.pop(stream, None)

    def _say(self, stream: int, status: int) -> None:
        """A status without gRPC's own: 502 and 503 are UNAVAILABLE to a client (gRPC's HTTP mapping)."""
        self._wire.headers(stream, [(b":status", str(status).encode())], end=True)

    async def _passed_on(self, stream: int, event: Any) -> None:
        if isinstance(event, events.ResponseReceived):
            self._wire.headers(stream, event.headers, end=event.stream_ended is not None)
        elif isinstance(event, events.TrailersReceived):
            self._wire.headers(stream, event.headers, end=True)
        elif isinstance(event, events.DataReceived):
            await self._wire.data(stream, event.data)
            if event.stream_ended is not None:
                self._wire.end(stream)
        elif isinstance(event, events.StreamReset):
            self._wire.reset(stream)


def open_front(balancer: str) -> int:
    """Listen for a load balancer, and return the port."""
    front = Front(balancer)
    _run(front.open())
    with _lock:
        _fronts[balancer] = front
    return front.port


def close_front(balancer: str) -> None:
    """Listen no more. Safe to repeat."""
    with _lock:
        front = _fronts.pop(balancer, None)
    if front is not None:
        _run(front.close())


def reset() -> None:
    """Close every front and forget what was checked."""
    for balancer in list(_fronts):
        close_front(balancer)
    routing.reset()


def _run(work: Any) -> None:
    """Do it in the fronts' own loop, for the account and region of whoever asks."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            _loop.set_default_executor(ThreadPoolExecutor(64, thread_name_prefix="fronts"))
            threading.Thread(target=_loop.run_forever, daemon=True, name="fronts").start()
    asyncio.run_coroutine_threadsafe(work, _loop).result(30)
