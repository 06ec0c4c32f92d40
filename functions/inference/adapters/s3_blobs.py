"""The model store's objects, read straight from S3's HTTP interface.

botocore would do the same and costs 0.6 s of a start and 27 MB of memory (ADR 23), so this signs its own
requests: two methods, one service, keys of plain characters. Signature Version 4, from "Signature
Calculations for the Authorization Header" in the Amazon S3 API reference; held against botocore's own
signer in ``tests/unit/functions/inference/adapters/test_s3_blobs.py``.

A function with SnapStart has no credentials in its environment but an address to ask for some (Lambda
developer guide, "Using Lambda environment variables"); they are asked for again when they have expired.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import orjson

from model_store.contract.errors import (
    AccessDeniedError,
    IntegrityError,
    ModelStoreError,
    NotFoundError,
    StoreUnavailableError,
)

TIMEOUT_S = 5.0
"""To connect, and between two pieces of an answer: a request that hangs longer is worth another."""

if TYPE_CHECKING:
    import ssl

_PIECE_BYTES = 256 * 1024
_EMPTY = hashlib.sha256(b"").hexdigest()
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_TRANSIENT = frozenset({408, 429})


class Credentials(NamedTuple):
    """An AWS access key as a role has it."""

    access_key: str
    secret_key: str
    token: str


class S3Blobs:
    """``functions.inference.ports.Blobs`` and ``Captures`` in a bucket; a connection for each thread."""

    def __init__(
        self,
        bucket: str,
        environ: Mapping[str, str],
        *,
        now: Callable[[], time.struct_time] = time.gmtime,
    ) -> None:
        self._bucket = bucket
        self._environ = environ
        self._now = now
        self._region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._place = _place(bucket, self._region, environ)
        self._context = _certificates(environ) if self._place.secure else None
        self._credentials: Credentials | None = None
        self._own = threading.local()
        self._open: list[http.client.HTTPConnection] = []

    def get(self, key: str, *, limit: int) -> bytes:
        answer = self._ask(key, None)
        with self._connected(f"`{key}`"):
            body = answer.read(limit + 1)
        if len(body) > limit:
            self._hang_up()
            raise IntegrityError(f"`{key}` has more than {limit} bytes")
        return body

    def fill(self, key: str, start: int, buffer: memoryview) -> None:
        wanted = f"bytes {start}-{start + len(buffer) - 1}/"
        answer = self._ask(key, wanted)
        if not (answer.getheader("content-range") or "").startswith(wanted):
            self._hang_up()
            raise IntegrityError(f"S3 gives other bytes of `{key}` than it was asked for")
        at = 0
        with self._connected(f"`{key}`"):
            while at < len(buffer) and (got := answer.readinto(buffer[at : at + _PIECE_BYTES])):
                at += got
            answer.read()  # nothing is left, and the connection is free for the next request
        if at < len(buffer):
            self._hang_up()
            raise StoreUnavailableError(
                f"the connection to S3 ended {len(buffer) - at} bytes early for `{key}`"
            )

    def keep(self, key: str, data: bytes) -> None:
        path = f"{self._place.prefix}/{key}"
        headers = self._signed(path, method="PUT", content=hashlib.sha256(data).hexdigest())
        with self._connected(f"`{key}`"):
            connection = self._connection()
            connection.request("PUT", path, body=data, headers=headers)
            answer = connection.getresponse()
            said = answer.read(64 * 1024)
        if answer.status != 200:
            self._hang_up()
            raise self._meaning(key, answer.status, _code_in(said))

    def close(self) -> None:
        for connection in self._open:
            connection.close()
        self._open.clear()
        self._own = threading.local()

    def _ask(self, key: str, content_range: str | None) -> http.client.HTTPResponse:
        """The answer to a GET, its body not read yet, if it is what was asked for."""
        path = f"{self._place.prefix}/{key}"
        headers = self._signed(path)
        if content_range is not None:
            headers["range"] = content_range.replace(" ", "=").removesuffix("/")
        with self._connected(f"`{key}`"):
            connection = self._connection()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            if answer.status == (200 if content_range is None else 206):
                return answer
            said = answer.read(64 * 1024)
        self._hang_up()
        raise self._meaning(key, answer.status, _code_in(said))

    def _meaning(self, key: str, status: int, code: str) -> ModelStoreError:
        where = f"`{key}` in bucket `{self._bucket}`"
        if code in _EXPIRED:
            if self._renewable:
                self._credentials = None
                return StoreUnavailableError(f"the credentials had expired when {where} was asked for")
            return AccessDeniedError(f"S3 refuses {where}: the credentials of this environment have expired")
        if status >= 500 or status in _TRANSIENT or code in {"RequestTimeout", "SlowDown"}:
            return StoreUnavailableError(f"S3 answered {status} {code} for {where}")
        if status == 404:
            return NotFoundError(f"nothing is stored at {where}")
        if status == 416:
            return IntegrityError(f"{where} is shorter than its manifest says")
        if status in (401, 403):
            # S3 says so of an object that is not there to a role that may not list the bucket.
            return AccessDeniedError(f"S3 refuses {where}, or there is nothing ({status} {code})")
        return StoreUnavailableError(f"S3 answered {status} {code} for {where}")

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if found is None:
            found = self._own.connection = self._place.connect(self._context)
            self._open.append(found)
        return found

    @contextmanager
    def _connected(self, what: str) -> Iterator[None]:
        """Say in this project's words that a connection broke; the same call may work later."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            self._hang_up()
            name = type(error).__name__
            raise StoreUnavailableError(f"the connection to S3 broke for {what} ({name})") from error

    def _hang_up(self) -> None:
        """Close this thread's connection: what was not read of an answer would begin the next one."""
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()

    def _signed(self, path: str, *, method: str = "GET", content: str = _EMPTY) -> dict[str, str]:
        # Another thread may find meanwhile that they have expired.
        credentials = self._credentials or self._read_credentials()
        self._credentials = credentials
        return sign(
            path,
            self._place.host,
            credentials,
            region=self._region,
            now=self._now(),
            method=method,
            content=content,
        )

    @property
    def _renewable(self) -> bool:
        return bool(self._environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"))

    def _read_credentials(self) -> Credentials:
        environ = self._environ
        if not self._renewable:
            try:
                return Credentials(
                    environ["AWS_ACCESS_KEY_ID"],
                    environ["AWS_SECRET_ACCESS_KEY"],
                    environ.get("AWS_SESSION_TOKEN", ""),
                )
            except KeyError as error:
                raise AccessDeniedError(
                    f"this environment has no AWS credentials: {error} is not set"
                ) from None
        address = urlsplit(environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
        headers = {"authorization": environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")}
        connection = http.client.HTTPConnection(address.netloc, timeout=TIMEOUT_S)
        try:
            connection.request("GET", f"{address.path}?{address.query}".rstrip("?"), headers=headers)
            body = connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            raise StoreUnavailableError(
                f"this environment's credentials could not be asked for ({type(error).__name__})"
            ) from error
        finally:
            connection.close()
        try:
            told = orjson.loads(body)
            return Credentials(told["AccessKeyId"], told["SecretAccessKey"], told["Token"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise StoreUnavailableError("this environment was given no credentials") from None


class _Place(NamedTuple):
    """Where the bucket answers: what to connect to, and what stands before each key."""

    secure: bool
    host: str
    prefix: str

    def connect(self, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
        if not self.secure:
            return http.client.HTTPConnection(self.host, timeout=TIMEOUT_S)
        return http.client.HTTPSConnection(self.host, timeout=TIMEOUT_S, context=context)


def _place(bucket: str, region: str, environ: Mapping[str, str]) -> _Place:
    """The bucket's own address on AWS; below an endpoint that somebody named, its path."""
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        parts = urlsplit(endpoint)
        return _Place(parts.scheme == "https", parts.netloc, f"{parts.path.rstrip('/')}/{bucket}")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return _Place(True, f"{bucket}.s3.{region}.{suffix}", "")


def _certificates(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Whom to believe over https. Read once: it takes as long as a hundred requests to sign."""
    import ssl

    return ssl.create_default_context(cafile=environ.get("AWS_CA_BUNDLE") or None)


def sign(
    path: str,
    host: str,
    credentials: Credentials,
    *,
    region: str,
    now: time.struct_time,
    method: str = "GET",
    content: str = _EMPTY,
) -> dict[str, str]:
    """The headers of a signed request for ``path``, which holds only characters that need no encoding.

    ``content`` is the sha256 of its body.
    """
    when = time.strftime("%Y%m%dT%H%M%SZ", now)
    signed = {"host": host, "x-amz-content-sha256": content, "x-amz-date": when}
    if credentials.token:
        signed["x-amz-security-token"] = credentials.token
    names = ";".join(signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{content}"
    scope = f"{when[:8]}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    credential = f"Credential={credentials.access_key}/{scope}"
    signed["authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
    return signed


def _code_in(body: bytes) -> str:
    """The error's code in S3's XML; nothing else of it, since its words may say more than a log should."""
    _, found, rest = body.partition(b"<Code>")
    return rest.partition(b"</Code>")[0][:64].decode("ascii", "replace") if found else "without a code"
