"""HTTP/1.1 connections: bytes in, requests out, answers back in order. httptools reads, this keeps the rules.

``HttpServer`` hands each whole request to the app as an ``Exchange``; the app answers it then or later, once.
Requests that the loop found in one turn are handed over together at its end, so that the app can see who has
company. There is no task and no coroutine per request; ADR 28 says what that is worth.

The rules, checked in ``tests/contract/test_http_conformance.py``:

* one request at a time per connection; what a caller sends ahead waits, and is answered in order;
* a body is whole or it is not handed over; beyond ``max_body_bytes`` it is read, dropped and told to be
  too large, and whoever asks first (``Expect: 100-continue``) hears so before it is sent;
* head, trailers and the text around chunks are bounded, and so is the time for a head, between two pieces
  of a body, between requests and for taking an answer;
* what cannot be read as HTTP/1 is answered 400 and the connection is closed, because nobody knows where
  the next request begins. Upgrades are ignored, as a server may;
* whoever hangs up is gone: ``on_gone`` is called once and no answer is sent.
"""

from __future__ import annotations

import asyncio
import http
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

import httptools

MAX_HEAD_BYTES = 65_536
"""Target and headers together, and everything around the data of a chunked body."""

MAX_DROPPED_BYTES = 64 * 1_048_576
"""How much beyond the limit is read only so that the caller hears the answer."""

MAX_AHEAD = 16
"""Whole requests that wait on one connection before no more of it is read."""

MAX_AHEAD_BYTES = 1_048_576
"""The same for their bodies together."""

HEAD_S = 20.0
"""From the first byte of a request to the end of its head."""

BODY_S = 30.0
"""Between two pieces of a body."""

TAKE_S = 60.0
"""For a caller to take what was sent to it."""

KEEP_ALIVE_S = 75.0
"""Between two requests: longer than a balancer keeps an idle connection (60 s), or it would send into one
that was just closed."""

_PATIENCE = {"head": HEAD_S, "body": BODY_S}

_SWEEP_S = 1.0

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_JOIN_UP_TO = 65_536

_STATUS = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in http.HTTPStatus}

_TEXT = b"content-type: application/json\r\n"

_END = b"\r\n\r\n"
_KEEP = b"\r\nconnection: keep-alive\r\n\r\n"
_CLOSE = b"\r\nconnection: close\r\n\r\n"

Headers = list[tuple[bytes, bytes]]
Phase = Literal["idle", "head", "body", "busy"]


class Exchange:
    """One whole request, and the way back to whoever sent it.

    ``body`` is ``None`` when it was too large to keep; ``size`` is how much came. ``gone`` says that nobody
    waits any more; set ``on_gone`` to hear of it.
    """

    __slots__ = (
        *("_way_back", "body", "gone", "headers", "is_old", "keep_alive", "method", "on_gone", "size"),
        "target",
    )

    def __init__(
        self,
        way_back: WayBack,
        method: bytes,
        target: bytes,
        headers: Headers,
        *,
        keep_alive: bool = True,
        is_old: bool = False,
    ) -> None:
        """``is_old`` says that the caller speaks HTTP/1.0; names in ``headers`` are lower case."""
        self._way_back = way_back
        self.method = method
        self.target = target
        self.headers = headers
        self.keep_alive = keep_alive
        self.is_old = is_old
        self.body: bytes | None = b""
        self.size = 0
        self.gone = False
        self.on_gone: Callable[[], None] | None = None

    def respond(self, status: int, head: bytes, body: bytes, *, close: bool = False) -> None:
        """Send the answer: ``head`` are whole header lines, without length and connection. Once only."""
        self._way_back.respond(self, status, head, body, close=close)


class WayBack(Protocol):
    """Where answers go."""

    def respond(self, exchange: Exchange, status: int, head: bytes, body: bytes, *, close: bool) -> None: ...


App = Callable[[Exchange], None]


