"""Payloads that Lambda does not carry travel through S3; the calls themselves stay the protocol's.

A caller asks ``POST …/uploads`` for an address, sends there what would have been the body of its request,
and infers with ``{"parameters": {"input_ref": "…"}}``. Who adds ``"accept_output_url": true`` is answered
with the address of an answer that is too large; who does not hears 413 as ever, so that a client which
knows nothing of this never mistakes a pointer for a result.

What keeps callers apart: an upload lies under the caller's own prefix, which is made of who the API says
the caller is and never of anything in the request. A request names an upload by its token alone, so
nobody can even spell another caller's upload. Where the API asks for nobody's name, everybody shares a
prefix, and the token's 256 random bits are the secret. Addresses end after ``ADDRESS_S``, uploads are
taken for ``KEPT_S``, and the bucket forgets everything after a day.

Nothing here is imported by a function whose model does not hand off, and S3's client is made when the
first payload comes.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from functions.inference.ports import Objects, Stored
from functions.inference.quick import Event, Route, body_of, remaining_s
from functions.inference.released import Service, Unreleased
from functions.protocol.encoded import Answered, Encoded, Work
from functions.protocol.errors import BadRequestError, TooLargeError, UnknownUploadError
from functions.protocol.headers import json_length
from functions.protocol.words import kind

if TYPE_CHECKING:
    from functions.inference.capture import Recorder

ADDRESS_S = 15 * 60
"""How long an address works. A role's own credentials, which sign it, last longer."""

KEPT_S = 60 * 60
"""How long an upload is taken. The bucket's own forgetting comes within a day or two."""

INPUT_REF = "input_ref"
INPUT_HEADER_LENGTH = "input_header_length"
ACCEPT_OUTPUT_URL = "accept_output_url"

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_REFERENCE_BYTES = 4096
"""A request by reference is no longer than this: what is longer is not searched for one."""


class Handoff:
    """The hand-off of one model. Safe to repeat: an upload may be inferred from more than once."""

    def __init__(
        self, service: Service, objects: Objects, *, bucket: str, recorder: Recorder | None = None
    ) -> None:
        """``recorder`` is told what is asked by an event that refers to an upload."""
        self._service = service
        self._recorder = recorder
        self._objects = objects
        self._bucket = bucket
        self._max_bytes = service.limits.max_object_bytes

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """What the hand-off answers: the way to an upload, and inference in place of the plain one."""
        served = self._service.served
        places = {"/v2/models/{model}": f"/v2/models/{served.model}"}
        if not isinstance(served, Unreleased):
            places["/v2/models/{model}/versions/{version}"] = (
                f"/v2/models/{served.model}/versions/{served.manifest.version}"
            )
        found = {
            ("POST", f"{path}/uploads"): Route(f"{template}/uploads", self.upload)
            for template, path in places.items()
        }
        if not isinstance(served, Unreleased):
            found |= {
                ("POST", f"{path}/infer"): Route(f"{template}/infer", self.infer)
                for template, path in places.items()
            }
        return found

    def upload(self, event: Event, _context: object) -> Encoded:
        """Give the address that takes one upload of exactly the size the caller announces."""
        model = self._service.select().model
        size = _announced(body_of(event))
        if size > self._max_bytes:
            raise TooLargeError(
                f"an upload of {size} bytes is announced, and at most {self._max_bytes} are taken"
            )
        token = secrets.token_urlsafe(32)
        key = payload_key(model, caller_of(event), "in", token)
        address = self._objects.upload_address(self._bucket, key, size=size, seconds=ADDRESS_S)
        return Encoded(
            orjson.dumps(
                {
                    INPUT_REF: token,
                    "method": "PUT",
                    "url": address.url,
                    "headers": address.headers,
                    "url_expires_s": ADDRESS_S,
                    "upload_expires_s": KEPT_S,
                }
            )
        )

    def infer(self, event: Event, context: object) -> Encoded | Answered:
        """Answer one request; it and its answer may each be handed off, or neither."""
        body = body_of(event)
        length = json_length((event.get("headers") or {}).items())
        parameters = parameters_in(body, length)
        model = self._service.served.model
        if INPUT_REF in parameters:
            body, length = self._uploaded(event, parameters)
        elif parameters.get(ACCEPT_OUTPUT_URL) is not True:
            return self._service.infer(body, model, json_length=length, remaining_s=remaining_s(context))
        answer = self._service.infer(
            body,
            model,
            json_length=length,
            remaining_s=remaining_s(context),
            max_bytes=self._max_bytes,
        )
        if self._recorder is not None:
            from functions.inference.captured_rows import Half

            self._recorder.instead(Half(body, length), Half(answer.body, answer.json_length))
        try:
            self._service.must_fit(answer)
        except TooLargeError:
            if parameters.get(ACCEPT_OUTPUT_URL) is not True:
                raise
            return self._handed_off(event, answer)
        return answer

    def _uploaded(self, event: Event, parameters: Mapping[str, Any]) -> tuple[bytes, int | None]:
        ref, length = reference_in(parameters)
        key = payload_key(self._service.served.model, caller_of(event), "in", ref)
        stored = self._objects.read(self._bucket, key, limit=self._max_bytes)
        must_be_young(stored.age_s)
        return stored.body, length

    def _handed_off(self, event: Event, answer: Encoded) -> Encoded:
        served = self._service.select()
        if len(answer.body) > self._max_bytes:
            raise TooLargeError(
                f"the answer has {len(answer.body)} bytes, and at most {self._max_bytes} are handed off"
            )
        key = payload_key(served.model, caller_of(event), "out", secrets.token_urlsafe(32))
        self._objects.write(self._bucket, key, Stored(answer.body, answer.json_length))
        address = self._objects.download_address(self._bucket, key, seconds=ADDRESS_S)
        return self.pointer(address.url, len(answer.body), answer.json_length, work=answer.work)

    def pointer(
        self,
        url: str,
        size: int,
        length: int | None,
        *,
        version: int | None = None,
        work: Work | None = None,
    ) -> Encoded:
        """An answer that says where the answer lies; ``length`` of its bytes are JSON, if not all are.

        It is of the version that is served here unless another is named.
        """
        served = self._service.select()
        pointer: dict[str, Any] = {
            "output_url": url,
            "output_bytes": size,
            "output_url_expires_s": ADDRESS_S,
        }
        if length is not None:
            pointer["output_header_length"] = length
        return Encoded(
            orjson.dumps(
                {
                    "model_name": served.model,
                    "model_version": str(version or served.manifest.version),
                    "outputs": [],
                    "parameters": pointer,
                }
            ),
            work=work,
        )


