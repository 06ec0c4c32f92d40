"""One kept HTTP connection: asked, asked again and again, and given up in time.

Lambda gives an environment one request at a time, so one connection is all it needs, and keeping it saves the
TLS handshake of every request but the first. botocore would do too; importing it and making a client takes
several times as long as the rest of a start (ADR 31 has the numbers).
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from functions.protocol.errors import CloudUnavailableError, DeadlineError

CONNECT_S = 2.0

IDLE_S = 50.0
"""A connection that was quiet for longer is not trusted: load balancers drop them after 60 s, and a frozen
environment does not hear of it."""

_READ_BYTES = 1 << 16

_BROKEN = (http.client.HTTPException, ConnectionError, ssl.SSLError, OSError)


class Reply(NamedTuple):
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """To one server, opened when it is first needed and again when it broke."""

    def __init__(
        self, url: str, *, ca_bundle: str | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self.path = parts.path.rstrip("/")
        self._https = parts.scheme == "https"
        self._ca_bundle = ca_bundle
        # The wall's clock: the other one stands still while an environment is frozen.
        self._clock = clock
        self._open: http.client.HTTPConnection | None = None
        self._used = 0.0

    def send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], *, seconds: float
    ) -> Reply:
        """Send one request and read the whole answer.

        Raises ``DeadlineError`` after ``seconds``, and ``CloudUnavailableError`` if nobody answers. A kept
        connection that breaks before a byte of the answer came is replaced, and the request sent again: most
        likely the server had closed it, and everything that is asked here may be asked twice.
        """
        end = time.monotonic() + seconds
        kept = self._kept()
        if kept is not None:
            try:
                return self._sent(kept, method, path, body, headers, end)
            except _Unanswered:
                self.close()
        try:
            return self._sent(self._opened(end), method, path, body, headers, end)
        except _Unanswered as error:
            self.close()
            raise CloudUnavailableError(
                f"the endpoint did not answer: {type(error.__cause__).__name__}"
            ) from error

    def _kept(self) -> http.client.HTTPConnection | None:
        if self._open is not None and self._clock() - self._used > IDLE_S:
            self.close()
        return self._open

    def _opened(self, end: float) -> http.client.HTTPConnection:
        limit = min(CONNECT_S, _left(end))
        if self._https:
            context = ssl.create_default_context(cafile=self._ca_bundle)
            opened: http.client.HTTPConnection = http.client.HTTPSConnection(
                self.host, timeout=limit, context=context
            )
        else:
            opened = http.client.HTTPConnection(self.host, timeout=limit)
        try:
            opened.connect()
        except _BROKEN as error:
            raise CloudUnavailableError(f"the endpoint cannot be reached: {type(error).__name__}") from error
        self._open = opened
        return opened

    def _sent(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        end: float,
    ) -> Reply:
        try:
            self._limit(connection, end)
            connection.request(method, self.path + path, body, dict(headers))
            self._limit(connection, end)
            answer = connection.getresponse()
        except TimeoutError:
            self.close()
            raise _too_late() from None
        except _BROKEN as error:
            raise _Unanswered from error
        try:
            parts = []
            while part := answer.read1(_READ_BYTES):
                parts.append(part)
                self._limit(connection, end)
            if answer.length:
                raise http.client.IncompleteRead(b"", answer.length)
            # What was read piece by piece does not end by itself, and an open answer blocks the connection.
            answer.close()
        except TimeoutError:
            self.close()
            raise _too_late() from None
        except _BROKEN as error:
            self.close()
            raise CloudUnavailableError("the endpoint broke off in the middle of its answer") from error
        self._used = self._clock()
        if answer.will_close:
            self.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, found, b"".join(parts))

    def _limit(self, connection: http.client.HTTPConnection, end: float) -> None:
        if connection.sock is not None:
            connection.sock.settimeout(_left(end))

    def close(self) -> None:
        """Let go of the connection; the next request opens another."""
        if self._open is not None:
            self._open.close()
            self._open = None


class _Unanswered(Exception):  # noqa: N818 - it never gets out of here
    """The connection broke before a byte of the answer was there."""


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise _too_late()
    return left


def _too_late() -> DeadlineError:
    return DeadlineError("the endpoint did not answer within the time that was left for it")
