"""The protocol's calls as steps: which requests an inference takes, and what is made of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlsplit

from switchyard_client.arrays import Array
from switchyard_client.errors import (
    InputError,
    NotReadyError,
    ServerFaultError,
    StillWaitingError,
    TooLargeError,
    UnknownModelError,
    UnreadableAnswerError,
)
from switchyard_client.exchange import Call, Reply, Retries, Send, Wait, accepted, ask
from switchyard_client.messages import (
    BINARY_EXTENSION,
    HEADER_LENGTH,
    Question,
    Result,
    Written,
    json_object,
    read_answer,
    write_request,
)

DIGEST_HEADER = "x-switchyard-digest"

PAYLOAD_BYTES = 6_291_456
"""What Lambda carries in one request, envelope included. Source: AWS Lambda quotas, 6 MB synchronous."""

ENVELOPE_BYTES = 32_768
"""Kept free for everything around a body in Lambda's event: API Gateway lets 10 KB of headers through, and
they stand there with quotes escaped and with the request's context."""

LATER = {"prefer": "respond-async"}
"""How a request says that an answer may come later (RFC 7240)."""

LOOK_AGAIN_S = 2.0

ONCE = Retries(attempts=1)
"""For questions about the present moment."""


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """What a server says about itself."""

    name: str
    version: str
    extensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """A tensor that a model takes or gives; -1 is a size that the request chooses."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a model says about itself. ``parameters`` hold the rest: digest, limits."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hands_off(self) -> bool:
        """Whether payloads beyond the limit may travel through S3."""
        return "handoff_max_bytes" in self.parameters


@dataclass(frozen=True, slots=True)
class Job:
    """A request that is answered later, by its ``id``. With ``result`` it was answered at once."""

    model: str
    id: str
    result: Result | None = None


@dataclass
class Calls:
    """Every call of one client. Remembers what the server can do, once it has said so."""

    url: str
    alias: str = "live"
    binary: bool | None = None
    retries: Retries = field(default_factory=Retries)
    _extensions: frozenset[str] | None = field(default=None, init=False)
    _hands_off: dict[str, bool] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise InputError(
                f"`{self.url}` is not an address", hint="Give it with https://, up to where /v2 begins."
            )
        self.url = self.url.rstrip("/").removesuffix("/v2")

    def server(self) -> Call[ServerMetadata]:
        """``GET /v2``."""
        reply = yield from self._get("/v2")
        said = json_object(reply.body)
        extensions = tuple(str(item) for item in said.get("extensions") or ())
        self._extensions = frozenset(extensions)
        return ServerMetadata(str(said.get("name", "")), str(said.get("version", "")), extensions)

    def metadata(self, model: str, version: int | str | None) -> Call[ModelMetadata]:
        """``GET /v2/models/…``."""
        reply = yield from self._get(self._path(model, version))
        said = json_object(reply.body)
        try:
            found = ModelMetadata(
                name=str(said["name"]),
                versions=tuple(str(item) for item in said.get("versions") or ()),
                platform=str(said.get("platform", "")),
                inputs=tuple(map(_tensor, said["inputs"])),
                outputs=tuple(map(_tensor, said["outputs"])),
                parameters=said.get("parameters") or {},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableAnswerError(f"the answer is not a model's metadata: {error!r}") from error
        self._hands_off[model] = found.hands_off
        return found

    def live(self) -> Call[bool]:
        """``GET /v2/health/live``."""
        return (yield from self._holds("/v2/health/live"))

    def ready(self, model: str | None, version: int | str | None) -> Call[bool]:
        """``GET /v2/health/ready``, or a model's own."""
        path = "/v2/health/ready" if model is None else f"{self._path(model, version)}/ready"
        return (yield from self._holds(path))

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: int | str | None,
        outputs: Sequence[str] | None,
        id_: str | None,
        parameters: Mapping[str, Any] | None,
        timeout_s: float | None,
    ) -> Call[Result]:
        """Ask a model, by whichever way the payload fits through."""
        question = Question.of(inputs, outputs, id_, parameters)
        path = self._path(model, version)
        binary = yield from self._speaks_binary(question)
        wants_binary = binary or (self.binary is None and self._knows_binary())
        written = write_request(question, binary=binary, wants_binary=wants_binary)
        try:
            if not goes_through(written):
                return (yield from self._by_reference(path, written, timeout_s))
            return (yield from self._directly(path, written, timeout_s))
        except TooLargeError:
            # The request went through and its answer did not: ask once more for the answer's address. Or it
            # came to a REST API, where JSON is base64 too and less of it goes through: then it is uploaded.
            if not goes_through(written) or not (yield from self._can_hand_off(model, version)):
                raise
        allowing = replace(question, parameters={**question.parameters, "accept_output_url": True})
        written = write_request(allowing, binary=binary, wants_binary=wants_binary)
        if not goes_through(written, as_bytes=True):
            return (yield from self._by_reference(path, written, timeout_s))
        return (yield from self._directly(path, written, timeout_s))

    def explain(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: int | str | None,
        parameters: Mapping[str, Any],
        timeout_s: float | None,
    ) -> Call[Result]:
        """Ask what an answer hangs on."""
        question = Question.of(inputs, None, None, parameters)
        binary = yield from self._speaks_binary(question)
        written = write_request(question, binary=binary, wants_binary=binary)
        path = f"{self.url}{self._path(model, version)}/explain"
        reply = accepted(
            (yield from ask(Send("POST", path, written.body, written.headers, timeout_s), self.retries))
        )
        return _result(reply)

    def submit(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: int | str | None,
        outputs: Sequence[str] | None,
        parameters: Mapping[str, Any] | None,
        timeout_s: float | None,
    ) -> Call[Job]:
        """Let a model answer later. One that has no queue answers at once, and that is the job's result."""
        question = Question.of(inputs, outputs, None, parameters)
        path = self._path(model, version)
        binary = yield from self._speaks_binary(question)
        written = write_request(question, binary=binary, wants_binary=binary)
        if not goes_through(written):
            written = yield from self._referring(path, written, timeout_s)
        headers = {**written.headers, **LATER}
        request = Send("POST", f"{self.url}{path}/infer", written.body, headers, timeout_s)
        reply = accepted((yield from ask(request, self.retries)))
        if reply.status != 202:
            return Job(model, "", (yield from self._whole(_result(reply))))
        return Job(model, str(json_object(reply.body).get("id", "")))

    def result(self, job: Job, *, wait_s: float) -> Call[Result]:
        """The answer to a job, for which it waits; ``StillWaitingError`` if none came by then."""
        if job.result is not None:
            return job.result
        place = f"{self.url}{self._path(job.model, None)}/results/{quote(job.id, safe='')}"
        left = wait_s
        while True:
            reply = accepted((yield from ask(Send("GET", place), self.retries)))
            if reply.status != 202:
                return (yield from self._whole(_result(reply)))
            if left <= 0:
                raise StillWaitingError(
                    f"`{job.model}` has not answered `{job.id}` yet", hint="Ask for its result again later."
                )
            pause = min(left, LOOK_AGAIN_S)
            left -= pause
            yield Wait(pause)

    def _directly(self, path: str, written: Written, timeout_s: float | None) -> Call[Result]:
        request = Send("POST", f"{self.url}{path}/infer", written.body, written.headers, timeout_s)
        reply = accepted((yield from ask(request, self.retries)))
        return (yield from self._whole(_result(reply)))

    def _whole(self, result: Result) -> Call[Result]:
        """The answer itself, if what came only says where it lies."""
        if "output_url" in result.parameters:
            return (yield from self._fetched(result))
        return result

    def _by_reference(self, path: str, written: Written, timeout_s: float | None) -> Call[Result]:
        short = yield from self._referring(path, written, timeout_s)
        return (yield from self._directly(path, short, timeout_s))

    def _referring(self, path: str, written: Written, timeout_s: float | None) -> Call[Written]:
        """Put the request where the model can read it, and return one that names it."""
        size = len(written.body)
        wanted = Written(b'{"bytes":%d}' % size)
        request = Send("POST", f"{self.url}{path}/uploads", wanted.body, wanted.headers, timeout_s)
        try:
            reply = accepted((yield from ask(request, self.retries)))
        except UnknownModelError as error:
            raise TooLargeError(
                f"the request has {size:,} bytes, more than Lambda carries, and {error}",
                status=413,
                hint="Send fewer rows at once, or set `handoff = true` for the model in the catalog.",
            ) from error
        place = json_object(reply.body)
        try:
            ref, url = str(place["input_ref"]), str(place["url"])
            headers = {str(name): str(value) for name, value in (place.get("headers") or {}).items()}
        except (KeyError, AttributeError) as error:
            raise UnreadableAnswerError(f"the answer names no place to upload to: {error!r}") from error
        upload = Send("PUT", url, written.body, headers, timeout_s, authorised=False)
        accepted((yield from ask(upload, self.retries)))
        parameters: dict[str, Any] = {"input_ref": ref, "accept_output_url": True}
        if written.header_length is not None:
            parameters["input_header_length"] = written.header_length
        reference = Question((), parameters=parameters)
        return write_request(reference, binary=False, wants_binary=False)

    def _fetched(self, pointer: Result) -> Call[Result]:
        """The answer itself, from where a pointer says it lies."""
        request = Send("GET", str(pointer.parameters["output_url"]), authorised=False)
        reply = accepted((yield from ask(request, self.retries)))
        length = pointer.parameters.get("output_header_length")
        if length is not None and type(length) is not int:
            raise UnreadableAnswerError(f"the answer's header length is {length!r}")
        return read_answer(reply.body, header_length=length, digest=pointer.digest)

    def _speaks_binary(self, question: Question) -> Call[bool]:
        """Whether to send this request's tensors in binary; asks the server at most once in its life."""
        if self.binary is not None:
            return self.binary
        if not question.gains_from_binary():
            return False
        if self._extensions is None:
            try:
                yield from self.server()
            except (UnknownModelError, UnreadableAnswerError, ServerFaultError, NotReadyError):
                # A server that does not describe itself has no extensions that it could be asked for.
                self._extensions = frozenset()
        return self._knows_binary()

    def _knows_binary(self) -> bool:
        return self._extensions is not None and BINARY_EXTENSION in self._extensions

    def _can_hand_off(self, model: str, version: int | str | None) -> Call[bool]:
        if model not in self._hands_off:
            yield from self.metadata(model, version)
        return self._hands_off[model]

    def _path(self, model: str, version: int | str | None) -> str:
        prefix = "" if self.alias == "live" else f"/{quote(self.alias, safe='')}"
        pinned = "" if version is None else f"/versions/{quote(str(version), safe='')}"
        return f"{prefix}/v2/models/{quote(model, safe='')}{pinned}"

    def _get(self, path: str) -> Call[Reply]:
        return accepted((yield from ask(Send("GET", f"{self.url}{path}"), self.retries)))

    def _holds(self, path: str) -> Call[bool]:
        """True for a 200, False for what says "not now", an error for everything else."""
        try:
            accepted((yield from ask(Send("GET", f"{self.url}{path}"), ONCE)))
        except (NotReadyError, ServerFaultError):
            return False
        return True