def caller_of(event: Event) -> str:
    """The caller as the API knows them, as a folder's name that tells nothing about them.

    With IAM it is the principal with its session: two people behind one role are two callers. With a JWT it
    is the subject at its issuer, and with neither of them the key that a REST API knows them by.
    """
    authorizer = (event.get("requestContext") or {}).get("authorizer") or {}
    iam, jwt = authorizer.get("iam"), authorizer.get("jwt")
    if isinstance(iam, dict):
        who = ["iam", iam.get("accountId"), iam.get("userId") or iam.get("userArn")]
    elif isinstance(jwt, dict):
        claims = jwt.get("claims") or {}
        who = ["jwt", claims.get("iss"), claims.get("sub") or claims.get("client_id")]
    elif isinstance(authorizer.get("key"), str):
        who = ["key", authorizer["key"]]
    else:
        who = ["anybody"]
    return hashlib.sha256(orjson.dumps(who)).hexdigest()[:32]


def reference_in(parameters: Mapping[str, Any]) -> tuple[str, int | None]:
    """The token of the upload that a request names, and how much of that is JSON if not all is."""
    ref, length = parameters[INPUT_REF], parameters.get(INPUT_HEADER_LENGTH)
    if not isinstance(ref, str) or not TOKEN.fullmatch(ref):
        raise BadRequestError(f"the parameter `{INPUT_REF}` is no name that an upload was given")
    if length is not None and (type(length) is not int or length < 0):
        raise BadRequestError(
            f"the parameter `{INPUT_HEADER_LENGTH}` is {kind(length)}, and has to be a number of bytes"
        )
    return ref, length


def must_be_young(age_s: float) -> None:
    """Refuse an upload that was promised for an hour and is older."""
    if age_s > KEPT_S:
        raise UnknownUploadError("there is no such upload, or it is gone")


def payload_key(model: str, caller: str, way: str, token: str) -> str:
    """Where one caller's payload lies: under a prefix of their own, by a name that nobody guesses."""
    return f"{model}/{caller}/{way}/{token}"


def _announced(body: bytes | str) -> int:
    """How many bytes an upload is going to have."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        asked = None
    size = asked.get("bytes") if isinstance(asked, dict) else None
    if type(size) is not int or size < 1:
        raise BadRequestError('the body has to be `{"bytes": N}` with the size of the upload')
    return size


def parameters_in(body: bytes | str, length: int | None) -> dict[str, Any]:
    """The request's parameters, if they say anything about a hand-off; empty if they do not.

    Searching for a word is quick beside reading the JSON, so the requests that travel in their own body
    pay next to nothing for those that do not.
    """
    head = body if length is None else body[:length]
    if not (_has(head, ACCEPT_OUTPUT_URL) or (len(head) <= _REFERENCE_BYTES and _has(head, INPUT_REF))):
        return {}
    try:
        parameters = orjson.loads(head)["parameters"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}  # what is wrong with it is the decoder's to say
    return parameters if isinstance(parameters, dict) else {}


def _has(text: bytes | str, word: str) -> bool:
    return word in text if isinstance(text, str) else word.encode() in text
