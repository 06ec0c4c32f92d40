"""``functions.inference.adapters.s3_blobs``: signed as AWS wants it, and every bad day has its word."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from functions.inference.adapters import s3_blobs
from functions.inference.adapters.s3_blobs import Credentials, S3Blobs, sign
from model_store.contract.errors import (
    AccessDeniedError,
    IntegrityError,
    NotFoundError,
    StoreUnavailableError,
)

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
BODY = bytes(range(256)) * 4096
KEY = "blobs/sha256/ab/ab12"

Play = Callable[["Handler"], bool]


class Handler(BaseHTTPRequestHandler):
    """Answers ranges of ``BODY``, after whatever the test wants to happen first."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        seen: Seen = self.server.seen
        seen.requests.append((self.path, dict(self.headers.items())))
        seen.connections.add(self.client_address)
        if seen.plays and seen.plays.pop(0)(self):
            return
        wanted = self.headers.get("range")
        if wanted is None:
            self.answer(200, BODY)
            return
        first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        if first >= len(BODY):
            self.error(416, "InvalidRange")
            return
        body = BODY[first : last + 1]
        said = f"bytes {first}-{first + len(body) - 1}/{len(BODY)}"
        self.answer(206, body, {"content-range": said})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def error(self, status: int, code: str) -> None:
        self.answer(status, f"<Error><Code>{code}</Code><Message>secret words</Message></Error>".encode())

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    seen: Any

    def handle_error(self, *_: Any) -> None:
        """A client that hung up is what some of the tests are about."""


@dataclass
class Seen:
    url: str
    plays: list[Play] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    made: list[S3Blobs] = field(default_factory=list)

    def blobs(self, **environ: str) -> S3Blobs:
        environ = {**KEYS, "AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL": self.url, **environ}
        self.made.append(S3Blobs("store", environ))
        return self.made[-1]


