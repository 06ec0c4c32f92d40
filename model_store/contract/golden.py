"""Compare what a model answers with what it answered at publish. Standard library only.

The release controller asks this before an alias may point at a version: an empty list means that the
version reproduces its golden sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from model_store.contract.manifest import Golden
from model_store.contract.tensors import FLOATS, TensorData


def differences(golden: Golden, outputs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in sentences how ``outputs`` (tensors of a V2 JSON answer) differ from the golden outputs.

    Numbers of a floating datatype may differ by ``atol + rtol * |expected|``; names, datatypes, shapes
    and everything else must be equal. The order of the tensors does not matter. An answer of any form
    is compared, never trusted: what cannot be read is a difference.
    """
    found: dict[str, Mapping[str, Any]] = {}
    sentences: list[str] = []
    for output in outputs:
        name = str(output.get("name"))
        if name in found:
            sentences.append(f"output `{name}` is there twice")
        found[name] = output
    for expected in golden.outputs:
        if expected.name not in found:
            sentences.append(f"output `{expected.name}` is missing")
        else:
            sentences.extend(_tensor_differences(expected, found[expected.name], golden))
    known = {expected.name for expected in golden.outputs}
    sentences.extend(f"output `{name}` is not one the version has" for name in found if name not in known)
    return sentences


def _tensor_differences(expected: TensorData, got: Mapping[str, Any], golden: Golden) -> Iterator[str]:
    where = f"output `{expected.name}`"
    if got.get("datatype") != expected.datatype:
        yield f"{where} has datatype `{got.get('datatype')}`, expected `{expected.datatype}`"
        return
    shape = got.get("shape")
    if not isinstance(shape, list | tuple) or list(shape) != list(expected.shape):
        yield f"{where} has shape {shape}, expected {list(expected.shape)}"
        return
    values = list(_flat(got.get("data", ())))
    if len(values) != len(expected.data):
        yield f"{where} has {len(values)} values, expected {len(expected.data)}"
        return
    yield from _value_differences(where, expected, values, golden)


def _value_differences(
    where: str, expected: TensorData, values: Sequence[Any], golden: Golden
) -> Iterator[str]:
    floats = expected.datatype in FLOATS
    wrong = [
        at
        for at, (want, have) in enumerate(zip(expected.data, values, strict=True))
        if not (_near(want, have, golden) if floats else _same(want, have))
    ]
    if wrong:
        at = wrong[0]
        within = f" within {golden.atol:g} + {golden.rtol:g} of it" if floats else ""
        yield (
            f"{where} differs in {len(wrong)} of {len(values)} values; the first is value {at}: "
            f"{values[at]!r}, expected {expected.data[at]!r}{within}"
        )


def _near(want: Any, have: Any, golden: Golden) -> bool:
    if isinstance(have, bool) or not isinstance(have, int | float):
        return False
    # NaN is near nothing, and comparing with it says so; an infinity is equal to itself only.
    return want == have or (math.isfinite(have) and abs(have - want) <= golden.atol + golden.rtol * abs(want))


def _same(want: Any, have: Any) -> bool:
    # In Python `True == 1`, on the wire they are two things.
    return isinstance(have, bool) == isinstance(want, bool) and bool(want == have)


def _flat(data: Any) -> Iterator[Any]:
    if isinstance(data, list | tuple):
        for item in data:
            yield from _flat(item)
    else:
        yield data
