"""Requests that an endpoint answers later: queued by SageMaker, answered into a bucket, found there.

SageMaker answers an asynchronous endpoint's requests in no other way (``InvokeEndpoint`` is refused with
``ValidationError``, strands-agents/harness-sdk#1969). It says where the answer is going to lie, and that is
written down as a *ticket* under the caller's own prefix, as uploads are (``functions.inference.handoff``): a
caller finds a result by its id, and nobody can spell another caller's. The ticket names the version, so a
result is found after a flip too, by whichever version answers then.

An object knows neither who wrote it nor where its JSON ends, which SageMaker's synchronous answers say in
headers. The first follows from the endpoint's name, which is the version's and carries its digest, and is
compared with the ``model_version`` that the answer names. The second is found by reading the JSON.

A crash between queueing and the ticket leaves an answer that nobody finds, and that the bucket forgets; the
caller was told of no id, and may ask again.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from functions.gateway.pin import Pin
from functions.gateway.ports import EndpointFailedError, Patience, Places, Queueing
from functions.inference.handoff import TOKEN, payload_key
from functions.inference.ports import Objects, Seen, Stored
from functions.inference.request_log import INTERNAL_ERROR
from functions.protocol.encoded import Encoded
from functions.protocol.errors import BadRequestError, ProtocolError, UnknownUploadError
from model_store.contract.errors import IntegrityError, SwitchyardError

INLINE_BYTES = 128_000
"""What SageMaker takes in the call itself; more lies in S3. Source: ``InvokeEndpointAsync``, ``Body``."""

MAX_INPUT_BYTES = 1 << 30
"""Largest input that SageMaker reads from S3. Source: SageMaker developer guide, "Asynchronous inference"."""

LATE_S = 120
"""Given beyond what SageMaker was told, before a request without any outcome counts as lost."""

_HEAD_BYTES = 65_536
_MOST_WORDS = 2_000
_TICKET_BYTES = 4_096


class Lying(NamedTuple):
    """An answer where it lies. ``encoded`` is it whole, if it has no more bytes than were asked for.

    ``version`` and ``digest`` are those of the endpoint that gave it, whichever version answers by now.
    """

    version: int
    digest: str
    key: str
    size: int
    json_length: int | None
    encoded: Encoded | None
    request_id: str = ""
    """The API's id of the call that began it."""


class _Ticket(NamedTuple):
    version: int
    digest: str
    output: str
    failure: str
    until: float
    request_id: str = ""


class Later:
    """The queue of one pinned version. Every method may be repeated; a request begun twice is two."""

    def __init__(
        self,
        pin: Pin,
        objects: Objects,
        *,
        bucket: str,
        connect: Callable[[], Queueing],
        patience: Patience,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._pin = pin
        self._objects = objects
        self._bucket = bucket
        self._connect = connect
        self._patience = patience
        self._now = now

    @property
    def patience(self) -> Patience:
        return self._patience

    def begin(
        self,
        caller: str,
        payload: bytes | str,
        json_length: int | None,
        *,
        seconds: float,
        request_id: str = "",
    ) -> str:
        """Queue a request and return its id; ``payload`` is its body, or the key of an upload that is it."""
        id_ = secrets.token_urlsafe(32)
        if isinstance(payload, bytes) and len(payload) > INLINE_BYTES:
            key = payload_key(self._pin.model, caller, "in", id_)
            self._objects.write(self._bucket, key, Stored(payload, json_length))
            payload = key
        if isinstance(payload, str):
            payload = f"s3://{self._bucket}/{payload}"
        places = self._connect().begin(
            payload, json_length, name=id_, patience=self._patience, seconds=seconds
        )
        self._write_down(caller, id_, places, request_id)
        return id_

    def look(self, caller: str, id_: str, *, most: int) -> Lying | None:
        """What came of a request; ``None`` as long as nothing did. Answers up to ``most`` bytes are read.

        Raises ``UnknownUploadError`` for an id that this caller was not given or that is forgotten,
        ``BadRequestError`` where the model refused the request, ``EndpointFailedError`` where it failed.
        """
        ticket = self._ticket(caller, id_)
        found = self._seen(ticket.output, most)
        if found is not None:
            return self._lying(ticket, found, most)
        failed = self._seen(ticket.failure, _HEAD_BYTES)
        if failed is not None:
            raise self._failure(failed)
        if self._now() > ticket.until:
            raise EndpointFailedError(
                f"nothing came of a request to the endpoint of {self._pin.manifest.ref}"
            )
        return None

    def _write_down(self, caller: str, id_: str, places: Places, request_id: str) -> None:
        patience = self._patience
        ticket = {
            "version": self._pin.manifest.version,
            "digest": str(self._pin.manifest.digest),
            "output": self._key_in(places.output),
            "failure": self._key_in(places.failure),
            "until": self._now() + patience.expires_s + patience.timeout_s + LATE_S,
            "request_id": request_id,
        }
        key = payload_key(self._pin.model, caller, "jobs", id_)
        self._objects.write(self._bucket, key, Stored(json.dumps(ticket).encode()))

    def _key_in(self, address: str) -> str:
        """The key of an address in the one bucket that answers go to."""
        place = f"s3://{self._bucket}/"
        if not address.startswith(place):
            raise IntegrityError(f"the endpoint of {self._pin.manifest.ref} answers into another bucket")
        return address.removeprefix(place)

    def _ticket(self, caller: str, id_: str) -> _Ticket:
        if not TOKEN.fullmatch(id_):
            raise UnknownUploadError("there is no such request, or it is gone")
        key = payload_key(self._pin.model, caller, "jobs", id_)
        try:
            text = self._objects.read(self._bucket, key, limit=_TICKET_BYTES).body
        except UnknownUploadError:
            raise UnknownUploadError("there is no such request, or it is gone") from None
        return _Ticket(**json.loads(text))

    def _seen(self, key: str, first: int) -> Seen | None:
        try:
            return self._objects.look(self._bucket, key, first=first)
        except UnknownUploadError:
            return None

    def _lying(self, ticket: _Ticket, found: Seen, most: int) -> Lying:
        if self._pin.own_image:
            length = None
        else:
            document, end = _json_at_the_start(found.head)
            length = end if document is not None and end < found.size else None
            if document is not None and str(document.get("model_version")) != str(ticket.version):
                raise IntegrityError(
                    f"an answer names version `{document.get('model_version')}` of {self._pin.model}, "
                    f"expected `{ticket.version}`"
                )
        whole = Encoded(found.head, length) if found.size <= most else None
        return Lying(
            ticket.version, ticket.digest, ticket.output, found.size, length, whole, ticket.request_id
        )

    def _failure(self, failed: Seen) -> SwitchyardError:
        """The model's own sentence, where it has one for the caller."""
        document, _ = _json_at_the_start(failed.head)
        words = (document or {}).get("error")
        if isinstance(words, str) and failed.head.strip() != INTERNAL_ERROR:
            refused: ProtocolError = BadRequestError(words[:_MOST_WORDS])
            return refused
        return EndpointFailedError(f"the endpoint of {self._pin.manifest.ref} failed on a request")


def _json_at_the_start(content: bytes) -> tuple[dict[str, Any] | None, int]:
    """The JSON object that ``content`` begins with, and how many bytes it has; ``None`` where it has none.

    Read as Latin-1, so that a byte is a character: what is looked for in there is plain ASCII.
    """
    try:
        document, end = json.JSONDecoder(strict=False).raw_decode(content.decode("latin-1"))
    except ValueError:
        return None, 0
    return (document, end) if isinstance(document, dict) else (None, 0)
