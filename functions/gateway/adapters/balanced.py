"""An endpoint on EC2: a fleet behind a load balancer that finds it by a header. Plain HTTP routes of our own.

The network decides who may ask, so nothing is signed. The answer names its version in its own headers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from functions.gateway.adapters.connection import Connection, Reply
from functions.gateway.pin import Pin
from functions.gateway.ports import Said
from functions.inference.artifact import required
from functions.protocol.errors import DeadlineError, NotReadyError
from functions.protocol.headers import JSON_LENGTH
from functions.protocol.trace import EXPLAIN_CALL, TRACEPARENT, VARIABLE, traceparent
from model_store.contract.endpoints import ENDPOINT_HEADER
from model_store.contract.environment import DIGEST_HEADER, ENDPOINT_URL, MODEL_HEADER


class BalancedEndpoint:
    """``functions.gateway.ports.Endpoint`` behind a load balancer."""

    def __init__(
        self,
        name: str,
        model: str,
        connection: Connection,
        trace: Callable[[], str | None] = lambda: None,
    ) -> None:
        """``trace`` says in which trace the request of the moment is, as X-Ray writes it."""
        self._name = name
        self._trace = trace
        self._path = f"/v2/models/{model}"
        self._connection = connection

    @classmethod
    def from_environment(cls, pin: Pin, environ: Mapping[str, str]) -> BalancedEndpoint:
        """Raises ``IntegrityError`` where no address is named."""
        connection = Connection(required(environ, ENDPOINT_URL))
        return cls(pin.endpoint, pin.model, connection, trace=lambda: environ.get(VARIABLE))

    def infer(self, body: bytes, json_length: int | None, *, seconds: float, explain: bool = False) -> Said:
        headers = {"content-type": "application/json"}
        if json_length is not None:
            headers = {"content-type": "application/octet-stream", JSON_LENGTH: str(json_length)}
        if (parent := traceparent(self._trace())) is not None:
            headers[TRACEPARENT] = parent
        call = EXPLAIN_CALL if explain else "infer"
        reply = self._asked("POST", f"{self._path}/{call}", body, headers, seconds)
        length = reply.headers.get(JSON_LENGTH, "")
        claims = {
            name: reply.headers[name] for name in (MODEL_HEADER, DIGEST_HEADER) if name in reply.headers
        }
        return Said(reply.status, reply.body, int(length) if length.isdecimal() else None, claims)

    def must_be_ready(self, *, seconds: float) -> None:
        reply = self._asked("GET", f"{self._path}/ready", b"", {}, seconds)
        if reply.status != 200:
            raise NotReadyError(f"the endpoint answers {reply.status}")

    def close(self) -> None:
        self._connection.close()

    def _asked(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Reply:
        named = {**headers, "host": self._connection.host, ENDPOINT_HEADER: self._name}
        reply = self._connection.send(method, path, body, named, seconds=seconds)
        if _from_the_balancer(reply):
            if reply.status == 504:
                raise DeadlineError("the endpoint did not answer the load balancer in time")
            raise NotReadyError("no machine of this endpoint is healthy")
        return reply


def _from_the_balancer(reply: Reply) -> bool:
    """A load balancer answers 502, 503 and 504 itself, and in HTML, where nobody behind it does."""
    return reply.status in (502, 503, 504) and "json" not in reply.headers.get("content-type", "")
