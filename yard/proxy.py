"""A local signer: plain HTTP on this machine, signed requests to the API, answers streamed back.

For programs that speak the protocol and cannot sign: an unmodified ``tritonclient``, curl, a notebook.
Everything a request is travels on (method, path, query, headers, body of any type); only what belongs to
one connection is left out, and the signature is added.

What signs with somebody's credentials must not be anybody's: it listens on the loopback address alone,
takes requests that were sent to that very address (a web page that makes its own name point here sends
another ``Host``), and refuses what a browser sends on behalf of a page.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx

from switchyard_client import Anonymous, ClientError, CredentialsError, Keyed, TimedOutError

if TYPE_CHECKING:
    from switchyard_client.auth import Auth

LOOPBACK = "127.0.0.1"
TIMEOUT_S = 35.0
"""An HTTP API gives up after 30 seconds; the proxy waits a little longer, to hear it say so."""

BODY_LIMIT = 10 * 1024 * 1024
"""What an HTTP API takes. Source: HTTP API quotas, payload size 10 MB."""

# They belong to one connection (RFC 9110, 7.6.1), or are written anew for the next.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "host",
        "content-length",
    }
)

# Signed are the headers that say what the body is; others a machine on the way may change.
_SIGNED = frozenset({"content-type", "inference-header-content-length"})

_PROOF = frozenset({"authorization", "x-amz-date", "x-amz-security-token"})

KEY_HEADER = "x-api-key"

_BROWSER = ("origin", "sec-fetch-site")

Say = Callable[[str], None]


class Proxy(ThreadingHTTPServer):
    """Listens on a port of this machine, 0 for a free one. ``serve_forever`` serves until ``shutdown``."""

    daemon_threads = True

    def __init__(self, api_url: str, auth: Auth, *, port: int = 0, say: Say) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.api_url = api_url.rstrip("/")
        self.auth = auth
        self.say = say
        self.http = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}"

    @property
    def hosts(self) -> frozenset[str]:
        """What a program that means this proxy writes into ``Host``."""
        return frozenset({f"{LOOPBACK}:{self.server_port}", f"localhost:{self.server_port}"})

    def server_close(self) -> None:
        super().server_close()
        self.http.close()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """A caller who hangs up is no event; anything else is one line."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            self.say(f"a request failed: {type(error).__name__}: {error}")


class _RefusedHereError(Exception):
    """This request is not sent on."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One call of write is one packet; waiting for more to send with it would add 40 ms to each answer.
    disable_nagle_algorithm = True
    server: Proxy

    def _forward(self) -> None:
        started = time.perf_counter()
        self._begun = False
        try:
            status = self._forwarded()
        except _RefusedHereError as refusal:
            # What is left of its body on the connection would be taken for the next request.
            self.close_connection = True
            status = self._answer(refusal.status, str(refusal))
        except CredentialsError as error:
            status = self._answer(502, f"the proxy cannot sign: {error}; {error.hint}")
        except ClientError as error:
            status = self._answer(504 if isinstance(error, TimedOutError) else 502, str(error))
        took_ms = (time.perf_counter() - started) * 1000
        self.server.say(f"{self.command} {self.path.partition('?')[0]} {status} in {took_ms:.0f} ms")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _forward  # noqa: N815

    def _forwarded(self) -> int:
        from switchyard_client.client import translated

        self._check_sender()
        body = self._body()
        headers = {
            name.lower(): value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        # What a program calls its credentials is not what the API is to hear.
        replaced = _replaced_by(self.server.auth)
        headers = {name: value for name, value in headers.items() if name not in replaced}
        with translated(self.server.api_url):
            request = self.server.http.build_request(
                self.command, self.server.api_url + self.path, content=body, headers=headers
            )
            signed = self.server.auth.headers(
                self.command,
                str(request.url),
                {name: headers[name] for name in _SIGNED if name in headers},
                body or b"",
            )
            request.headers.update(signed)
            answer = self.server.http.send(request, stream=True)
            try:
                return self._relay(answer)
            finally:
                answer.close()

    def _check_sender(self) -> None:
        if self.headers.get("host") not in self.server.hosts:
            raise _RefusedHereError(
                403, f"this proxy answers requests to `{self.server.url}` and no other name"
            )
        if any(self.headers.get(name) not in (None, "none") for name in _BROWSER):
            raise _RefusedHereError(403, "this proxy does not sign for web pages")
        if not self.path.startswith("/"):
            raise _RefusedHereError(400, "this proxy takes paths, not whole addresses")

    def _body(self) -> bytes | None:
        coding = self.headers.get("transfer-encoding", "").lower()
        length = self.headers.get("content-length")
        if coding and (coding != "chunked" or length is not None):
            raise _RefusedHereError(400, f"the transfer encoding `{coding[:40]}` is not read here")
        if coding:
            return b"".join(self._chunks())
        if length is None:
            return None
        if not length.isascii() or not length.isdigit():
            raise _RefusedHereError(400, "the content length is no number")
        if int(length) > BODY_LIMIT:
            raise _RefusedHereError(413, _too_large(int(length)))
        return self.rfile.read(int(length))

    def _chunks(self) -> Iterator[bytes]:
        total = 0
        while size := self._chunk_size():
            total += size
            if total > BODY_LIMIT:
                raise _RefusedHereError(413, _too_large(total))
            yield self.rfile.read(size)
            self.rfile.readline(8)
        while self.rfile.readline(1024).strip():
            continue  # trailers mean nothing to the API

    def _chunk_size(self) -> int:
        try:
            return int(self.rfile.readline(64).partition(b";")[0], 16)
        except ValueError:
            raise _RefusedHereError(400, "the body is not chunked as it says") from None

    def _relay(self, answer: httpx.Response) -> int:
        self._begun = True
        self.send_response_only(answer.status_code)
        for name, value in answer.headers.multi_items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        length = answer.headers.get("content-length")
        bodiless = self.command == "HEAD" or answer.status_code in (204, 304)
        chunked = length is None and not bodiless and self.request_version == "HTTP/1.1"
        if length is not None:
            self.send_header("content-length", length)
        elif chunked:
            self.send_header("transfer-encoding", "chunked")
        elif not bodiless:
            self.close_connection = True
        self.end_headers()
        if not bodiless:
            # Raw: what was compressed stays so, and its headers stay true.
            for piece in answer.iter_raw():
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                self.wfile.write(b"0\r\n\r\n")
        return answer.status_code

    def _answer(self, status: int, message: str) -> int:
        if self._begun:
            # Half an answer is out already: only a broken connection still says that it is not whole.
            self.close_connection = True
            return status
        body = json.dumps({"error": message}).encode()
        self.send_response_only(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return status

    def log_message(self, *_: object) -> None:
        """One line of our own stands for each request."""


def _replaced_by(auth: Auth) -> frozenset[str]:
    """The headers of a program's own that this proof stands in place of."""
    if isinstance(auth, Keyed):
        return _replaced_by(auth.inner) | {KEY_HEADER}
    return frozenset() if isinstance(auth, Anonymous) else _PROOF


def _too_large(size: int) -> str:
    return f"the body has {size:,} bytes, and an HTTP API takes at most {BODY_LIMIT:,}"


def serve(proxy: Proxy) -> None:
    """Serve until Ctrl-C (or SIGTERM), then let the port go."""
    import signal

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    thread = threading.Thread(target=proxy.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        # In steps, because a wait without end is not interrupted on every system.
        while not stop.wait(0.5):
            continue
    except KeyboardInterrupt:
        pass
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
