"""What a gateway needs of the endpoint that it pins: to ask it one thing, for so long and no longer.

The laws, checked against every adapter in ``tests/contract/test_endpoints.py``:

* ``infer`` returns what the endpoint answered, whatever its status: body, length of the JSON, and who the
  endpoint says it is. With ``explain`` it is asked what its answer hangs on. Nothing is repeated but a
  request that a kept connection lost before any answer.
* Not answered within ``seconds`` is ``DeadlineError``. Asked for too often is ``ThrottledError``. No endpoint
  of that name, or none that can be asked yet, is ``NotReadyError``. Whatever else is
  ``CloudUnavailableError``, and its message is fit for a caller: no address, no ARN.
* ``begin`` returns once a request is queued, with the two places of which one is going to hold what came of
  it: the answer's body, or the failure's. Refusals are those of ``infer``. Not every endpoint has it.
* ``must_be_ready`` returns if an inference could be answered now, and raises as ``infer`` does if not. One
  that sleeps is ready: who asks it wakes it, and hears ``NotReadyError`` with the seconds to ask again in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from functions.protocol.errors import NotReadyError, ProtocolError
from model_store.contract.errors import SwitchyardError


class ThrottledError(ProtocolError):
    """The endpoint, or the service in front of it, takes no more requests at the moment."""


class EndpointFailedError(SwitchyardError):
    """The endpoint failed on this request. Its log has the details; callers hear that, and no more."""


WAKING_S = 30
"""When to ask a sleeping endpoint again. A machine takes minutes; one that is there takes a copy in less."""


def asleep() -> NotReadyError:
    """What a caller hears who wakes an endpoint without machines."""
    error = NotReadyError(
        "the endpoint of this version has no machine while nobody asks; one is being started"
    )
    error.retry_after_s = WAKING_S
    return error


class Said(NamedTuple):
    """What an endpoint answered.

    ``json_length`` is set when binary data follow the JSON. ``claims`` are the headers in which it names the
    model and the digest that it serves, by their lower-case names.
    """

    status: int
    body: bytes
    json_length: int | None = None
    claims: Mapping[str, str] = {}


class Patience(NamedTuple):
    """How long a queued request may wait, and then be computed, in seconds."""

    timeout_s: int = 900
    expires_s: int = 21_600


class Places(NamedTuple):
    """Where what comes of a queued request is going to lie, as ``s3://bucket/key``."""

    output: str
    failure: str


class Endpoint(Protocol):
    """One endpoint: one version of one model, on machines of its own."""

    def infer(
        self, body: bytes, json_length: int | None, *, seconds: float, explain: bool = False
    ) -> Said: ...

    def must_be_ready(self, *, seconds: float) -> None: ...

    def close(self) -> None:
        """Let go of what is kept; asking again opens it anew."""


class Queueing(Endpoint, Protocol):
    """An endpoint that answers later."""

    def begin(
        self, payload: bytes | str, json_length: int | None, *, name: str, patience: Patience, seconds: float
    ) -> Places:
        """Queue a body's bytes, or the object of that address which holds them, under a name."""
