"""The two clients over HTTP: a real socket, a server in memory behind it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

from switchyard_client import AsyncClient, Bearer, Client, Credentials, Iam, Retries
from switchyard_client.client import translated
from switchyard_client.errors import (
    ClientError,
    CredentialsError,
    TimedOutError,
    UnreachableError,
    UnreadableAnswerError,
)
from switchyard_client.exchange import Send
from switchyard_client.signing import sign
from tests.unit.switchyard_client.server import Server

KEY = Credentials("AKID", "secret", "token")
QUICK = Retries(first_wait_s=0.01, longest_wait_s=0.02)
X = np.arange(5000, dtype=np.float32)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listening

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.headers.append(headers)
        request = Send(self.command, f"http://{headers['host']}{self.path}", body, headers)
        if not self.server.fails:
            reply = self.server.answers(request)
            status, sent, content = reply.status, reply.headers, reply.body
        else:
            self.server.fails -= 1
            status, sent, content = 503, {}, b""
        self.send_response(status)
        for name, value in sent.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _serve  # noqa: N815 - http.server's own names

    def log_message(self, *_: Any) -> None:
        """Tests read what was asked from ``headers``."""


class Listening(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = Server()
        self.headers: list[dict[str, str]] = []
        self.fails = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def listening() -> Iterator[Listening]:
    with Listening() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_numpy_in_numpy_out(listening: Listening) -> None:
    with Client(listening.url) as client:
        result = client.infer("double", {"x": X}, version=7)
        assert np.array_equal(result["y"], X * 2)
        assert client.is_live()
        assert client.is_ready()
        assert client.is_ready("double")
        assert client.metadata("double").inputs[0].name == "x"
        assert client.server().name == "s"


def test_the_same_awaited(listening: Listening) -> None:
    async def calls() -> None:
        async with AsyncClient(listening.url) as client:
            result = await client.infer("double", {"x": X}, version=7)
            assert np.array_equal(result["y"], X * 2)
            assert await client.is_live()
            assert await client.is_ready("double")
            assert (await client.metadata("double")).inputs[0].name == "x"
            assert (await client.server()).name == "s"

    anyio.run(calls)


def test_passing_failures_are_waited_out(listening: Listening) -> None:
    listening.fails = 3
    with Client(listening.url, retries=QUICK) as client:
        assert client.infer("double", {"x": X[:3]})["y"].tolist() == [0, 2, 4]

    async def awaited() -> list[float]:
        listening.fails = 3
        async with AsyncClient(listening.url, retries=QUICK) as client:
            values: list[float] = (await client.infer("double", {"x": X[:3]}))["y"].tolist()
            return values

    assert anyio.run(awaited) == [0, 2, 4]


def test_every_request_to_an_iam_api_carries_a_signature_that_holds(listening: Listening) -> None:
    from datetime import UTC, datetime

    auth = Iam(KEY, region="eu-west-1")
    with Client(listening.url, auth=auth) as client:
        client.infer("double", {"x": X})
    for request, seen in zip(listening.answers.seen, listening.headers, strict=True):
        names = seen["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        assert {"host", "x-amz-date", "x-amz-security-token"} <= set(names)
        when = datetime.strptime(seen["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        # What arrived, signed again by the receiver, has to give the same.
        again = sign(
            request.method,
            request.url,
            {name: seen[name] for name in names if name not in ("x-amz-date", "x-amz-security-token")},
            request.body,
            credentials=KEY,
            region="eu-west-1",
            service="execute-api",
            now=when,
        )
        assert again["authorization"] == seen["authorization"]


def test_a_token_is_carried(listening: Listening) -> None:
    with Client(listening.url, auth=Bearer("abc")) as client:
        client.infer("double", {"x": X[:2]})
    assert listening.headers[0]["authorization"] == "Bearer abc"


def test_a_request_that_cannot_be_signed_is_not_sent(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with Client(listening.url, auth=Iam(KEY)) as client, pytest.raises(CredentialsError):
        client.infer("double", {"x": X[:2]})
    assert listening.headers == []


def test_nobody_there_is_an_unreachable_error() -> None:
    with Client("http://127.0.0.1:9", retries=QUICK) as client, pytest.raises(UnreachableError, match=":9"):
        client.is_live()


def all_of(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(below for child in kind.__subclasses__() for below in all_of(child))]


@pytest.mark.parametrize("kind", [*all_of(httpx.RequestError), httpx.InvalidURL])
def test_every_error_of_httpx_is_one_of_ours(kind: type[Exception]) -> None:
    with pytest.raises(ClientError) as caught, translated("http://x/v2?X-Amz-Signature=private"):
        raise kind("because")
    assert "private" not in str(caught.value)
    late = issubclass(kind, httpx.TimeoutException)
    unreadable = issubclass(kind, httpx.DecodingError | httpx.TooManyRedirects)
    assert isinstance(caught.value, TimedOutError) is late
    assert isinstance(caught.value, UnreadableAnswerError) is unreadable


def test_the_two_clients_have_the_same_calls() -> None:
    public = [{name for name in vars(kind) if not name.startswith("_")} for kind in (Client, AsyncClient)]
    assert public[0] == public[1]


def test_the_client_needs_numpy_and_httpx_and_nothing_of_this_project() -> None:
    probe = (
        "import sys, numpy, httpx; before = set(sys.modules); import switchyard_client; "
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert {name for name in done.stdout.split() if name not in sys.stdlib_module_names} == {
        "numpy",  # its typing
        "switchyard_client",
    }
