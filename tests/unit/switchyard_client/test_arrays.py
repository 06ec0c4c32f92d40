"""Arrays and tensors: nothing is cast on the way out, nothing is guessed on the way in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from switchyard_client.arrays import (
    DTYPES,
    array_from_bytes,
    array_from_json,
    datatype_of,
    files,
    json_values,
    raw_bytes,
)
from switchyard_client.errors import InputError, UnreadableAnswerError


def test_files_are_read_and_bytes_are_files_already(tmp_path: Path) -> None:
    cat = b"\xff\xd8 a cat\0\0"
    (tmp_path / "cat.jpg").write_bytes(cat)
    array = files(tmp_path / "cat.jpg", str(tmp_path / "cat.jpg"), b"\x89PNG")
    assert (array.tolist(), datatype_of("image", array)) == ([cat, cat, b"\x89PNG"], "BYTES")
    assert bytes(raw_bytes("image", "BYTES", array[:1])) == len(cat).to_bytes(4, "little") + cat


WIDTHS: dict[str, Literal[16, 32, 64]] = {"FP16": 16, "FP32": 32, "FP64": 64}
NUMERIC = [name for name in DTYPES if name != "BYTES"]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def arrays(datatype: str, *, finite: bool) -> st.SearchStrategy[Any]:
    dtype = DTYPES[datatype]
    if dtype.kind != "f":
        return hnp.arrays(dtype, SHAPES)
    floats = st.floats(width=WIDTHS[datatype], allow_nan=not finite, allow_infinity=not finite)
    return hnp.arrays(dtype, SHAPES, elements=floats)


@pytest.mark.parametrize("datatype", NUMERIC)
@given(data=st.data())
def test_binary_there_and_back_is_the_identity(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype, finite=False))
    assert datatype_of("x", array) == datatype
    back = array_from_bytes("x", datatype, array.shape, memoryview(raw_bytes("x", datatype, array)))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable


@pytest.mark.parametrize("datatype", NUMERIC)
@given(data=st.data())
def test_json_there_and_back_is_the_identity(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype, finite=True))
    back = array_from_json("x", datatype, array.shape, json_values("x", datatype, array))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.array_equal(back, array)


@given(data=st.data(), shape=SHAPES)
def test_strings_and_bytes_come_back_as_bytes(data: st.DataObject, shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape))
    texts = data.draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=count, max_size=count)
    )
    array = np.array([*texts, None], dtype=object)[:-1].reshape(shape)
    expected = [text.encode() for text in texts]
    binary = array_from_bytes("x", "BYTES", shape, memoryview(raw_bytes("x", "BYTES", array)))
    said = array_from_json("x", "BYTES", shape, json_values("x", "BYTES", array))
    assert binary.reshape(-1).tolist() == said.reshape(-1).tolist() == expected
    assert binary.shape == said.shape == shape


@pytest.mark.parametrize("array", [np.array(["a", "é"]), np.array([b"a", "é".encode()])])
def test_numpy_s_own_string_types_are_bytes_too(array: np.ndarray[Any, Any]) -> None:
    assert datatype_of("x", array) == "BYTES"
    assert raw_bytes("x", "BYTES", array) == b"\x01\0\0\0a\x02\0\0\0\xc3\xa9"


def test_an_array_of_another_byte_order_or_layout_is_sent_as_the_same_values() -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    assert datatype_of("x", array) == "FP32"
    assert bytes(raw_bytes("x", "FP32", array)) == array.astype("<f4").tobytes()


def test_an_array_that_lies_right_is_not_copied() -> None:
    array = np.zeros(8, np.float32)
    data = raw_bytes("x", "FP32", array)
    array[0] = 1
    assert bytes(data[:4]) == np.float32(1).tobytes()


def test_bfloat16_comes_back_as_the_float32_it_is_the_upper_half_of() -> None:
    bits = np.array([0x3F80, 0xC000], "<u2")
    back = array_from_bytes("x", "BF16", (2,), memoryview(bits.tobytes()))
    assert (back.dtype.name, back.tolist()) == ("float32", [1.0, -2.0])
    assert array_from_json("x", "BF16", (2,), [1.0, -2.0]).tolist() == [1.0, -2.0]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([1.0], "is list, not a numpy array"),
        (np.zeros(1, np.complex64), "has dtype complex64"),
        (np.zeros(1, "datetime64[s]"), "has dtype datetime64"),
    ],
)
def test_what_the_protocol_has_no_word_for_is_refused_with_a_way_out(value: object, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        datatype_of("x", value)
    assert caught.value.hint


def test_json_refuses_what_it_cannot_say() -> None:
    with pytest.raises(InputError, match="NaN or infinity"):
        json_values("x", "FP32", np.array([np.nan], np.float32))
    with pytest.raises(InputError, match="not UTF-8"):
        json_values("x", "BYTES", np.array([b"\xff"], object))


def test_an_element_of_another_kind_is_named_by_its_position() -> None:
    with pytest.raises(InputError, match="int at position 1"):
        raw_bytes("x", "BYTES", np.array(["a", 1], object))
    with pytest.raises(InputError, match="UTF-8 cannot write"):
        raw_bytes("x", "BYTES", np.array(["\ud800"], object))


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("FP32", [2], b"\0\0\0\0"),
        ("BYTES", [1], b"\x05\0\0\0ab"),
        ("BYTES", [2], b"\0\0\0\0"),
        ("BYTES", [1], b"\0\0"),
        ("WHAT", [1], b"\0"),
        ("BF16", [1], b"\0"),
    ],
)
def test_binary_data_that_do_not_fit_are_refused(datatype: str, shape: list[int], data: bytes) -> None:
    with pytest.raises(UnreadableAnswerError, match="output `x`"):
        array_from_bytes("x", datatype, shape, memoryview(data))


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("FP32", [2], [1.0]),
        ("FP32", [1], None),
        ("INT8", [1], [300]),
        ("BYTES", [1], [7]),
        ("WHAT", [1], [7]),
        ("BYTES", [2], ["a"]),
    ],
)
def test_json_data_that_do_not_fit_are_refused(datatype: str, shape: list[int], data: object) -> None:
    with pytest.raises(UnreadableAnswerError, match="output `x`"):
        array_from_json("x", datatype, shape, data)