class HttpServer:
    """All connections of one listener."""

    def __init__(self, app: App, *, max_body_bytes: int) -> None:
        self._app = app
        self.max_body_bytes = max_body_bytes
        self.connections: set[Connection] = set()
        self.arriving = 0
        """Requests whose head was read and whose answer was not sent."""
        self._ready: list[Exchange] = []
        self._is_scheduled = False
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def listen(self, socket: Any) -> None:
        """Take connections from a socket that listens."""
        self._server = await self._loop.create_server(lambda: Connection(self), sock=socket, backlog=2048)
        self._sweep()

    async def close(self, within_s: float) -> None:
        """Take no more connections and end those there are, answers that are under way first."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.end()
        deadline = self._loop.time() + within_s
        while self.connections and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def hand_over(self, exchange: Exchange) -> None:
        """Give a request to the app when ``settle`` is called."""
        self._ready.append(exchange)

    def settle(self, *, later: bool) -> None:
        """Let the app have what was handed over: now if the caller is the only one, else with this turn's
        other requests."""
        if not self._ready or self._is_scheduled:
            return
        if later or len(self.connections) > 1:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)
        else:
            self._flush()

    def _flush(self) -> None:
        self._is_scheduled = False
        ready, self._ready = self._ready, []
        for exchange in ready:
            if exchange.gone:
                continue
            try:
                self._app(exchange)
            except Exception as error:  # noqa: BLE001 - one request's failure must not be another's
                context = {"message": "the app failed on a request", "exception": error}
                self._loop.call_exception_handler(context)
                exchange.respond(500, _TEXT, b'{"error":"the server failed on this request"}', close=True)

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        now = self._loop.time()
        for connection in list(self.connections):
            connection.must_move(now)


class Connection(asyncio.Protocol):
    """One caller. The methods up to ``on_message_complete`` are asyncio's and httptools' callbacks."""

    __slots__ = (
        *("_ahead", "_body", "_bytes", "_closing", "_continue_due", "_current", "_fed", "_head", "_headers"),
        *("_hosts", "_parser", "_phase", "_reading", "_since", "_expects", "_server", "_stuck_since"),
        *("_transport", "_wrong", "_loop", "_target", "_again", "_is_paused"),
    )

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpRequestParser(self)
        self._ahead: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._reading: Exchange | None = None
        self._phase: Phase = "idle"
        self._since = self._loop.time()
        self._stuck_since: float | None = None
        self._closing = False
        self._wrong: int | None = None
        self._continue_due = False
        self._is_paused = False
        self._again = b""
        self._target = b""
        self._headers: Headers = []
        self._body: list[bytes] = []
        self._bytes = self._fed = self._head = self._hosts = 0
        self._expects = False

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        server = self._server
        server.connections.discard(self)
        self._closing = True
        for exchange in (self._current, *self._ahead, self._reading):
            if exchange is not None:
                server.arriving -= 1
                exchange.gone = True
                if exchange.on_gone is not None:
                    exchange.on_gone()
        self._current = self._reading = None
        self._ahead.clear()

    def eof_received(self) -> None:
        """Whoever sends no more hears no more: the transport closes."""

    def pause_writing(self) -> None:
        self._stuck_since = self._loop.time()

    def resume_writing(self) -> None:
        self._stuck_since = None
        self._next()

    def data_received(self, data: bytes) -> None:
        if self._closing or self._wrong is not None:
            return
        if self._phase != "head":  # a head has to be whole in time, however often a byte of it comes
            self._since = self._loop.time()
        self._fed += len(data)
        left = data
        while True:
            try:
                self._parser.feed_data(left)
                break
            except httptools.HttpParserUpgrade as upgrade:
                # Nothing here is upgraded to. The parser leaves a body unread that comes with the offer
                # (Java's client sends one), so the request is read again without it.
                left = self._again + left[upgrade.args[0] :]
                self._again = b""
                self._parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserError:
                self._cannot_go_on(400)
                break
        if self._fed - self._bytes > MAX_HEAD_BYTES + 16 * self._bytes:
            self._cannot_go_on(431 if self._phase == "head" else 400)
        elif self._ahead and self._is_far_ahead() and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._server.settle(later=False)

    def _is_far_ahead(self) -> bool:
        return len(self._ahead) >= MAX_AHEAD or sum(each.size for each in self._ahead) > MAX_AHEAD_BYTES

    # httptools

    def on_message_begin(self) -> None:
        self._phase = "head"
        self._target = b""
        self._headers = []
        self._head = self._hosts = 0
        self._expects = False

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head += len(name) + len(value)
        if self._phase != "head":
            return  # a trailer: nobody here reads one
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect":
            self._expects = value.lower() == b"100-continue"
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._phase = "body"
        if self._wrong is not None or self._closing:
            return
        parser = self._parser
        if parser.should_upgrade():
            self._offers_upgrade(parser.get_method())
            return
        version = parser.get_http_version()
        exchange = Exchange(
            self,
            parser.get_method(),
            self._target,
            self._headers,
            keep_alive=parser.should_keep_alive(),
            is_old=version == "1.0",
        )
        self._reading = exchange
        self._body = []
        self._bytes = 0
        self._server.arriving += 1
        if self._head + len(self._target) > MAX_HEAD_BYTES:
            self._cannot_go_on(431)
        elif version == "1.1" and self._hosts != 1:
            self._cannot_go_on(400)
        elif version not in ("1.1", "1.0"):
            self._cannot_go_on(505)
        elif self._expects and version == "1.1":
            self._may_send(exchange)

    def _offers_upgrade(self, method: bytes) -> None:
        if method == b"CONNECT":
            self._cannot_go_on(405)
            return
        lines = [name + b": " + value for name, value in self._headers if name != b"upgrade"]
        version = self._parser.get_http_version().encode()
        start = b"%b %b HTTP/%b" % (method, self._target, version)
        self._again = b"\r\n".join([start, *lines, b"", b""])

    def on_body(self, body: bytes) -> None:
        exchange = self._reading
        if exchange is None:
            return
        self._bytes += len(body)
        if self._bytes <= self._server.max_body_bytes:
            self._body.append(body)
        elif self._bytes > self._server.max_body_bytes + MAX_DROPPED_BYTES:
            self._cannot_go_on(413)
        else:
            self._body = []

    def on_message_complete(self) -> None:
        exchange, self._reading = self._reading, None
        self._fed = 0
        if exchange is None:
            return
        self._continue_due = False
        exchange.size = self._bytes
        body, self._body = self._body, []
        if self._bytes > self._server.max_body_bytes:
            exchange.body = None
        else:
            exchange.body = body[0] if len(body) == 1 else b"".join(body)
        self._bytes = 0
        self._phase = "busy"
        if self._current is None and self._stuck_since is None:
            self._current = exchange
            self._server.hand_over(exchange)
        else:
            self._ahead.append(exchange)

    # answers

    def respond(self, exchange: Exchange, status: int, head: bytes, body: bytes, *, close: bool) -> None:
        """Send the answer of the request whose turn it is, and begin the next."""
        if exchange is not self._current:
            return  # the caller has gone
        self._current = None
        self._server.arriving -= 1
        close = close or not exchange.keep_alive
        ends = _CLOSE if close else _KEEP if exchange.is_old else _END
        self._send(status, head, b"" if exchange.method == b"HEAD" else body, len(body), ends)
        if close:
            self._hang_up()
            return
        self._since = self._loop.time()
        if self._ahead or self._wrong is not None or self._continue_due:
            self._next()
        elif self._reading is None and self._phase == "busy":
            self._phase = "idle"

    def _send(self, status: int, head: bytes, body: bytes, length: int, ends: bytes) -> None:
        if len(body) <= _JOIN_UP_TO:
            whole = b"%b%bcontent-length: %d%b%b" % (_STATUS[status], head, length, ends, body)
            self._transport.write(whole)
        else:
            start = b"%b%bcontent-length: %d%b" % (_STATUS[status], head, length, ends)
            self._transport.writelines((start, body))

    def _next(self) -> None:
        """What was sent ahead has its turn, when the caller has taken the answer before."""
        if self._current is not None or self._stuck_since is not None or self._closing:
            return
        if self._ahead:
            self._current = self._ahead.popleft()
            self._server.hand_over(self._current)
            self._server.settle(later=True)
            if self._is_paused and not self._ahead and self._wrong is None:
                self._is_paused = False
                self._transport.resume_reading()
        elif self._wrong is not None:
            self._refuse(self._wrong)
        elif self._continue_due:
            self._continue_due = False
            self._transport.write(_CONTINUE)

    def _may_send(self, exchange: Exchange) -> None:
        """Answer a caller who asks before it sends a body."""
        length = next((value for name, value in exchange.headers if name == b"content-length"), b"")
        if length.isdigit() and int(length) > self._server.max_body_bytes:
            self._cannot_go_on(413)
        elif self._current is None:
            self._transport.write(_CONTINUE)
        else:
            self._continue_due = True

    # the end

    def _cannot_go_on(self, status: int) -> None:
        """Read no more; say why once everything before is answered, and hang up."""
        if self._wrong is not None:
            return
        self._wrong = status
        self._body = []
        self._continue_due = False
        if self._reading is not None:
            self._reading = None
            self._server.arriving -= 1
        self._transport.pause_reading()
        if self._current is None and not self._ahead:
            self._refuse(status)

    def _refuse(self, status: int) -> None:
        said = http.HTTPStatus(status)
        words = {
            400: "this is not a request that HTTP/1.1 knows",
            413: f"the body is larger than the {self._server.max_body_bytes} bytes that go through here",
        }
        text = words.get(status, f"{said.phrase}: {said.description}".strip().rstrip(":"))
        body = b'{"error":"%b"}' % text.encode()
        self._send(status, _TEXT, body, len(body), _CLOSE)
        self._hang_up()

    def _hang_up(self) -> None:
        self._closing = True
        transport = self._transport
        if transport.can_write_eof() and self._wrong is not None:
            # A connection closed on unread data is reset, and the caller may lose the answer that it got.
            transport.write_eof()
            transport.resume_reading()
            self._phase, self._since = "idle", self._loop.time() - KEEP_ALIVE_S + 2
        else:
            transport.close()

    def end(self) -> None:
        """Finish the request that is being answered, and no other."""
        if self._current is None:
            self._closing = True
            self._transport.close()
        else:
            self._current.keep_alive = False

    def abort(self) -> None:
        self._transport.abort()

    def must_move(self, now: float) -> None:
        """End a connection on which nothing moves."""
        waited = now - self._since
        if self._stuck_since is not None:
            if now - self._stuck_since > TAKE_S:
                self.abort()
        elif self._phase == "idle":
            if waited > KEEP_ALIVE_S and self._current is None:
                self._closing = True
                self._transport.close()
        elif self._current is None and not self._ahead and waited > _PATIENCE.get(self._phase, waited):
            self._cannot_go_on(408)
