"""Read an inference request: the body's bytes become named arrays, or a sentence that says why not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from functions.protocol.errors import BadRequestError
from functions.protocol.tensors import MAX_ELEMENTS, Array, array_from_json, kind, quoted
from model_store.contract.tensors import Dimension, TensorSpec

_NOT_A_NUMBER = re.compile(r"[+-]?(?P<word>nan|inf(?:inity)?)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives, by name, in the model's own order."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    @classmethod
    def of(cls, inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec]) -> Signature:
        return cls({spec.name: spec for spec in inputs}, {spec.name: spec for spec in outputs})


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request that the model can be asked: every input there, every tensor as the model takes it.

    ``outputs`` are the wanted ones in the order they were asked for, all of them if none were.
    """

    inputs: dict[str, Array]
    outputs: tuple[str, ...]
    id: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


def decode_request(body: bytes, signature: Signature) -> InferRequest:
    """Read a JSON inference request for a model with this signature.

    Raises ``BadRequestError`` and nothing else, whatever the bytes. Unknown members are left alone,
    as the protocol's extensions need; an optional member that is ``null`` counts as absent.
    """
    request = _object(_parsed(body), "the body")
    id_ = _optional(request, "id", str, "the body")
    return InferRequest(
        inputs=_inputs(request, signature.inputs),
        outputs=_outputs(request, signature.outputs),
        id=id_,
        parameters=_optional(request, "parameters", dict, "the body") or {},
    )


def _parsed(body: bytes) -> object:
    if not body:
        raise BadRequestError("the body is empty: an inference request is a JSON object with `inputs`")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {_why_not_json(error)}") from None


def _why_not_json(error: orjson.JSONDecodeError) -> str:
    # The parser stops at the word, or one character into it when it starts with a minus.
    for start in (error.pos, error.pos - 1):
        if start >= 0 and (found := _NOT_A_NUMBER.match(error.doc, start)):
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


def _named(items: Sequence[object], what: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Every tensor's name with its description; a name may come once."""
    seen: set[str] = set()
    for position, item in enumerate(items):
        description = _object(item, f"{what} {position}")
        name = description.get("name")
        if not isinstance(name, str):
            raise BadRequestError(f"{what} {position} has no `name`")
        if name in seen:
            raise BadRequestError(f"{what} {quoted(name)} is there twice")
        seen.add(name)
        _optional(description, "parameters", dict, f"{what} {quoted(name)}")
        yield name, description


def _list_of(names: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _inputs(request: dict[str, Any], specs: Mapping[str, TensorSpec]) -> dict[str, Array]:
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
        arrays[name] = _input(item, specs[name])
    if missing := [name for name in specs if name not in arrays]:
        raise BadRequestError(f"input {_list_of(missing)} is missing")
    return arrays


def _input(item: dict[str, Any], spec: TensorSpec) -> Array:
    what = f"input {quoted(spec.name)}"
    datatype = item.get("datatype")
    if datatype != spec.datatype:
        got = quoted(datatype) if isinstance(datatype, str) else kind(datatype)
        raise BadRequestError(f"{what} has datatype {got}, and the model takes {spec.datatype}")
    shape = _shape(item.get("shape"), spec, what)
    data = item.get("data")
    if type(data) is not list:
        if data is None and "binary_data_size" in (item.get("parameters") or {}):
            raise BadRequestError(
                f"{what} is sent as binary data, which this version does not read: send `data` as JSON"
            )
        raise BadRequestError(f"{what} has {kind(data)} as `data`, and has to have a list")
    return array_from_json(spec.name, spec.datatype, shape, data)


def _shape(shape: object, spec: TensorSpec, what: str) -> list[int]:
    if type(shape) is not list or any(type(size) is not int or size < 0 for size in shape):
        raise BadRequestError(f"`shape` of {what} has to be a list of whole numbers from 0 up")
    if len(shape) != len(spec.shape) or not all(map(_fits, shape, spec.shape)):
        raise BadRequestError(
            f"{what} has shape {_written(shape)}, and the model takes {_written(spec.shape)}"
        )
    # Zeros are left out, so that a shape like [0, 2**62] cannot pass as an empty tensor.
    if math.prod(size for size in shape if size) > MAX_ELEMENTS:
        raise BadRequestError(f"{what} has shape {_written(shape)}, which no request can fill")
    return shape


def _fits(size: int, allowed: Dimension) -> bool:
    return not isinstance(allowed, int) or allowed < 0 or size == allowed


def _written(shape: Sequence[Dimension]) -> str:
    """A shape as people write it, symbolic sizes by name; cut short, because callers choose its length."""
    sizes = [quoted(size).strip("`") if isinstance(size, str) else str(size)[:20] for size in shape[:16]]
    return f"[{', '.join(sizes)}{', …' if len(shape) > 16 else ''}]"


def _outputs(request: dict[str, Any], specs: Mapping[str, TensorSpec]) -> tuple[str, ...]:
    items = _optional(request, "outputs", list, "the body")
    if not items:
        return tuple(specs)
    wanted = tuple(name for name, _ in _named(items, "output"))
    for name in wanted:
        if name not in specs:
            raise BadRequestError(f"the model has no output {quoted(name)}: it gives {_list_of(specs)}")
    return wanted
