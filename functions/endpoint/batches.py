"""Several requests through the model at once, and back apart. No threads, no queue, no event loop.

The promise: every request gets exactly its own rows, and a request that the model refuses fails alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from functions.inference.predictor import BadInputError, Engine, Stop
from functions.protocol.requests import Signature
from functions.protocol.tensors import BFLOAT16, Array, floats_from_bfloat16

Outputs = dict[str, Array]
Result = Outputs | Exception

Key = tuple[object, ...]
"""Requests with equal keys can share a run."""


class Work(NamedTuple):
    """What one request asks of the model."""

    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]


class NotSeparableError(Exception):
    """The outputs do not have the inputs' rows, so nobody can say whose is whose."""


def is_batched(signature: Signature) -> bool:
    """Say whether rows may be joined: every tensor's first size is the caller's choice, and the same one.

    The same *name*: a model whose inputs have ``n`` and ``m`` rows does something between rows.
    """
    tensors = [*signature.inputs.values(), *signature.outputs.values()]
    firsts = {spec.shape[0] if spec.shape else 0 for spec in tensors}
    return bool(signature.inputs) and len(firsts) == 1 and isinstance(firsts.pop(), str)


def key_of(work: Work) -> Key | None:
    """What another request has to agree in to share a run; ``None`` for a request that runs alone."""
    sizes = {array.shape[0] if array.ndim else 0 for array in work.inputs.values()}
    if len(sizes) != 1 or sizes == {0}:
        return None
    return (work.outputs, *sorted((name, array.shape[1:]) for name, array in work.inputs.items()))


def rows_of(work: Work) -> int:
    """How many rows a request has, for its key or for the record."""
    for array in work.inputs.values():
        return int(array.shape[0]) if array.ndim else 1
    return 0


def run(engine: Engine, works: Sequence[Work], stop: Stop | None = None) -> list[Result]:
    """One result per request, in order. Raises nothing: what goes wrong is the result.

    When a batch fails it is run again in halves until the request that spoils it stands alone. A run that
    was told to stop is not repeated.
    """
    if len(works) == 1:
        try:
            return [engine(works[0].inputs, works[0].outputs, options=stop)]
        except Exception as error:  # noqa: BLE001 - it is the result
            return [error]
    try:
        return list(_together(engine, works, stop))
    except Exception as error:  # noqa: BLE001 - whose fault it is comes out one by one
        if stop is not None and stop.terminate:
            return [error] * len(works)
    middle = len(works) // 2
    return [*run(engine, works[:middle], stop), *run(engine, works[middle:], stop)]


def _together(engine: Engine, works: Sequence[Work], stop: Stop | None) -> Sequence[Outputs]:
    first = works[0]
    joined = {name: np.concatenate([work.inputs[name] for work in works]) for name in first.inputs}
    outputs = engine(joined, first.outputs, options=stop)
    counts = [rows_of(work) for work in works]
    total = sum(counts)
    for name, array in outputs.items():
        if array.ndim == 0 or array.shape[0] != total:
            raise NotSeparableError(f"output `{name}` has shape {array.shape} for {total} rows")
    parts: list[Outputs] = []
    start = 0
    for count in counts:
        parts.append({name: array[start : start + count] for name, array in outputs.items()})
        start += count
    return parts


def keeps_rows_apart(engine: Engine, work: Work, *, rtol: float, atol: float) -> bool:
    """Try whether rows answer the same in company as alone: ``work`` beside rows of zeros.

    A softmax or a mean over the wrong axis looks like a batch in every shape; its numbers tell. Where the
    model refuses zeros, ``work`` keeps itself company, which shows less.
    """
    if key_of(work) is None:
        return False
    alone = run(engine, [work])[0]
    zeros = Work({name: _zeros_like(array) for name, array in work.inputs.items()}, work.outputs)
    for company in (zeros, work):
        try:
            ours, _ = _together(engine, [work, company], None)
        except NotSeparableError:
            return False
        except BadInputError:
            continue
        return isinstance(alone, dict) and all(
            _alike(ours[name], alone[name], rtol=rtol, atol=atol) for name in work.outputs
        )
    return False


def repeated(work: Work, rows: int) -> Work:
    """The same request with this many rows."""
    return Work(
        {name: np.resize(array, (rows, *array.shape[1:])) for name, array in work.inputs.items()},
        work.outputs,
    )


def is_bounded(signature: Signature) -> bool:
    """Say whether a request's work follows from its rows alone: the caller chooses no other size."""
    return all(
        isinstance(size, int) and size >= 0 for spec in signature.inputs.values() for size in spec.shape[1:]
    )


def _zeros_like(array: Array) -> Array:
    if array.dtype.kind != "O":
        return np.zeros_like(array)
    empty = np.empty(array.shape, object)
    empty[...] = ""
    return empty


def _alike(found: Array, expected: Array, *, rtol: float, atol: float) -> bool:
    if found.dtype == BFLOAT16:
        found, expected = floats_from_bfloat16(found), floats_from_bfloat16(expected)
    if found.dtype.kind == "f":
        return np.allclose(found, expected, rtol=rtol, atol=atol, equal_nan=True)
    return np.array_equal(found, expected)