def explain_parameters(
    output: str | None,
    target: int | None,
    baseline: float,
    window: int | None,
    method: str | None = None,
    steps: int | None = None,
) -> dict[str, Any]:
    """The parameters of a request for an explanation; what is ``None`` is the server's choice."""
    asked = {
        "explain_output": output,
        "explain_target": target,
        "explain_baseline": baseline,
        "explain_window": window,
        "explain_method": method,
        "explain_steps": steps,
    }
    return {name: value for name, value in asked.items() if value is not None}


def goes_through(written: Written, *, as_bytes: bool = False) -> bool:
    """Whether a body fits into Lambda's event, where it is base64, or a string in JSON.

    ``as_bytes`` is a REST API's way: base64, whatever it is.
    """
    room = PAYLOAD_BYTES - ENVELOPE_BYTES
    if as_bytes or written.header_length is not None:
        return len(written.body) * 4 / 3 <= room
    if len(written.body) <= room // 2:
        return True
    return len(written.body) + sum(map(written.body.count, (b'"', b"\\"))) <= room


def _result(reply: Reply) -> Result:
    length = reply.headers.get(HEADER_LENGTH)
    if length is not None and not length.isdecimal():
        raise UnreadableAnswerError(f"the answer's header length is `{length}`")
    return read_answer(
        reply.body,
        header_length=int(length) if length is not None else None,
        digest=reply.headers.get(DIGEST_HEADER),
    )


def _tensor(item: Mapping[str, Any]) -> TensorMetadata:
    return TensorMetadata(
        str(item["name"]), str(item["datatype"]), tuple(int(size) for size in item["shape"])
    )
