"""Requests and answers of the protocol as bytes, in JSON and with binary tensors behind the JSON.

Sources: Open Inference Protocol V2, ``inference_rest.md``; Triton Inference Server, "Binary Tensor Data
Extension". No network in here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from switchyard_client.arrays import (
    Array,
    array_from_bytes,
    array_from_json,
    datatype_of,
    json_values,
    raw_bytes,
)
from switchyard_client.errors import InputError, UnreadableAnswerError

HEADER_LENGTH = "inference-header-content-length"
BINARY_EXTENSION = "binary_tensor_data"

_SAMPLE = 64
_WORTH_IT_BYTES = 1024
"""Below this it makes no difference which way a tensor goes, and JSON can be read in a log."""

_LARGE_BYTES = 64 * 1024
"""From here on writing and reading JSON takes longer than anything binary could add in bytes."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input: an array under its name, with the protocol's word for its type."""

    name: str
    datatype: str
    array: Array

    def described(self) -> dict[str, Any]:
        """What is said about it, without its values."""
        return {"name": self.name, "shape": list(self.array.shape), "datatype": self.datatype}


@dataclass(frozen=True, slots=True)
class Question:
    """One inference request, not yet written."""

    tensors: tuple[Tensor, ...]
    outputs: tuple[str, ...] | None = None
    id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None,
        id_: str | None,
        parameters: Mapping[str, Any] | None,
    ) -> Question:
        """Take what a caller gives, or say what is wrong with it before anything is sent."""
        if not isinstance(inputs, Mapping):
            raise InputError(
                f"the inputs are {type(inputs).__name__}, not a mapping of names to arrays",
                hint='Write `{"x": array}` with the name the model takes.',
            )
        if isinstance(outputs, str):
            raise InputError(f"`outputs` is the text `{outputs}`, not a list", hint=f'Write `["{outputs}"]`.')
        tensors = tuple(Tensor(name, datatype_of(name, array), array) for name, array in inputs.items())
        return cls(tensors, tuple(outputs) if outputs is not None else None, id_, dict(parameters or {}))

    def bytes_in_binary(self) -> int:
        """About as many bytes as the tensors take in binary."""
        return sum(_binary_bytes(tensor.array) for tensor in self.tensors)

    def gains_from_binary(self) -> bool:
        """Whether binary tensors are the better way for this request, if the server reads them."""
        if not all(map(_fits_json, self.tensors)):
            return True
        binary = self.bytes_in_binary()
        return binary >= _LARGE_BYTES or (binary >= _WORTH_IT_BYTES and binary <= self._bytes_in_json())

    def _bytes_in_json(self) -> float:
        return sum(_sampled_json_bytes(tensor.array) for tensor in self.tensors)


@dataclass(frozen=True, slots=True)
class Written:
    """A message as bytes. ``header_length`` is how many of them are JSON, if not all are."""

    body: bytes
    header_length: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What HTTP has to say about it."""
        if self.header_length is None:
            return {"content-type": "application/json"}
        return {"content-type": "application/octet-stream", HEADER_LENGTH: str(self.header_length)}


def write_request(question: Question, *, binary: bool, wants_binary: bool) -> Written:
    """Write a request with its tensors in JSON or behind it; ``wants_binary`` is about the answer's."""
    body: dict[str, Any] = {}
    if question.id is not None:
        body["id"] = question.id
    parameters = dict(question.parameters)
    if wants_binary:
        parameters["binary_data_output"] = True
    if parameters:
        body["parameters"] = parameters
    if question.outputs is not None:
        body["outputs"] = [{"name": name} for name in question.outputs]
    if not binary:
        body["inputs"] = [
            {**tensor.described(), "data": json_values(tensor.name, tensor.datatype, tensor.array)}
            for tensor in question.tensors
        ]
        return Written(_json(body))
    chunks = [raw_bytes(tensor.name, tensor.datatype, tensor.array) for tensor in question.tensors]
    body["inputs"] = [
        {**tensor.described(), "parameters": {"binary_data_size": len(chunk)}}
        for tensor, chunk in zip(question.tensors, chunks, strict=True)
    ]
    header = _json(body)
    return Written(b"".join((header, *chunks)), len(header))


