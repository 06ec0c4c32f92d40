"""``functions.protocol.tensors``: every datatype there and back, and nothing changed in silence."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from functions.protocol.errors import BadRequestError, UnwritableOutputError
from functions.protocol.tensors import (
    BFLOAT16,
    DTYPES,
    Array,
    array_from_json,
    bfloat16_from_floats,
    floats_from_bfloat16,
    json_from_array,
)
from model_store.contract.tensors import DATATYPES

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def arrays(datatype: str) -> st.SearchStrategy[Array]:
    dtype = DTYPES[datatype]
    if datatype == "BF16":
        finite = st.integers(0, 0xFFFF).filter(lambda bits: bits & 0x7F80 != 0x7F80)
        drawn = hnp.arrays(np.uint16, SHAPES, elements=finite, fill=st.nothing())
        return drawn.map(lambda bits: bits.view(BFLOAT16))
    elements: st.SearchStrategy[Any] | None = None
    if datatype == "BYTES":
        elements = st.text()
    elif dtype.kind == "f":
        elements = st.floats(width=dtype.itemsize * 8, allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]
    return hnp.arrays(dtype, SHAPES, elements=elements, fill=st.nothing())


def through_json(array: Array) -> dict[str, Any]:
    written = orjson.dumps(json_from_array("x", array), option=orjson.OPT_SERIALIZE_NUMPY)
    return dict(orjson.loads(written))


def same(one: Array, other: Array) -> bool:
    equal = one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    # -0.0 equals 0.0, so floats are compared bit by bit.
    return equal and (one.dtype.kind == "O" or one.tobytes() == other.tobytes())


def test_every_datatype_of_the_contract_has_a_form_in_numpy() -> None:
    assert set(DTYPES) == DATATYPES


@pytest.mark.parametrize("datatype", sorted(DTYPES))
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_an_array_written_and_read_back_is_the_same_array(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype))
    tensor = through_json(array)
    assert tensor["datatype"] == datatype
    assert same(array_from_json("x", datatype, tensor["shape"], tensor["data"]), array)


@pytest.mark.parametrize("datatype", sorted(DTYPES))
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_nested_lists_mean_what_flat_ones_mean(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype).filter(lambda drawn: drawn.ndim > 0))
    numbers = floats_from_bfloat16(array) if datatype == "BF16" else array
    assert same(array_from_json("x", datatype, array.shape, numbers.tolist()), array)


def test_an_array_that_is_not_contiguous_is_written_in_row_major_order() -> None:
    assert through_json(np.arange(6, dtype=np.int32).reshape(2, 3).T)["data"] == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("datatype", [name for name, dtype in DTYPES.items() if dtype.kind in "iu"])
def test_the_ends_of_an_integer_type_fit_and_what_is_beyond_does_not(datatype: str) -> None:
    limits = np.iinfo(DTYPES[datatype])
    ends = array_from_json("x", datatype, [2], [limits.min, limits.max])
    assert ends.tolist() == [limits.min, limits.max]
    for beyond in (limits.min - 1, limits.max + 1, float(limits.max) * 2):
        with pytest.raises(
            BadRequestError, match=rf"position 1, which {datatype} cannot hold \({limits.min} to"
        ):
            array_from_json("x", datatype, [2], [0, beyond])


@pytest.mark.parametrize("datatype", ["FP16", "FP32"])
def test_a_number_that_overflows_to_infinity_is_refused(datatype: str) -> None:
    largest = float(np.finfo(DTYPES[datatype]).max)
    assert array_from_json("x", datatype, [1], [largest]).tolist() == [largest]
    with pytest.raises(BadRequestError, match=rf"at position 1, which is beyond {datatype}"):
        array_from_json("x", datatype, [2], [0, largest * 2])


BFLOAT16_MAX = 3.3895313892515355e38


def test_a_number_that_overflows_bfloat16_is_refused() -> None:
    ends = array_from_json("x", "BF16", [2], [BFLOAT16_MAX, -BFLOAT16_MAX])
    assert floats_from_bfloat16(ends).tolist() == [BFLOAT16_MAX, -BFLOAT16_MAX]
    for beyond in (3.4e38, 1e39):
        with pytest.raises(BadRequestError, match=r"at position 1, which is beyond (BF16|FP32)"):
            array_from_json("x", "BF16", [2], [0, beyond])


@pytest.mark.parametrize(
    ("number", "bits"),
    [
        (0.0, 0x0000),
        (-0.0, 0x8000),
        (1.0, 0x3F80),
        (1.0 + 2**-8, 0x3F80),  # halfway: to the even one
        (1.0 + 3 * 2**-8, 0x3F82),  # halfway: to the even one
        (1.0 + 2**-8 + 2**-16, 0x3F81),
        (0.1, 0x3DCD),
        (float("inf"), 0x7F80),
        (3.4e38, 0x7F80),
        (1e-45, 0x0000),
    ],
)
def test_floats_are_rounded_to_the_nearest_bfloat16(number: float, bits: int) -> None:
    """As ml_dtypes, TensorFlow and PyTorch round."""
    (rounded,) = bfloat16_from_floats(np.array([number], np.float32)).view(np.uint16).tolist()
    assert rounded == bits


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800001, 0xFFFFFFFF])
def test_a_nan_stays_one(bits: int) -> None:
    array = np.array([bits], np.uint32).view(np.float32)
    assert np.isnan(floats_from_bfloat16(bfloat16_from_floats(array))).all()


def test_bfloat16_that_json_cannot_say_is_refused() -> None:
    array = np.array([0, 0x7F80], np.uint16).view(BFLOAT16)
    with pytest.raises(UnwritableOutputError, match="infinity in output `x` at position 1"):
        json_from_array("x", array)


def test_whole_numbers_may_be_written_with_a_fraction_of_zero() -> None:
    assert array_from_json("x", "INT64", [3], [1.0, -3e2, 7]).tolist() == [1, -300, 7]


def test_a_fraction_is_not_an_integer() -> None:
    with pytest.raises(BadRequestError, match=r"INT32 and takes whole numbers, and its `data` has 1\.5 at"):
        array_from_json("x", "INT32", [2], [1, 1.5])


def test_an_integer_that_was_rounded_on_its_way_here_is_refused() -> None:
    with pytest.raises(BadRequestError, match="too large to be exact"):
        array_from_json("x", "INT64", [1], [float(2**53 + 2)])
    assert array_from_json("x", "INT64", [1], [2**53 + 1]).tolist() == [2**53 + 1]


@pytest.mark.parametrize(
    ("datatype", "value", "words"),
    [
        ("FP32", "1", "takes numbers, and its `data` has a string at position 1"),
        ("FP32", True, "takes numbers, and its `data` has a boolean at position 1"),
        ("FP32", None, "takes numbers, and its `data` has null at position 1"),
        ("FP32", {}, "takes numbers, and its `data` has an object at position 1"),
        ("INT8", False, "takes numbers, and its `data` has a boolean at position 1"),
        ("INT8", "1", "takes numbers, and its `data` has a string at position 1"),
        ("BOOL", 1, "takes booleans, and its `data` has a number at position 1"),
        ("BYTES", 1, "takes strings, and its `data` has a number at position 1"),
    ],
)
def test_a_value_of_another_kind_is_refused(datatype: str, value: object, words: str) -> None:
    first: dict[str, Any] = {"FP32": 1.0, "INT8": 1, "BOOL": True, "BYTES": "a"}
    with pytest.raises(BadRequestError, match=words):
        array_from_json("x", datatype, [2], [first[datatype], value])


@pytest.mark.parametrize("count", [0, 5, 7])
def test_the_count_of_elements_has_to_be_the_shapes(count: int) -> None:
    with pytest.raises(
        BadRequestError, match=rf"shape \[2, 3\], which is 6 elements, and its `data` has {count}"
    ):
        array_from_json("x", "FP32", [2, 3], [0] * count)


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([2, 2], [[1, 2], [3]]),
        ([2, 2], [[1, 2], 3, 4]),
        ([2, 2], [[1, 2, 3, 4]]),
        ([4], [[1, 2, 3, 4]]),
        ([2], [[1], [2]]),
        ([2, 2], [[[1, 2], [3, 4]]]),
        ([2, 1, 2], [[1, 2], [3, 4]]),
        ([1], [[[[[]]]]]),
    ],
)
def test_nested_lists_have_to_nest_as_the_shape_says(shape: list[int], data: list[Any]) -> None:
    with pytest.raises(BadRequestError, match="do not nest as its shape"):
        array_from_json("x", "INT32", shape, data)


def test_a_list_among_numbers_is_refused() -> None:
    with pytest.raises(BadRequestError, match="has a list at position 1"):
        array_from_json("x", "INT32", [2], [1, [2]])


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_what_json_cannot_carry_is_never_written(datatype: str, value: float, word: str) -> None:
    array = np.array([[0, 1], [value, 0]], DTYPES[datatype])
    with pytest.raises(UnwritableOutputError, match=f"answered {word} in output `y` at position 2"):
        json_from_array("y", array)
