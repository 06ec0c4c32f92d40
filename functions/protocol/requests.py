"""Read an inference request: the body's bytes become named arrays, or a sentence that says why not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from functions.protocol.binary import array_from_binary, array_of_element
from functions.protocol.errors import BadRequestError
from functions.protocol.floats import FloatInput, FloatReader
from functions.protocol.tensors import DTYPES, MAX_ELEMENTS, Array, array_from_json, kind, quoted
from model_store.contract.tensors import Dimension, TensorSpec

FLOATS = FloatReader()
"""Of this process. What is primed before the first request loads its library then."""

_NOT_A_NUMBER = r"(?i:[+-]?(?P<word>nan|inf(?:inity)?)\b)"


class Signature(NamedTuple):
    """What a model takes and gives, by name, in the model's own order.

    ``files`` are the inputs of BYTES whose elements may be any bytes, and not only text.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    files: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        inputs: Iterable[TensorSpec],
        outputs: Iterable[TensorSpec],
        files: frozenset[str] = frozenset(),
    ) -> Signature:
        return cls({spec.name: spec for spec in inputs}, {spec.name: spec for spec in outputs}, files)


class InferRequest(NamedTuple):
    """A request that the model can be asked: every input there, every tensor as the model takes it.

    ``outputs`` are the wanted ones in the order they were asked for, all of them if none were; ``binary``
    names those that the caller wants as binary data.
    """

    inputs: dict[str, Array]
    outputs: tuple[str, ...]
    id: str | None = None
    parameters: Mapping[str, Any] = {}
    binary: frozenset[str] = frozenset()


def decode_request(
    body: bytes | str, signature: Signature, *, json_length: int | None = None
) -> InferRequest:
    """Read an inference request for a model with this signature.

    ``json_length`` is what the header ``Inference-Header-Content-Length`` says: so many bytes of the body
    are JSON, the rest is the binary data of tensors; 0 means that all of it is the data of the only input.
    Raises ``BadRequestError`` and nothing else, whatever the bytes. Unknown members are left alone,
    as the protocol's extensions need; an optional member that is ``null`` counts as absent.
    """
    if json_length is None:
        if (floats := FLOATS.read(body)) is not None and (plain := _floats(floats, signature)) is not None:
            return plain
        text: bytes | str | memoryview = body
        data: BinaryData | None = None
    else:
        # Only a caller without API Gateway in between can send both text and this header.
        whole = memoryview(body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body)
        if not 0 <= json_length <= len(whole):
            raise BadRequestError(
                f"the header `Inference-Header-Content-Length` is {json_length}, and the body has "
                f"{len(whole)} bytes"
            )
        if json_length == 0:
            return _raw_request(whole, signature)
        text, data = whole[:json_length], _BinaryData(whole, json_length)
    return request_of(_parsed(text), signature, data)


def request_of(document: object, signature: Signature, data: BinaryData | None = None) -> InferRequest:
    """Read an inference request whose JSON has been parsed, or that was put together from another form.

    ``data`` hands out what inputs with a ``binary_data_size`` are made of.
    """
    if data is None and (plain := _plain(document, signature)) is not None:
        return plain
    request = _object(document, "the body")
    id_ = _optional(request, "id", str, "the body")
    parameters = _optional(request, "parameters", dict, "the body") or {}
    inputs = _inputs(request, signature, data)
    if data is not None and data.left:
        raise BadRequestError(f"the body has {data.left} bytes of binary data that belong to no input")
    outputs, binary = _outputs(
        request, signature.outputs, _flag(parameters, "binary_data_output", "the body")
    )
    return InferRequest(inputs, outputs, id_, parameters, binary)


def _plain(document: object, signature: Signature) -> InferRequest | None:
    """The commonest request at once: one input with its four members, and nothing besides.

    ``None`` for every other, which is then read member by member. What is refused here is refused there too,
    in the same words.
    """
    if type(document) is not dict or len(document) != 1 or len(signature.inputs) != 1:
        return None
    items = document.get("inputs")
    if type(items) is not list or len(items) != 1 or type(item := items[0]) is not dict or len(item) != 4:
        return None
    (spec,) = signature.inputs.values()
    data = item.get("data")
    if type(data) is not list or item.get("name") != spec.name or item.get("datatype") != spec.datatype:
        return None
    shape = _shape(item.get("shape"), spec)
    return InferRequest(
        {spec.name: array_from_json(spec.name, spec.datatype, shape, data)}, tuple(signature.outputs)
    )


def _floats(sent: FloatInput, signature: Signature) -> InferRequest | None:
    """The request for a model of one input that ``sent`` is; ``None`` leaves it to be read member by member.

    What is refused here is refused there too, in the same words.
    """
    if len(signature.inputs) != 1:
        return None
    (spec,) = signature.inputs.values()
    if sent.name != spec.name or sent.datatype != spec.datatype:
        return None
    shape = _shape(sent.shape, spec)
    if math.prod(shape) != sent.values.size:
        return None
    return InferRequest({spec.name: sent.values.reshape(shape)}, tuple(signature.outputs))