def _json(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"the request cannot be written as JSON: {error}") from error


@dataclass(frozen=True, slots=True)
class Result(Mapping[str, Array]):
    """What a model answered: arrays by output name, and which version answered."""

    model: str
    version: str
    outputs: Mapping[str, Array]
    id: str | None = None
    digest: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Array:
        return self.outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def text(self, name: str) -> NDArray[np.object_]:
        """The strings of a BYTES output, read as UTF-8."""
        array = self.outputs[name]
        read = np.empty(array.shape, dtype=object)
        read.reshape(-1)[:] = [value.decode() for value in array.reshape(-1).tolist()]
        return read


def read_answer(body: bytes, *, header_length: int | None = None, digest: str | None = None) -> Result:
    """Read an inference answer; ``header_length`` is how much of it is JSON, if binary data follow."""
    view = memoryview(body)
    answer = json_object(bytes(view[:header_length]) if header_length is not None else body)
    rest = view[header_length:] if header_length is not None else view[len(view) :]
    outputs: dict[str, Array] = {}
    try:
        for item in answer["outputs"]:
            name, datatype, shape = _head(item)
            size = (item.get("parameters") or {}).get("binary_data_size")
            if size is None:
                outputs[name] = array_from_json(name, datatype, shape, item["data"])
                continue
            if type(size) is not int or not 0 <= size <= len(rest):
                raise UnreadableAnswerError(
                    f"output `{name}` says it has {size} bytes, {len(rest)} are there"
                )
            outputs[name] = array_from_bytes(name, datatype, shape, rest[:size])
            rest = rest[size:]
        return Result(
            model=str(answer["model_name"]),
            version=str(answer.get("model_version", "")),
            outputs=outputs,
            id=answer.get("id"),
            digest=digest,
            parameters=answer.get("parameters") or {},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UnreadableAnswerError(f"the answer is not an inference answer: {error!r}") from error


def _head(item: Mapping[str, Any]) -> tuple[str, str, list[int]]:
    name, datatype, shape = str(item["name"]), str(item["datatype"]), item["shape"]
    if type(shape) is not list or any(type(size) is not int or size < 0 for size in shape):
        raise UnreadableAnswerError(f"output `{name}` has the shape {shape!r:.80}")
    return name, datatype, shape


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise UnreadableAnswerError(
            f"what answered does not speak the protocol: `{body[:80].decode('utf-8', 'replace')}`",
            hint="Look at the address: it ends where `/v2` begins.",
        )
    return answer


def error_in(body: bytes) -> str | None:
    """The sentence in an error answer: the protocol's ``error``, or API Gateway's ``message``."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return None
    said = answer.get("error") or answer.get("message") or answer.get("Message")
    return str(said) if said else None


def _binary_bytes(array: Array) -> int:
    if array.dtype.kind in "OUS":
        sample = array.reshape(-1)[:_SAMPLE].tolist()
        return round(sum(len(value) + 4 for value in sample) * array.size / max(1, len(sample)))
    return int(array.nbytes)


def _sampled_json_bytes(array: Array) -> float:
    """About what JSON would take, judged by the first elements: 5 is one digit, 0.1 as a float32 twenty."""
    sample = array.reshape(-1)[:_SAMPLE].tolist()
    if array.dtype.kind in "OUS":
        return float(_binary_bytes(array))
    return len(json.dumps(sample, separators=(",", ":"))) * array.size / max(1, len(sample))


def _fits_json(tensor: Tensor) -> bool:
    array = tensor.array
    if array.dtype.kind == "f":
        return bool(np.isfinite(array).all())
    if array.dtype.kind in "OS":
        return all(not isinstance(value, bytes) or _is_text(value) for value in array.reshape(-1).tolist())
    return True


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
