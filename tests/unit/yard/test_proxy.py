"""``yard.proxy``: everything arrives whole and signed, and nothing is signed for just anybody."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from model_store.contract.events import http_event
from switchyard_client import Anonymous, Client, Credentials, Iam, Retries
from switchyard_client.exchange import Reply, Send
from switchyard_client.signing import sign
from tests.unit.functions.conftest import Caller, Layer, linear_layer, package
from tests.unit.switchyard_client.server import Server
from yard.proxy import BODY_LIMIT, Proxy

__all__ = ["linear_layer", "package"]  # fixtures of the functions' tests

KEY = Credentials("AKID", "secret", "token")
REGION = "eu-west-1"


class Api(ThreadingHTTPServer):
    """An API that asks for IAM: 403 unless the signature is the one it would make itself."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ApiHandler)
        self.seen: list[dict[str, Any]] = []
        self.model: Callable[[Send], Reply] = Server()
        self.pause = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/prefix"

    def handle_error(self, *_: Any) -> None:
        """Callers hang up here on purpose."""


class ApiHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append({"method": self.command, "path": self.path, "headers": headers, "body": body})
        if not self._is_signed(headers, body):
            return self._send(403, b'{"message":"Forbidden"}')
        path = self.path.removeprefix("/prefix")
        if path.startswith("/v2"):
            reply = self.server.model(Send(self.command, f"http://x{path}", body, headers))
            return self._send(reply.status, reply.body, dict(reply.headers))
        if path == "/slow":
            return self._send_in_pieces()
        if path == "/broken":
            self.send_response_only(200)
            self.send_header("content-length", "100")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
            return None
        if path == "/nothing":
            self.send_response_only(204)
            self.end_headers()
            return None
        return self._send(200, body or b"fine", {"x-mine": "1", "set-cookie": "a=b"})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815

    def _is_signed(self, headers: dict[str, str], body: bytes) -> bool:
        given = headers.get("authorization", "")
        if "SignedHeaders=" not in given:
            return False
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        when = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        own = sign(
            self.command,
            f"http://{headers['host']}{self.path}",
            {name: headers[name] for name in names if not name.startswith("x-amz-")},
            body,
            credentials=KEY,
            region=REGION,
            service="execute-api",
            now=when,
        )
        return own["authorization"] == given

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_in_pieces(self) -> None:
        self.send_response_only(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n")
        self.server.pause.wait(10)
        self.wfile.write(b"6\r\nsecond\r\n0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Tests read ``seen``."""


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


Started = Callable[..., Proxy]


@pytest.fixture
def start(api: Api) -> Iterator[Started]:
    running: list[tuple[Proxy, threading.Thread]] = []

    def begin(auth: Any = None, url: str | None = None) -> Proxy:
        proxy = Proxy(url or api.url, auth or Iam(KEY, region=REGION), say=said.append)
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        running.append((proxy, thread))
        return proxy

    said: list[str] = []
    begin.said = said  # type: ignore[attr-defined]
    yield begin
    for proxy, thread in running:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


@pytest.fixture
def proxy(start: Started) -> Proxy:
    return start()


def raw(proxy: Proxy, text: bytes) -> bytes:
    """Send exactly these bytes, as no client library would, and read until the proxy hangs up."""
    with socket.create_connection(("127.0.0.1", proxy.server_port), timeout=10) as connection:
        connection.sendall(text)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_request_arrives_as_it_was_sent_and_signed(api: Api, proxy: Proxy, method: str) -> None:
    answer = httpx.request(method, f"{proxy.url}/a%20b/é?x=1&y=a%2Fb&z", content=b"body", timeout=10)
    assert (answer.status_code, answer.content, answer.headers["x-mine"]) == (200, b"body", "1")
    (seen,) = api.seen
    assert (seen["method"], seen["path"]) == (method, "/prefix/a%20b/%C3%A9?x=1&y=a%2Fb&z")


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream", "text/plain", None])
def test_a_body_of_any_type_or_none_arrives_whole(api: Api, proxy: Proxy, content_type: str | None) -> None:
    body = bytes(range(256)) * 40
    headers = {"content-type": content_type} if content_type else {}
    length = {"inference-header-content-length": "17"}
    answer = httpx.post(f"{proxy.url}/x", content=body, headers=headers | length, timeout=10)
    assert answer.status_code == 200
    assert api.seen[0]["body"] == body
    assert api.seen[0]["headers"].get("content-type") == content_type
    assert api.seen[0]["headers"]["inference-header-content-length"] == "17"


def test_what_the_body_is_cannot_be_changed_on_the_way(api: Api, proxy: Proxy) -> None:
    httpx.post(
        f"{proxy.url}/x",
        content=b"{}",
        headers={"content-type": "application/json", "inference-header-content-length": "2"},
        timeout=10,
    )
    signed = api.seen[0]["headers"]["authorization"]
    assert "SignedHeaders=content-type;host;inference-header-content-length;x-amz-date;" in signed


def test_a_body_in_pieces_arrives_whole(api: Api, proxy: Proxy) -> None:
    answer = httpx.post(f"{proxy.url}/x", content=iter([b"one", b"two", b"three"]), timeout=10)
    assert answer.status_code == 200
    assert api.seen[0]["body"] == b"onetwothree"


def test_an_answer_is_passed_on_while_it_comes(api: Api, proxy: Proxy) -> None:
    with httpx.stream("GET", f"{proxy.url}/slow", timeout=10) as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"first"
        api.pause.set()
        assert b"".join(pieces) == b"second"


def test_several_requests_use_one_connection(api: Api, proxy: Proxy) -> None:
    with httpx.Client(timeout=10) as client:
        for _ in range(3):
            assert client.post(f"{proxy.url}/x", content=b"1").content == b"1"
        assert client.head(f"{proxy.url}/x").headers["content-length"] == "4"
        assert client.get(f"{proxy.url}/nothing").status_code == 204
        assert client.get(f"{proxy.url}/x").content == b"fine"


def test_an_unsigning_client_gets_through(proxy: Proxy) -> None:
    x = np.arange(5000, dtype=np.float32)
    with Client(proxy.url) as client:
        assert np.array_equal(client.infer("double", {"x": x})["y"], x * 2)
        assert client.server().extensions == ("binary_tensor_data",)


def test_what_a_program_calls_its_credentials_is_not_passed_on(api: Api, proxy: Proxy) -> None:
    headers = {"authorization": "Bearer mine", "x-amz-security-token": "mine", "x-amz-date": "mine"}
    assert httpx.get(f"{proxy.url}/x", headers=headers, timeout=10).status_code == 200
    assert "mine" not in str(api.seen[0]["headers"])


def test_without_iam_a_request_is_passed_on_as_it_is(api: Api, start: Started) -> None:
    answer = httpx.get(f"{start(Anonymous()).url}/x", headers={"authorization": "Bearer mine"}, timeout=10)
    assert answer.status_code == 403
    assert api.seen[0]["headers"]["authorization"] == "Bearer mine"


def test_it_listens_on_this_machine_only(proxy: Proxy) -> None:
    assert proxy.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1", "127.0.0.1:1", "", None])
def test_a_page_that_makes_its_own_name_point_here_is_refused(
    api: Api, proxy: Proxy, host: str | None
) -> None:
    line = f"Host: {host}\r\n" if host is not None else ""
    answer = raw(proxy, f"GET /x HTTP/1.1\r\n{line}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403")
    assert api.seen == []


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example.com"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}],
)
def test_nothing_is_signed_for_a_web_page(api: Api, proxy: Proxy, headers: dict[str, str]) -> None:
    answer = httpx.post(f"{proxy.url}/x", content=b"{}", headers=headers, timeout=10)
    assert (answer.status_code, answer.json()) == (
        403,
        {"error": "this proxy does not sign for web pages"},
    )
    assert api.seen == []


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET http://evil.example.com/ HTTP/1.1", "", 400),
        ("POST /x HTTP/1.1", "Content-Length: many\r\n", 400),
        ("POST /x HTTP/1.1", "Transfer-Encoding: gzip\r\n", 400),
        ("POST /x HTTP/1.1", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
        ("POST /x HTTP/1.1", f"Content-Length: {BODY_LIMIT + 1}\r\n", 413),
        ("POST /x HTTP/1.1", "Transfer-Encoding: chunked\r\n", 400),
    ],
)
def test_what_cannot_be_passed_on_is_refused_here(
    api: Api, proxy: Proxy, request_line: str, headers: str, status: int
) -> None:
    text = f"{request_line}\r\nHost: 127.0.0.1:{proxy.server_port}\r\n{headers}\r\nnot chunked\r\n"
    answer = raw(proxy, text.encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert api.seen == []


def test_chunks_beyond_the_limit_are_not_read_on(
    api: Api, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yard.proxy.BODY_LIMIT", 8)
    head = f"POST /x HTTP/1.1\r\nHost: 127.0.0.1:{proxy.server_port}\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(proxy, head.encode() + b"5\r\nfirst\r\n5\r\nsecon\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    assert api.seen == []


def test_an_api_that_does_not_answer_is_a_502(start: Started) -> None:
    answer = httpx.get(f"{start(url='http://127.0.0.1:9').url}/x", timeout=10)
    assert (answer.status_code, "did not answer" in answer.json()["error"]) == (502, True)


def test_credentials_that_are_missing_are_said(start: Started, api: Api) -> None:
    from switchyard_client import CredentialsError

    def none() -> Credentials:
        raise CredentialsError("no AWS credentials are known", hint="Sign in first.")

    answer = httpx.get(f"{start(Iam(none, region=REGION)).url}/x", timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (
        502,
        "the proxy cannot sign: no AWS credentials are known; Sign in first.",
    )
    assert api.seen == []


def test_half_an_answer_is_not_made_to_look_whole(proxy: Proxy) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{proxy.url}/broken", timeout=10)


def test_every_request_is_one_line_without_its_query(start: Started) -> None:
    proxy = start()
    with Client(proxy.url, retries=Retries(attempts=1)) as client:
        client.is_live()
    httpx.get(f"{proxy.url}/x?private=1", timeout=10)
    said = start.said  # type: ignore[attr-defined]
    until = time.monotonic() + 5
    while len(said) < 2 and time.monotonic() < until:  # a line is written after its answer is sent
        time.sleep(0.01)
    assert said[0].startswith("GET /v2/health/live 200 in ")
    assert said[1].startswith("GET /x 200 in ")
    assert "private" not in str(said)


def test_an_unmodified_tritonclient_calls_a_model_behind_iam(
    api: Api, proxy: Proxy, linear_layer: Layer
) -> None:
    """Law 7: any V2 client works unchanged through the proxy; binary both ways, and JSON."""
    served = Caller(linear_layer.load())
    api.model = behind(served)
    client = triton.InferenceServerClient(f"127.0.0.1:{proxy.server_port}")
    try:
        assert client.is_server_live()
        assert client.is_model_ready("digits")
        assert client.get_model_metadata("digits")["inputs"][0]["name"] == "x"
        for binary in (True, False):
            tensor = triton.InferInput("x", [1, 4], "FP32")
            tensor.set_data_from_numpy(np.array([[0, 0, 0, 1]], np.float32), binary_data=binary)
            wanted = [triton.InferRequestedOutput("label", binary_data=binary)]
            result = client.infer("digits", [tensor], outputs=wanted)
            assert result.as_numpy("label").tolist() == [2]
        narrow = triton.InferInput("x", [1, 3], "FP32")
        narrow.set_data_from_numpy(np.zeros((1, 3), np.float32))
        with pytest.raises(InferenceServerException, match=r"shape \[1, 3\]"):
            client.infer("digits", [narrow])
    finally:
        client.close()


def behind(served: Caller) -> Any:
    """The function of a model, called as API Gateway calls it."""

    def answer(request: Send) -> Reply:
        path = urlsplit(request.url)
        event = http_event(
            request.method,
            path.path,
            request.body or None,
            content_type=request.headers.get("content-type", "application/octet-stream"),
        )
        event["headers"] |= request.headers
        got = served.event(event)
        return Reply(got.status, got.headers, got.body)

    return answer