class BinaryData(Protocol):
    """The bytes of the inputs that a request does not write as JSON, in the order of those inputs."""

    @property
    def left(self) -> int:
        """How many bytes nobody has taken."""
        ...

    def take(self, size: int, what: str) -> memoryview:
        """The next ``size`` bytes, for ``what``. Raises ``BadRequestError`` if there are not that many."""
        ...


class _BinaryData:
    """What follows the JSON in a body, handed out in the order of the inputs."""

    def __init__(self, whole: memoryview, start: int) -> None:
        self._whole = whole
        self._at = start

    @property
    def left(self) -> int:
        return len(self._whole) - self._at

    def take(self, size: int, what: str) -> memoryview:
        if size > self.left:
            raise BadRequestError(
                f"{what} has a `binary_data_size` of {size}, and {self.left} bytes of the body are left"
            )
        start, self._at = self._at, self._at + size
        return self._whole[start : self._at]


def _raw_request(data: memoryview, signature: Signature) -> InferRequest:
    """A body without JSON: the data of the only input, whose shape follows from its size.

    One of BYTES is its only element, without a length before it. As the extension has it, every output is
    then wanted as binary data; but who sends a file may read the answer as JSON, as from ``curl``.
    """
    if len(signature.inputs) != 1:
        raise BadRequestError(
            "a body without JSON needs a model with one input, "
            f"and this one takes {_list_of(signature.inputs)}"
        )
    (spec,) = signature.inputs.values()
    shape = _shape_of_raw(spec, len(data))
    file = spec.name in signature.files
    if spec.datatype == "BYTES":
        array = array_of_element(spec.name, data, file=file)
    else:
        array = array_from_binary(spec.name, spec.datatype, shape, data)
    return InferRequest(
        inputs={spec.name: array},
        outputs=tuple(signature.outputs),
        binary=frozenset() if file else frozenset(signature.outputs),
    )


def _shape_of_raw(spec: TensorSpec, size: int) -> list[int]:
    what = f"input {quoted(spec.name)}"
    chosen = [at for at, length in enumerate(spec.wire_shape) if length < 0]
    if spec.datatype == "BYTES":
        if len(spec.shape) != 1 or not _fits(1, spec.shape[0]):
            raise BadRequestError(
                f"{what} is BYTES, and a body without JSON carries those with shape [1] only"
            )
        return [1]
    if len(chosen) > 1:
        raise BadRequestError(
            f"{what} has shape {_written(spec.shape)}, which the size of a body without JSON does not settle"
        )
    shape = list(spec.wire_shape)
    row = DTYPES[spec.datatype].itemsize * math.prod(length for length in shape if length >= 0)
    if chosen:
        shape[chosen[0]] = size // row if row else 0
    return shape


def _parsed(text: bytes | str | memoryview) -> object:
    if not text:
        raise BadRequestError("the body is empty: an inference request is a JSON object with `inputs`")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {_why_not_json(error)}") from None


def _why_not_json(error: orjson.JSONDecodeError) -> str:
    # The parser stops at the word, or one character into it when it starts with a minus.
    for start in (error.pos, error.pos - 1):
        if start >= 0 and (found := re.compile(_NOT_A_NUMBER).match(error.doc, start)):
            return f"{found['word']} is not a JSON number"
    if "infinity" in error.msg:
        return f"the number at character {error.pos} is too large"
    if "depth limit" in error.msg:
        return "it is nested too deeply"
    return f"{error.msg} at character {error.pos}"


