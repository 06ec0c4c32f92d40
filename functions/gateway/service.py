"""The protocol's model calls, answered by the endpoint that this version pins.

The request's bytes go on as they came, and the answer's bytes come back as they are: the endpoint has the
same codec, says the same errors, and is the one to judge a request. What is judged here is what only this
side knows: the path, Lambda's limits, the time that is left, and whether the right endpoint answered (law 2).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from functions.gateway.pin import Pin
from functions.gateway.ports import Endpoint, EndpointFailedError, Said, ThrottledError
from functions.inference.limits import Limits
from functions.inference.released import Unreleased, selected
from functions.protocol.carried import must_fit
from functions.protocol.encoded import Encoded, Work
from functions.protocol.errors import (
    BadRequestError,
    CloudUnavailableError,
    DeadlineError,
    ProtocolError,
    QueueFullError,
    TooLargeError,
    UnknownModelError,
    UnwritableOutputError,
)
from functions.protocol.metadata import model_metadata
from model_store.contract.errors import IntegrityError, SwitchyardError

if TYPE_CHECKING:
    from functions.gateway.later import Later, Lying

MARGIN_S = 0.5
"""Kept of this function's time for the answer that says that there is none, and for its log line."""

LONGEST_S = 28.5
"""API Gateway gives up after 30 s and answers with words of its own; Lambda's start counts too.

Source: "Quotas for configuring and running an HTTP API", maximum integration timeout.
"""

INVOKE_BYTES = 6_291_456
"""Largest request that SageMaker carries. Source: botocore's model of ``InvokeEndpoint``, ``BodyBlob``."""

PAUSE_S = (0.05, 0.15)
"""Between the two attempts at a busy endpoint: long enough for a place in its queue, drawn by chance so that
callers who were refused together do not come back together."""

LOOK_AGAIN_S = (0.05, 1.0)
"""Between two looks for a queued request's answer, at first and at most."""

_MOST_WORDS = 2_000

NOBODY = "waiting"
"""The prefix of queued requests that no caller of the API sent; no caller's is spelt so."""

T = TypeVar("T")

_MEANING: dict[int, type[ProtocolError]] = {
    400: BadRequestError,
    404: UnknownModelError,
    413: TooLargeError,
    422: UnwritableOutputError,
    429: QueueFullError,
    503: CloudUnavailableError,
    504: DeadlineError,
}
"""What the endpoint's statuses are called here, so that every door says them in its own way."""


