"""The rules of HTTP/1.1 (RFC 9112) that ``functions.endpoint.connections`` keeps, on real sockets.

h11, which is strict about what it hears, reads the answers.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import h11
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.endpoint import connections
from functions.endpoint.connections import Exchange, HttpServer

LIMIT = 1000
PLAIN = b"content-type: text/plain\r\n"
DEADLINE_S = 60.0


class Echo:
    """Answers with method, target and body. ``/later`` waits until it is let go, ``/large`` is 8 MB."""

    def __init__(self) -> None:
        self.waiting: list[Exchange] = []
        self.gone = 0
        self.together: list[int] = []
        self.complaints: list[str] = []
        self.server: HttpServer

    def __call__(self, exchange: Exchange) -> None:
        self.together.append(self.server.arriving)
        if exchange.target == b"/later":
            self.waiting.append(exchange)
            exchange.on_gone = self._gone
        elif exchange.target == b"/fail":
            raise RuntimeError("as asked")
        elif exchange.target == b"/large":
            exchange.respond(200, PLAIN, b"x" * 8_000_000)
        elif exchange.body is None:
            exchange.respond(413, PLAIN, b"%d" % exchange.size)
        else:
            self.answer(exchange)

    def _gone(self) -> None:
        self.gone += 1

    def answer(self, exchange: Exchange) -> None:
        exchange.respond(200, PLAIN, b" ".join((exchange.method, exchange.target, exchange.body or b"")))


class Caller:
    """One connection, read by h11."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._left = b""

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(
        self, method: bytes = b"GET", *, until: int = 0
    ) -> tuple[int, bytes, dict[bytes, bytes]]:
        """The next answer; ``until`` a status of its own, 100 for "go on"."""
        side = h11.Connection(h11.CLIENT)
        side.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        side.send(h11.EndOfMessage())
        if self._left:
            side.receive_data(self._left)
        found: Any = None
        body = b""
        while True:
            event = side.next_event()
            if event is h11.NEED_DATA:
                async with asyncio.timeout(DEADLINE_S):
                    side.receive_data(await self.reader.read(65_536))
            elif isinstance(event, h11.InformationalResponse):
                if until == event.status_code:
                    self._left = side.trailing_data[0]
                    return event.status_code, b"", {}
            elif isinstance(event, h11.Response):
                found = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._left = side.trailing_data[0]
                return found.status_code, body, dict(found.headers)
            else:
                raise AssertionError(f"{event} after {body!r}")

    async def ends(self) -> bool:
        """Whether the server ends the connection, and says nothing more before."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                return not self._left and await self.reader.read() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()


Call = Callable[[], Awaitable[Caller]]


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Echo, Call]]:
    app = Echo()
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    app.server = HttpServer(app, max_body_bytes=LIMIT)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    await app.server.listen(listener)
    callers: list[Caller] = []

    async def call() -> Caller:
        caller = Caller(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
        callers.append(caller)
        return caller

    try:
        yield app, call
    finally:
        for caller in callers:
            caller.close()
        await app.server.close(1.0)
        assert app.server.arriving == 0
        assert [str(each.get("exception")) for each in complaints] == app.complaints


async def soon(happens: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not happens():
            await asyncio.sleep(0.005)


def run(test: Callable[[Echo, Call], Awaitable[None]], *, uv: bool = True) -> None:
    async def main() -> None:
        async with serving() as (app, call):
            await test(app, call)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uv else None) as runner:
        runner.run(main())


def post(target: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST %b HTTP/1.1" % target, b"host: x", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def get(target: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"GET %b HTTP/1.1" % target, b"host: x", *headers]) + b"\r\n\r\n"


CHUNKED = b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
SEVERAL = post(b"/a", b"one") + get(b"/b") + CHUNKED + b"3;ext=1\r\ntwo\r\n1\r\n!\r\n0\r\ntrailer: no\r\n\r\n"
ANSWERS = [b"POST /a one", b"GET /b ", b"POST /c two!"]


@pytest.mark.parametrize("uv", [True, False], ids=["uvloop", "asyncio"])
def test_a_connection_is_kept_and_what_is_sent_ahead_is_answered_in_order(uv: bool) -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        for _ in range(2):
            caller.send(SEVERAL)
            assert [(await caller.answer())[1] for _ in ANSWERS] == ANSWERS

    run(test, uv=uv)


@settings(max_examples=40, deadline=None)
@given(cuts=st.sets(st.integers(1, len(SEVERAL) - 1), max_size=12))
def test_where_the_network_cuts_changes_nothing(cuts: set[int]) -> None:
    ends = [0, *sorted(cuts), len(SEVERAL)]

    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        for start, end in itertools.pairwise(ends):
            caller.send(SEVERAL[start:end])
            await asyncio.sleep(0)
        assert [(await caller.answer())[1] for _ in ANSWERS] == ANSWERS

    run(test)


def test_an_answer_waits_for_those_before_it() -> None:
    async def test(app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(get(b"/later") + get(b"/b") + get(b"/c"))
        await soon(lambda: len(app.waiting) == 1)
        await asyncio.sleep(0.02)
        app.answer(app.waiting.pop())
        assert [(await caller.answer())[1] for _ in range(3)] == [b"GET /later ", b"GET /b ", b"GET /c "]

    run(test)


def test_what_arrives_in_one_turn_is_seen_together() -> None:
    async def test(app: Echo, call: Call) -> None:
        callers = [await call() for _ in range(8)]
        for caller in callers:
            caller.send(get(b"/warm"))
            await caller.answer()
        app.together.clear()
        for caller in callers:
            caller.send(get(b"/a"))
        for caller in callers:
            await caller.answer()
        assert max(app.together) > 1

    run(test)


def test_a_request_that_the_app_fails_on_is_nobody_else_s_trouble() -> None:
    async def test(app: Echo, call: Call) -> None:
        app.complaints = ["as asked"]
        callers = [await call() for _ in range(5)]
        for number, caller in enumerate(callers):
            caller.send(get(b"/fail" if number == 1 else b"/a"))
        assert [(await caller.answer())[0] for caller in callers] == [200, 500, 200, 200, 200]

    run(test)


def test_a_body_beyond_the_limit_is_told_and_the_connection_goes_on() -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(post(b"/a", b"x" * (LIMIT + 1)) + get(b"/b"))
        assert (await caller.answer())[:2] == (413, b"%d" % (LIMIT + 1))
        assert (await caller.answer())[1] == b"GET /b "

    run(test)


def test_a_body_without_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_DROPPED_BYTES", 1000)

    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(CHUNKED + b"400\r\n" + b"x" * 0x400 + b"\r\n" + b"800\r\n" + b"x" * 0x800 + b"\r\n")
        status, _, headers = await caller.answer()
        assert (status, headers[b"connection"]) == (413, b"close")
        assert await caller.ends()

    run(test)


def test_who_asks_before_sending_is_told_to_go_on() -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        whole = post(b"/a", b"body", b"expect: 100-continue")
        caller.send(whole[:-4])
        assert (await caller.answer(until=100))[0] == 100
        caller.send(b"body")
        assert (await caller.answer())[1] == b"POST /a body"

    run(test)


def test_who_asks_behind_another_request_is_told_after_its_answer() -> None:
    async def test(app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(get(b"/later") + post(b"/a", b"body", b"expect: 100-continue")[:-4])
        await soon(lambda: len(app.waiting) == 1)
        app.answer(app.waiting.pop())
        assert (await caller.answer())[1] == b"GET /later "
        assert (await caller.answer(until=100))[0] == 100
        caller.send(b"body")
        assert (await caller.answer())[1] == b"POST /a body"

    run(test)


def test_who_asks_before_sending_too_much_is_told_so_at_once() -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(
            b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\nexpect: 100-continue\r\n\r\n" % (LIMIT + 1)
        )
        assert (await caller.answer())[0] == 413
        assert await caller.ends()

    run(test)


@pytest.mark.parametrize(
    "request_",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx\0y: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked, identity\r\n\r\n0\r\n\r\n",
        CHUNKED + b"zz\r\nab\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nabcd\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\nhost: a\n\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_ends(request_: bytes) -> None:
    async def test(app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(post(b"/first", b"1"))
        assert (await caller.answer())[0] == 200
        caller.send(request_)
        status, _, headers = await caller.answer()
        assert (status, headers[b"connection"]) == (400, b"close")
        assert await caller.ends()
        assert app.server.arriving == 0

    run(test)


def test_a_version_that_is_not_spoken_here_is_said_to_be_so() -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(b"GET / HTTP/2.0\r\nhost: a\r\n\r\n")
        assert (await caller.answer())[0] in (400, 505)
        assert await caller.ends()

    run(test)


def test_good_requests_before_a_bad_one_are_answered() -> None:
    async def test(app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(get(b"/later") + get(b"/b") + b"hello\r\n\r\n")
        await soon(lambda: len(app.waiting) == 1)
        app.answer(app.waiting.pop())
        assert [(await caller.answer())[0] for _ in range(3)] == [200, 200, 400]
        assert await caller.ends()

    run(test)


@pytest.mark.parametrize("pieces", [1, 50])
@pytest.mark.parametrize("where", ["header", "target", "headers"])
def test_a_head_is_bounded(where: str, pieces: int) -> None:
    whole = {
        "header": get(b"/a", b"x: " + b"y" * 100_000),
        "target": get(b"/" + b"a" * 100_000),
        "headers": get(b"/a", *(b"x%d: y" % number for number in range(12_000))),
    }[where]

    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        size = len(whole) // pieces + 1
        for at in range(0, len(whole), size):
            caller.send(whole[at : at + size])
            await asyncio.sleep(0.001)
        assert (await caller.answer())[0] == 431
        assert await caller.ends()

    run(test)


def test_what_stands_around_chunks_is_bounded() -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(CHUNKED + b"1;" + b"e" * 100_000 + b"\r\nx\r\n")
        assert (await caller.answer())[0] == 400
        assert await caller.ends()

    run(test)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that waits for a blink of an eye."""
    monkeypatch.setattr(connections, "_PATIENCE", {"head": 0.2, "body": 0.2})
    monkeypatch.setattr(connections, "KEEP_ALIVE_S", 0.2)
    monkeypatch.setattr(connections, "TAKE_S", 0.2)
    monkeypatch.setattr(connections, "_SWEEP_S", 0.02)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("start", [b"GET / HT", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nab"])
def test_whoever_stops_in_the_middle_of_a_request_is_told_that_time_is_up(start: bytes) -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(start)
        assert (await caller.answer())[0] == 408
        assert await caller.ends()

    run(test)


@pytest.mark.usefixtures("impatient")
def test_a_head_that_comes_a_byte_at_a_time_has_to_be_whole_in_time_too() -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()

        async def drip() -> None:
            while True:
                caller.send(b"x")
                await asyncio.sleep(0.05)

        caller.send(b"GET /")
        dripping = asyncio.create_task(drip())
        assert (await caller.answer())[0] == 408
        dripping.cancel()

    run(test)


@pytest.mark.usefixtures("impatient")
def test_an_idle_connection_ends_without_a_word() -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(get(b"/a"))
        await caller.answer()
        assert await caller.ends()

    run(test)


@pytest.mark.usefixtures("impatient")
def test_whoever_waits_for_an_answer_is_not_idle() -> None:
    async def test(app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(get(b"/later"))
        await soon(lambda: len(app.waiting) == 1)
        await asyncio.sleep(0.6)
        app.answer(app.waiting.pop())
        assert (await caller.answer())[0] == 200

    run(test)


@pytest.mark.usefixtures("impatient")
def test_whoever_does_not_take_the_answer_is_cut_off() -> None:
    async def test(app: Echo, call: Call) -> None:
        caller = await call()
        cast("asyncio.Transport", caller.writer.transport).pause_reading()
        caller.send(get(b"/large"))
        await soon(lambda: bool(app.together))
        await soon(lambda: not app.server.connections)

    run(test)


def test_a_large_answer_arrives_whole_and_the_next_one_waits_for_it() -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(get(b"/large") + get(b"/b"))
        assert len((await caller.answer())[1]) == 8_000_000
        assert (await caller.answer())[1] == b"GET /b "

    run(test)


def test_whoever_hangs_up_is_gone_once_and_gets_no_answer() -> None:
    async def test(app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(get(b"/later") + get(b"/later"))
        await soon(lambda: len(app.waiting) == 1)
        caller.close()
        await soon(lambda: app.gone == 1)
        assert app.server.arriving == 0
        exchange = app.waiting.pop()
        assert exchange.gone
        app.answer(exchange)
        await asyncio.sleep(0.02)
        assert app.gone == 1
        assert not app.waiting

    run(test)


def test_http_1_0_ends_with_its_answer_unless_it_asks_otherwise() -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(b"GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        status, _, headers = await caller.answer()
        assert (status, headers[b"connection"]) == (200, b"keep-alive")
        caller.send(b"GET /a HTTP/1.0\r\n\r\n")
        assert (await caller.answer())[2][b"connection"] == b"close"
        assert await caller.ends()

    run(test)


def test_connection_close_is_kept() -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(get(b"/a", b"connection: close"))
        assert (await caller.answer())[2][b"connection"] == b"close"
        assert await caller.ends()

    run(test)


def test_head_is_answered_with_a_length_and_no_body() -> None:
    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        caller.send(b"HEAD /abc HTTP/1.1\r\nhost: x\r\n\r\n" + get(b"/b"))
        status, body, headers = await caller.answer(b"HEAD")
        assert (status, body, headers[b"content-length"]) == (200, b"", b"10")
        assert (await caller.answer())[1] == b"GET /b "

    run(test)


@pytest.mark.parametrize("body", [b"", b"four"])
def test_an_upgrade_is_ignored_and_the_connection_goes_on(body: bytes) -> None:
    """Java's client offers HTTP/2 so with its first request."""

    async def test(_app: Echo, call: Call) -> None:
        caller = await call()
        offer = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AA")
        caller.send(post(b"/a", body, *offer) + get(b"/b"))
        assert (await caller.answer())[:2] == (200, b"POST /a " + body)
        assert (await caller.answer())[1] == b"GET /b "

    run(test)


def test_a_server_that_closes_finishes_what_it_has_begun() -> None:
    async def test(app: Echo, call: Call) -> None:
        idle, busy = await call(), await call()
        idle.send(get(b"/a"))
        await idle.answer()
        busy.send(get(b"/later"))
        await soon(lambda: len(app.waiting) == 1)
        closing = asyncio.create_task(app.server.close(30.0))
        assert await idle.ends()
        app.answer(app.waiting.pop())
        status, _, headers = await busy.answer()
        assert (status, headers[b"connection"]) == (200, b"close")
        await closing

    run(test)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([get(b"/a"), post(b"/b", b"x"), CHUNKED, b"0\r\n\r\n"]) | st.binary(max_size=40))
)
def test_whatever_is_sent_the_server_goes_on_for_others(pieces: list[bytes]) -> None:
    async def test(_app: Echo, call: Call) -> None:
        rude, other = await call(), await call()
        for piece in pieces:
            rude.send(piece)
            await asyncio.sleep(0)
        rude.close()
        other.send(get(b"/still"))
        assert (await other.answer())[1] == b"GET /still "

    run(test)