def _object(value: object, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise BadRequestError(f"{what} is {kind(value)}, and has to be a JSON object")


def _optional(owner: dict[str, Any], key: str, wanted: type, what: str) -> Any:
    value = owner.get(key)
    if value is None or type(value) is wanted:
        return value
    raise BadRequestError(f"`{key}` of {what} is {kind(value)}, and has to be {kind(wanted())}")


def _flag(parameters: dict[str, Any], key: str, what: str, default: bool = False) -> bool:
    value = parameters.get(key)
    if value is None or isinstance(value, bool):
        return default if value is None else value
    raise BadRequestError(f"the parameter `{key}` of {what} is {kind(value)}, and has to be a boolean")


def _named(items: Sequence[object], what: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Every tensor's name with its description; a name may come once."""
    seen: set[str] = set()
    for position, item in enumerate(items):
        if not isinstance(item, dict):
            raise BadRequestError(f"{what} {position} is {kind(item)}, and has to be a JSON object")
        name = item.get("name")
        if not isinstance(name, str):
            raise BadRequestError(f"{what} {position} has no `name`")
        if name in seen:
            raise BadRequestError(f"{what} {quoted(name)} is there twice")
        seen.add(name)
        if item.get("parameters") is not None:
            _optional(item, "parameters", dict, f"{what} {quoted(name)}")
        yield name, item


def _list_of(names: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _inputs(request: dict[str, Any], signature: Signature, binary: BinaryData | None) -> dict[str, Array]:
    specs = signature.inputs
    items = request.get("inputs")
    if type(items) is not list:
        what = "has no `inputs`" if items is None else f"has {kind(items)} as `inputs`"
        raise BadRequestError(f"the body {what}, and has to have a list of them: {_list_of(specs)}")
    if not items and specs:
        raise BadRequestError(f"`inputs` is empty, and the model takes {_list_of(specs)}")
    arrays: dict[str, Array] = {}
    for name, item in _named(items, "input"):
        if name not in specs:
            raise BadRequestError(f"the model has no input {quoted(name)}: it takes {_list_of(specs)}")
        arrays[name] = _input(item, specs[name], binary, file=name in signature.files)
    if len(arrays) < len(specs):
        missing = [name for name in specs if name not in arrays]
        raise BadRequestError(f"input {_list_of(missing)} is missing")
    return arrays


def _input(item: dict[str, Any], spec: TensorSpec, binary: BinaryData | None, *, file: bool) -> Array:
    datatype = item.get("datatype")
    if datatype != spec.datatype:
        got = quoted(datatype) if isinstance(datatype, str) else kind(datatype)
        raise BadRequestError(f"{_input_named(spec)} has datatype {got}, and the model takes {spec.datatype}")
    shape = _shape(item.get("shape"), spec)
    data = item.get("data")
    size = (item.get("parameters") or {}).get("binary_data_size")
    if size is not None:
        taken = _binary(size, data, binary, _input_named(spec))
        return array_from_binary(spec.name, spec.datatype, shape, taken, files=file)
    if type(data) is not list:
        raise BadRequestError(f"{_input_named(spec)} has {kind(data)} as `data`, and has to have a list")
    return array_from_json(spec.name, spec.datatype, shape, data)


def _input_named(spec: TensorSpec) -> str:
    """What a refusal calls an input. Written when something is wrong, and not for every tensor."""
    return f"input {quoted(spec.name)}"


def _binary(size: object, data: object, binary: BinaryData | None, what: str) -> memoryview:
    if type(size) is not int or size < 0:
        raise BadRequestError(
            f"the parameter `binary_data_size` of {what} has to be a whole number from 0 up"
        )
    if data is not None:
        raise BadRequestError(f"{what} has both `data` and a `binary_data_size`, and has to have one of them")
    if binary is None:
        raise BadRequestError(
            f"{what} is sent as binary data, and the header `Inference-Header-Content-Length`, which says "
            "where they begin, is missing"
        )
    return binary.take(size, what)


def _shape(shape: object, spec: TensorSpec) -> list[int]:
    if type(shape) is not list:
        raise _no_shape(spec)
    elements = 1
    fits = len(shape) == len(spec.shape)
    for at, size in enumerate(shape):
        if type(size) is not int or size < 0:
            raise _no_shape(spec)
        fits = fits and _fits(size, spec.shape[at])
        if fits:
            # Zeros are left out, so that a shape like [0, 2**62] cannot pass as an empty tensor.
            elements *= size or 1
    if not fits:
        raise BadRequestError(
            f"{_input_named(spec)} has shape {_written(shape)}, and the model takes {_written(spec.shape)}"
        )
    if elements > MAX_ELEMENTS:
        raise BadRequestError(f"{_input_named(spec)} has shape {_written(shape)}, which no request can fill")
    return shape


def _no_shape(spec: TensorSpec) -> BadRequestError:
    return BadRequestError(f"`shape` of {_input_named(spec)} has to be a list of whole numbers from 0 up")


def _fits(size: int, allowed: Dimension) -> bool:
    return size == allowed or not isinstance(allowed, int) or allowed < 0


def _written(shape: Sequence[Dimension]) -> str:
    """A shape as people write it, symbolic sizes by name; cut short, because callers choose its length."""
    sizes = [quoted(size).strip("`") if isinstance(size, str) else str(size)[:20] for size in shape[:16]]
    return f"[{', '.join(sizes)}{', …' if len(shape) > 16 else ''}]"


def _outputs(
    request: dict[str, Any], specs: Mapping[str, TensorSpec], all_binary: bool
) -> tuple[tuple[str, ...], frozenset[str]]:
    """The wanted outputs, and which of them are wanted as binary data."""
    items = _optional(request, "outputs", list, "the body")
    if not items:
        return tuple(specs), frozenset(specs) if all_binary else frozenset()
    wanted: list[str] = []
    binary: set[str] = set()
    for name, item in _named(items, "output"):
        if name not in specs:
            raise BadRequestError(f"the model has no output {quoted(name)}: it gives {_list_of(specs)}")
        wanted.append(name)
        if _flag(item.get("parameters") or {}, "binary_data", f"output {quoted(name)}", all_binary):
            binary.add(name)
    return tuple(wanted), frozenset(binary)