class GatewayService:
    """The protocol's model calls. Raises ``ProtocolError``, and is safe to repeat.

    With ``later`` the endpoint answers through its queue, and who asks here waits for that.
    """

    def __init__(
        self,
        pin: Pin | Unreleased,
        limits: Limits | None = None,
        *,
        connect: Callable[[], Endpoint],
        later: Callable[[], Later] | None = None,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pin = pin
        self.limits = limits or Limits()
        self._connect = connect
        self._later = later
        self._sleep = sleep
        self._clock = clock

    @property
    def served(self) -> Pin | Unreleased:
        return self._pin

    def select(self, model: str | None = None, version: str | None = None) -> Pin:
        """What is pinned, if it is what the caller names; nothing named is whatever is pinned."""
        return selected(self._pin, model, version)

    def must_be_ready(self) -> None:
        """Raise unless the endpoint could answer now. Asks no model to compute anything."""
        self.select()
        self._connect().must_be_ready(seconds=5.0)

    def metadata(self, model: str, version: str | None = None) -> dict[str, Any]:
        limits = self.limits.as_parameters()
        if self._later is not None:
            limits["asynchronous_timeout_s"] = self._later().patience.timeout_s
        return model_metadata(self.select(model, version).manifest, limits)

    def infer(
        self,
        body: bytes | str,
        model: str,
        version: str | None = None,
        *,
        json_length: int | None = None,
        remaining_s: float | None = None,
        max_bytes: int | None = None,
        explain: bool = False,
    ) -> Encoded:
        """Let the endpoint answer one inference request, in time to say so if it does not.

        With ``explain`` it says what its answer hangs on. A busy endpoint is asked once more. Neither changes
        anything, so a repeated request is the same one.
        """
        pin = self.select(model, version)
        end = self.end_of(remaining_s)
        content = self.content_of(body, max_bytes)
        if self._later is not None:
            return self._waited(content, json_length, end, max_bytes)
        began = time.perf_counter()
        said = self._twice(
            lambda: self._connect().infer(content, json_length, seconds=self._left(end), explain=explain),
            busy=lambda said: said.status in (429, 503),
        )
        model_ms = (time.perf_counter() - began) * 1000
        if said.status != 200:
            raise _refusal(pin, said)
        if not pin.own_image:
            _must_be(pin, said.claims)
        answer = Encoded(said.body, said.json_length, Work(model_ms, None, len(content)))
        if max_bytes is None:
            self.must_fit(answer)
        return answer

    def must_fit(self, answer: Encoded) -> None:
        """Refuse an answer that Lambda would not carry."""
        must_fit(answer, self.limits.max_payload_bytes)

    def end_of(self, remaining_s: float | None) -> float:
        """By when, on this service's clock, an answer has to be there."""
        return self._clock() + min(LONGEST_S, (remaining_s or LONGEST_S) - MARGIN_S)

    def content_of(self, body: bytes | str, max_bytes: int | None = None) -> bytes:
        """The bytes of a request, if they go through here."""
        content = body.encode("utf-8", "replace") if isinstance(body, str) else body
        most = min(max_bytes or self.limits.max_payload_bytes, INVOKE_BYTES)
        if len(content) > most:
            raise TooLargeError(f"the body has {len(content)} bytes, and at most {most} go through here")
        return content

    def begin(
        self,
        caller: str,
        payload: bytes | str,
        json_length: int | None,
        end: float,
        *,
        request_id: str = "",
    ) -> str:
        """Queue a caller's request and return its id. A busy endpoint is asked once more."""
        self.select()
        later = self._queue()
        return self._twice(
            lambda: later.begin(caller, payload, json_length, seconds=self._left(end), request_id=request_id),
            busy=lambda _: False,
        )

    def look(self, caller: str, id_: str, most: int | None = None) -> Lying | None:
        """What came of a queued request so far. Answers are read up to ``most`` bytes, else Lambda's."""
        return self._queue().look(caller, id_, most=most or self.limits.max_payload_bytes)

    def wait_for(
        self, caller: str, id_: str, *, end: float, wait_s: float | None = None, most: int | None = None
    ) -> Lying | None:
        """The same by ``end``, or within ``wait_s`` seconds; ``None`` if nothing did come of it."""
        if wait_s is not None:
            end = min(end, self._clock() + wait_s)
        pause, longest = LOOK_AGAIN_S
        while self._clock() + pause < end:
            self._sleep(pause)
            found = self.look(caller, id_, most)
            if found is not None:
                return found
            pause = min(longest, pause * 1.5)
        return None

    def _queue(self) -> Later:
        assert self._later is not None, "this model's endpoints answer at once"
        return self._later()

    def _waited(self, content: bytes, json_length: int | None, end: float, max_bytes: int | None) -> Encoded:
        """Queue a request that did not come over HTTP, and wait for its answer as long as there is time."""
        most = max_bytes or self.limits.max_payload_bytes
        id_ = self.begin(NOBODY, content, json_length, end)
        found = self.wait_for(NOBODY, id_, most=most, end=end)
        if found is None:
            raise DeadlineError("the endpoint answers later, and had not by the time that there is")
        if found.encoded is None:
            raise TooLargeError(f"the answer has {found.size} bytes, and at most {most} go through here")
        if max_bytes is None:
            self.must_fit(found.encoded)
        return found.encoded

    def _twice(self, ask: Callable[[], T], busy: Callable[[T], bool]) -> T:
        """Ask, and ask a busy endpoint once more a moment later."""
        try:
            said = ask()
            if not busy(said):
                return said
        except ThrottledError:
            pass
        self._sleep(random.uniform(*PAUSE_S))  # noqa: S311 - to scatter callers, not to hide anything
        try:
            return ask()
        except ThrottledError as error:
            refused = CloudUnavailableError(
                f"the endpoint of {self.select().manifest.ref} takes no more requests now"
            )
            refused.retry_after_s = 1
            raise refused from error

    def _left(self, end: float) -> float:
        left = end - self._clock()
        if left <= 0:
            raise DeadlineError("there was no time left to ask the endpoint")
        return left


def _refusal(pin: Pin, said: Said) -> SwitchyardError:
    """The endpoint's own status and sentence; what it does not say in the protocol's way is a failure."""
    words = _error_in(said.body)
    kind = _MEANING.get(said.status)
    if kind is None or words is None:
        return EndpointFailedError(f"the endpoint of {pin.manifest.ref} answered {said.status}")
    error = kind(words)
    if said.status == 503:
        error.retry_after_s = 1
    return error


def _error_in(body: bytes) -> str | None:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(error)[:_MOST_WORDS]


def _must_be(pin: Pin, claims: Mapping[str, str]) -> None:
    """Law 2: an answer is passed on if the endpoint names exactly this version and these bytes."""
    for name, expected in pin.headers.items():
        if claims.get(name) != expected:
            raise IntegrityError(
                f"the endpoint of {pin.manifest.ref} answered as `{claims.get(name)}`, expected `{expected}`"
            )