@pytest.fixture
def s3() -> Iterator[Seen]:
    server = Server(("127.0.0.1", 0), Handler)
    server.seen = Seen(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.seen
    for blobs in server.seen.made:
        blobs.close()
    server.shutdown()
    server.server_close()
    thread.join()


def refused(status: int, code: str) -> Play:
    def play(handler: Handler) -> bool:
        handler.error(status, code)
        return True

    return play


def filled(blobs: S3Blobs, start: int, size: int) -> bytes:
    buffer = bytearray(size)
    blobs.fill(KEY, start, memoryview(buffer))
    return bytes(buffer)


# The signature


@pytest.mark.parametrize("token", ["", "session"])
def test_a_request_is_signed_as_botocore_signs_it(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = "store.s3.eu-central-1.amazonaws.com"
    path = "/models/digits/versions/000000007.json"
    now = time.gmtime(1_790_000_000)
    ours = sign(path, host, Credentials("AKID", "secret", token), region="eu-central-1", now=now)

    request = AWSRequest("GET", f"https://{host}{path}")
    signer = S3SigV4Auth(BotocoreCredentials("AKID", "secret", token or None), "s3", "eu-central-1")
    request.context["timestamp"] = ours["x-amz-date"]
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    request.headers["X-Amz-Content-SHA256"] = ours["x-amz-content-sha256"]
    request.context["payload_signing_enabled"] = True
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert ours["authorization"].endswith(f"Signature={signature}")
    names = ours["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert names == signer.signed_headers(signer.headers_to_sign(request))


@pytest.mark.parametrize(
    ("environ", "host", "prefix"),
    [
        ({"AWS_REGION": "eu-central-1"}, "store.s3.eu-central-1.amazonaws.com", ""),
        ({"AWS_REGION": "cn-north-1"}, "store.s3.cn-north-1.amazonaws.com.cn", ""),
        ({"AWS_DEFAULT_REGION": "us-west-2"}, "store.s3.us-west-2.amazonaws.com", ""),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/"}, "127.0.0.1:4566", "/store"),
        ({"AWS_ENDPOINT_URL_S3": "https://s3", "AWS_ENDPOINT_URL": "http://all"}, "s3", "/store"),
    ],
)
def test_a_bucket_answers_at_its_own_address_or_below_an_endpoint(
    environ: dict[str, str], host: str, prefix: str
) -> None:
    place = s3_blobs._place(
        "store", environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION", ""), environ
    )
    assert (place.host, place.prefix) == (host, prefix)
    assert place.secure is not (environ.get("AWS_ENDPOINT_URL", "").startswith("http:") and host != "s3")


# What is read


def test_a_range_fills_its_buffer_and_nothing_else(s3: Seen) -> None:
    blobs = s3.blobs()
    assert filled(blobs, 300_000, 600_000) == BODY[300_000:900_000]
    path, headers = s3.requests[0]
    assert path == f"/store/{KEY}"
    assert headers["range"] == "bytes=300000-899999"
    assert headers["x-amz-security-token"] == "token"


def test_a_connection_is_used_again_and_each_thread_has_its_own(s3: Seen) -> None:
    blobs = s3.blobs()
    for start in (0, 10, 20):
        filled(blobs, start, 10)
    assert len(s3.connections) == 1
    other = threading.Thread(target=filled, args=(blobs, 0, 10))
    other.start()
    other.join()
    assert len(s3.connections) == 2
    blobs.close()
    assert filled(blobs, 0, 10) == BODY[:10]
    assert len(s3.connections) == 3


def test_a_whole_object_is_read_up_to_a_limit(s3: Seen) -> None:
    blobs = s3.blobs()
    assert blobs.get(KEY, limit=len(BODY)) == BODY
    with pytest.raises(IntegrityError, match=f"more than {len(BODY) - 1} bytes"):
        blobs.get(KEY, limit=len(BODY) - 1)
    assert blobs.get(KEY, limit=len(BODY)) == BODY


# What goes wrong


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (500, "InternalError", StoreUnavailableError),
        (503, "SlowDown", StoreUnavailableError),
        (503, "ServiceUnavailable", StoreUnavailableError),
        (429, "TooManyRequests", StoreUnavailableError),
        (400, "RequestTimeout", StoreUnavailableError),
        (301, "PermanentRedirect", StoreUnavailableError),
        (404, "NoSuchKey", NotFoundError),
        (403, "AccessDenied", AccessDeniedError),
        (403, "InvalidAccessKeyId", AccessDeniedError),
        (400, "ExpiredToken", AccessDeniedError),
        (416, "InvalidRange", IntegrityError),
    ],
)
def test_every_answer_of_s3_is_one_of_ours_without_its_words(
    s3: Seen, status: int, code: str, error: type[Exception]
) -> None:
    s3.plays = [refused(status, code)]
    blobs = s3.blobs()
    with pytest.raises(error) as said:
        filled(blobs, 0, 10)
    assert type(said.value) is error
    assert "secret words" not in str(said.value)
    assert filled(blobs, 0, 10) == BODY[:10], "the next request is not confused by it"


def cut_off(handler: Handler) -> bool:
    """Half the promised bytes, then nothing: the connection is gone."""
    handler.send_response(206)
    handler.send_header("content-range", f"bytes 0-99999/{len(BODY)}")
    handler.send_header("content-length", "100000")
    handler.end_headers()
    handler.wfile.write(BODY[:50_000])
    handler.wfile.flush()
    handler.close_connection = True
    return True


def drop(handler: Handler) -> bool:
    """Not even a status."""
    handler.close_connection = True
    return True


def whole_instead(handler: Handler) -> bool:
    handler.answer(200, BODY)
    return True


def other_range(handler: Handler) -> bool:
    handler.answer(206, BODY[1:100_001], {"content-range": f"bytes 1-100000/{len(BODY)}"})
    return True


def shorter_range(handler: Handler) -> bool:
    handler.answer(206, BODY[:99], {"content-range": f"bytes 0-99999/{len(BODY)}"})
    return True


@pytest.mark.parametrize(
    ("play", "error", "words"),
    [
        (cut_off, StoreUnavailableError, "50000 bytes early|connection to S3 broke"),
        (drop, StoreUnavailableError, "the connection to S3 broke"),
        (whole_instead, StoreUnavailableError, "S3 answered 200 without a code"),
        (other_range, IntegrityError, "gives other bytes"),
        (shorter_range, StoreUnavailableError, "99901 bytes early"),
    ],
)
def test_a_short_or_wrong_read_is_never_taken_for_a_whole_one(
    s3: Seen, play: Play, error: type[Exception], words: str
) -> None:
    s3.plays = [play]
    blobs = s3.blobs()
    with pytest.raises(error, match=words):
        filled(blobs, 0, 100_000)
    assert filled(blobs, 0, 100_000) == BODY[:100_000]


def test_a_server_that_says_nothing_is_given_up(s3: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_blobs, "TIMEOUT_S", 0.1)
    over = threading.Event()

    def hang(_: Handler) -> bool:
        over.wait(60)
        return False

    s3.plays = [hang]
    with pytest.raises(StoreUnavailableError, match="TimeoutError"):
        filled(s3.blobs(), 0, 10)
    over.set()


def test_nobody_listening_is_a_store_that_may_answer_later() -> None:
    blobs = S3Blobs("store", {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    with pytest.raises(StoreUnavailableError, match="ConnectionRefusedError"):
        blobs.get(KEY, limit=10)


# Credentials


def told(token: str) -> Play:
    """The address that a function with SnapStart asks for credentials."""

    def play(handler: Handler) -> bool:
        found = {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": token, "Expiration": "later"}
        handler.answer(200, json.dumps(found).encode())
        return True

    return play


def test_a_function_with_snapstart_asks_for_its_credentials_and_again_when_they_have_expired(
    s3: Seen,
) -> None:
    blobs = s3.blobs(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{s3.url}/creds?a=1", AWS_CONTAINER_AUTHORIZATION_TOKEN="open"
    )
    s3.plays = [told("first"), refused(400, "ExpiredToken"), told("second")]
    with pytest.raises(StoreUnavailableError, match="had expired"):
        filled(blobs, 0, 10)
    assert filled(blobs, 0, 10) == BODY[:10]
    assert filled(blobs, 10, 10) == BODY[10:20]
    paths = [path for path, _ in s3.requests]
    assert paths == ["/creds?a=1", f"/store/{KEY}", "/creds?a=1", f"/store/{KEY}", f"/store/{KEY}"]
    assert s3.requests[0][1]["authorization"] == "open"
    assert [headers.get("x-amz-security-token") for _, headers in s3.requests[1::2]] == ["first", "second"]


def test_credentials_that_cannot_be_renewed_are_said_to_have_expired(s3: Seen) -> None:
    s3.plays = [refused(400, "ExpiredToken")]
    with pytest.raises(AccessDeniedError, match="the credentials of this environment have expired"):
        filled(s3.blobs(), 0, 10)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>"])
def test_an_address_that_gives_no_credentials_may_give_some_later(s3: Seen, body: bytes) -> None:
    def play(handler: Handler) -> bool:
        handler.answer(200, body)
        return True

    s3.plays = [play]
    blobs = s3.blobs(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{s3.url}/creds")
    with pytest.raises(StoreUnavailableError, match="was given no credentials"):
        filled(blobs, 0, 10)


def test_an_address_that_does_not_answer_may_answer_later(s3: Seen) -> None:
    blobs = s3.blobs(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:1/creds")
    with pytest.raises(StoreUnavailableError, match="credentials could not be asked for"):
        filled(blobs, 0, 10)


def test_an_environment_without_credentials_says_so(s3: Seen) -> None:
    blobs = S3Blobs("store", {"AWS_ENDPOINT_URL": s3.url})
    with pytest.raises(AccessDeniedError, match="'AWS_ACCESS_KEY_ID' is not set"):
        filled(blobs, 0, 10)
