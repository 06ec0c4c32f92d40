"""``functions.protocol.binary``: every datatype there and back, byte for byte what the extension says."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from functions.protocol.binary import array_from_binary, array_of_element, binary_from_array
from functions.protocol.errors import BadRequestError
from functions.protocol.tensors import BFLOAT16, DTYPES, Array

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def arrays(datatype: str) -> st.SearchStrategy[Array]:
    # NaN and infinities too: this form has them. Lone surrogates are no text in any encoding.
    elements = st.text(st.characters(exclude_categories=["Cs"])) if datatype == "BYTES" else None
    return hnp.arrays(DTYPES[datatype], SHAPES, elements=elements, fill=st.nothing())


def read(datatype: str, shape: list[int], data: bytes) -> Array:
    return array_from_binary("x", datatype, shape, memoryview(data))


def refusal(datatype: str, shape: list[int], data: bytes) -> str:
    with pytest.raises(BadRequestError) as refused:
        read(datatype, shape, data)
    return str(refused.value)


@pytest.mark.parametrize("datatype", sorted(DTYPES))
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_an_array_written_and_read_back_is_the_same_array(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype))
    back = read(datatype, list(array.shape), bytes(binary_from_array(array)))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tolist() == array.tolist() if datatype == "BYTES" else back.tobytes() == array.tobytes()


@pytest.mark.parametrize("datatype", sorted(set(DTYPES) - {"BYTES", "BOOL", "BF16"}))
def test_numbers_are_little_endian_in_their_native_size(datatype: str) -> None:
    array = np.array([1, 0, 2], DTYPES[datatype])
    assert bytes(binary_from_array(array)) == array.astype(array.dtype.newbyteorder("<")).tobytes()
    assert read(datatype, [3], array.tobytes()).tolist() == [1, 0, 2]


def test_bfloat16_is_its_two_bytes_and_lies_where_the_processor_can_read_it() -> None:
    bits = np.array([0x3F80, 0x4049], "<u2")
    array = read("BF16", [2], bits.tobytes())
    assert array.dtype == BFLOAT16
    assert bytes(binary_from_array(array)) == bits.tobytes()
    unaligned = array_from_binary("x", "BF16", [2], memoryview(b"?" + bits.tobytes())[1:])
    assert unaligned.view(np.uint16).flags.aligned


def test_an_array_of_another_byte_order_is_turned() -> None:
    assert bytes(binary_from_array(np.array([1], ">i4"))) == b"\x01\x00\x00\x00"


def test_a_boolean_is_one_byte() -> None:
    assert bytes(binary_from_array(np.array([True, False]))) == b"\x01\x00"
    assert read("BOOL", [2], b"\x01\x00").tolist() == [True, False]


def test_a_text_is_its_length_and_its_bytes() -> None:
    data = b"\x03\x00\x00\x00\xe2\x82\xac\x00\x00\x00\x00"
    assert bytes(binary_from_array(np.array(["€", ""], object))) == data
    assert read("BYTES", [2, 1], data).tolist() == [["€"], [""]]


def test_a_file_is_its_length_and_any_bytes() -> None:
    data = memoryview(b"\x02\x00\x00\x00\xff\xd8\x00\x00\x00\x00")
    assert array_from_binary("x", "BYTES", [2], data, files=True).tolist() == [b"\xff\xd8", b""]
    with pytest.raises(BadRequestError, match="not UTF-8"):
        array_from_binary("x", "BYTES", [2], data)
    with pytest.raises(BadRequestError, match="end inside the element at position 0"):
        array_from_binary("x", "BYTES", [1], data[:5], files=True)


def test_an_element_alone_needs_no_length() -> None:
    assert array_of_element("x", memoryview("€".encode()), file=False).tolist() == ["€"]
    assert array_of_element("x", memoryview(b"\xff\xd8"), file=True).tolist() == [b"\xff\xd8"]
    with pytest.raises(BadRequestError, match="not UTF-8"):
        array_of_element("x", memoryview(b"\xff\xd8"), file=False)


def test_an_array_that_is_not_contiguous_is_written_in_row_major_order() -> None:
    transposed = np.arange(6, dtype=np.uint8).reshape(2, 3).T
    assert bytes(binary_from_array(transposed)) == bytes([0, 3, 1, 4, 2, 5])


def test_a_contiguous_array_is_written_without_a_copy() -> None:
    array = np.arange(4, dtype=np.float32)
    view = np.frombuffer(binary_from_array(array), np.float32)
    assert np.shares_memory(view, array)


def test_a_number_that_lies_in_place_is_read_without_a_copy() -> None:
    data = np.arange(4, dtype=np.float32).tobytes()
    assert np.shares_memory(read("FP32", [2, 2], data), np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("datatype", sorted(set(DTYPES) - {"BYTES"}))
@pytest.mark.parametrize("off", [-1, 1])
def test_the_number_of_bytes_has_to_be_the_shapes(datatype: str, off: int) -> None:
    size = 6 * DTYPES[datatype].itemsize
    said = refusal(datatype, [2, 3], b"\0" * (size + off))
    assert said == (
        f"input `x` is {datatype} with shape [2, 3], which is {size} bytes, "
        f"and its binary data has {size + off}"
    )


@pytest.mark.parametrize(
    ("shape", "data", "words"),
    [
        ([1], b"", "input `x` has shape [1], which is 1 elements, and its binary data have another number"),
        ([2], struct.pack("<I", 0), "input `x` has shape [2], which is 2 elements, and its binary data have"),
        (
            [1],
            struct.pack("<II", 0, 0),
            "input `x` has shape [1], which is 1 elements, and its binary data have",
        ),
        ([0], b"\0\0\0\0", "input `x` has shape [0], which is 0 elements, and its binary data have another"),
        (
            [1],
            struct.pack("<I", 9) + b"abc",
            "the binary data of input `x` end inside the element at position 0",
        ),
        (
            [1],
            struct.pack("<I", 2**32 - 1),
            "the binary data of input `x` end inside the element at position 0",
        ),
        (
            [2],
            struct.pack("<I", 4) + b"abcd\0",
            "the binary data of input `x` end inside the element at position 1",
        ),
        ([1], struct.pack("<I", 2) + b"\xff\xfe", "input `x` has bytes at position 0 that are not UTF-8"),
    ],
)
def test_texts_that_do_not_add_up_are_refused(shape: list[int], data: bytes, words: str) -> None:
    assert refusal("BYTES", shape, data).startswith(words)


def test_an_absurd_number_of_texts_costs_nothing() -> None:
    assert refusal("BYTES", [2**31], b"\0" * 64).startswith("input `x` has shape [2147483648]")
