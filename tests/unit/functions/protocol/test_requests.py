"""``functions.protocol.requests``: what a request may say, and how it is told that it may not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.protocol.errors import BadRequestError
from functions.protocol.requests import Signature, decode_request
from model_store.contract.tensors import TensorSpec

SIGNATURE = Signature.of(
    [TensorSpec("x", "FP32", ("batch", 2)), TensorSpec("flag", "BOOL", (-1,))],
    [TensorSpec("scores", "FP32", ("batch", 3)), TensorSpec("label", "INT64", ("batch",))],
)

X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2.5]}
FLAG = {"name": "flag", "datatype": "BOOL", "shape": [1], "data": [True]}


def body(*inputs: object, **rest: object) -> bytes:
    return json.dumps({"inputs": list(inputs), **rest}).encode()


def refusal(content: bytes) -> str:
    with pytest.raises(BadRequestError) as refused:
        decode_request(content, SIGNATURE)
    return str(refused.value)


def test_a_request_becomes_named_arrays() -> None:
    request = decode_request(body(FLAG, X, id="42", parameters={"a": 1}), SIGNATURE)
    assert request.inputs["x"].tolist() == [[1.0, 2.5]]
    assert request.inputs["flag"].tolist() == [True]
    assert (request.id, request.parameters) == ("42", {"a": 1})


def test_all_outputs_are_wanted_when_none_is_named() -> None:
    for content in (body(X, FLAG), body(X, FLAG, outputs=[]), body(X, FLAG, outputs=None)):
        assert decode_request(content, SIGNATURE).outputs == ("scores", "label")


def test_outputs_come_in_the_order_they_are_asked_for() -> None:
    wanted = [{"name": "label", "parameters": {"binary_data": False}}, {"name": "scores"}]
    assert decode_request(body(X, FLAG, outputs=wanted), SIGNATURE).outputs == ("label", "scores")


def test_optional_members_may_be_null() -> None:
    request = decode_request(body(X, FLAG, id=None, parameters=None), SIGNATURE)
    assert (request.id, request.parameters) == (None, {})


@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_size_that_the_caller_chooses_may_be_any(size: int) -> None:
    x = X | {"shape": [size, 2], "data": [0.5] * size * 2}
    flag = FLAG | {"shape": [size], "data": [True] * size}
    request = decode_request(body(x, flag), SIGNATURE)
    assert request.inputs["x"].shape == (size, 2)
    assert request.inputs["flag"].shape == (size,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the body is empty"),
        (b"{", "the body is not JSON: "),
        (b"\xff\xfe", "the body is not JSON: "),
        (b'{"inputs": [NaN]}', "the body is not JSON: NaN is not a JSON number"),
        (b'{"caf\xc3\xa9": NaN}', "the body is not JSON: NaN is not a JSON number"),
        (b"[Infinity]", "the body is not JSON: Infinity is not a JSON number"),
        (b"[1, -Infinity]", "the body is not JSON: Infinity is not a JSON number"),
        (b"[nan]", "the body is not JSON: nan is not a JSON number"),
        (b"[1e400]", "the body is not JSON: the number at character 1 is too large"),
        (b"[" * 100_000, "the body is not JSON: it is nested too deeply"),
        (b'{"inputs":' * 100_000, "the body is not JSON: it is nested too deeply"),
        (b"[]", "the body is a list, and has to be a JSON object"),
        (b'"x"', "the body is a string, and has to be a JSON object"),
        (b"null", "the body is null, and has to be a JSON object"),
        (b"{}", "the body has no `inputs`, and has to have a list of them: `x`, `flag`"),
        (b'{"inputs": {}}', "the body has an object as `inputs`, and has to have a list of them"),
        (b'{"inputs": []}', "`inputs` is empty, and the model takes `x`, `flag`"),
        (b'{"inputs": [1]}', "input 0 is a number, and has to be a JSON object"),
        (b'{"inputs": [{}]}', "input 0 has no `name`"),
    ],
)
def test_a_body_that_is_no_request_is_refused(content: bytes, words: str) -> None:
    assert refusal(content).startswith(words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "z"}, "the model has no input `z`: it takes `x`, `flag`"),
        ({"name": "flag"}, "input `flag` has datatype `FP32`, and the model takes BOOL"),
        ({"datatype": "FP64"}, "input `x` has datatype `FP64`, and the model takes FP32"),
        ({"datatype": 5}, "input `x` has datatype a number, and the model takes FP32"),
        ({"datatype": None}, "input `x` has datatype null, and the model takes FP32"),
        ({"shape": [1, 3]}, "input `x` has shape [1, 3], and the model takes [batch, 2]"),
        ({"shape": [2]}, "input `x` has shape [2], and the model takes [batch, 2]"),
        ({"shape": [1, 1, 2]}, "input `x` has shape [1, 1, 2], and the model takes [batch, 2]"),
        ({"shape": []}, "input `x` has shape [], and the model takes [batch, 2]"),
        ({"shape": [-1, 2]}, "`shape` of input `x` has to be a list of whole numbers from 0 up"),
        ({"shape": [1.0, 2]}, "`shape` of input `x` has to be a list of whole numbers from 0 up"),
        ({"shape": [True, 2]}, "`shape` of input `x` has to be a list of whole numbers from 0 up"),
        ({"shape": None}, "`shape` of input `x` has to be a list of whole numbers from 0 up"),
        ({"shape": "1,2"}, "`shape` of input `x` has to be a list of whole numbers from 0 up"),
        ({"shape": [2**63, 2]}, f"input `x` has shape [{2**63}, 2], which no request can fill"),
        ({"shape": [2, 2]}, "input `x` has shape [2, 2], which is 4 elements, and its `data` has 2"),
        ({"data": None}, "input `x` has null as `data`, and has to have a list"),
        ({"data": "AAAA"}, "input `x` has a string as `data`, and has to have a list"),
        ({"parameters": []}, "`parameters` of input `x` is a list, and has to be an object"),
        (
            {"data": None, "parameters": {"binary_data_size": 8}},
            "input `x` is sent as binary data, and the header `Inference-Header-Content-Length`",
        ),
        (
            {"parameters": {"binary_data_size": 8}},
            "input `x` has both `data` and a `binary_data_size`",
        ),
        (
            {"data": None, "parameters": {"binary_data_size": -8}},
            "the parameter `binary_data_size` of input `x` has to be a whole number from 0 up",
        ),
        (
            {"data": None, "parameters": {"binary_data_size": True}},
            "the parameter `binary_data_size` of input `x` has to be a whole number from 0 up",
        ),
    ],
)
def test_a_wrong_input_is_told_what_was_expected(change: dict[str, Any], words: str) -> None:
    assert refusal(body(X | change, FLAG)).startswith(words)


def test_an_empty_tensor_of_absurd_size_is_refused() -> None:
    signature = Signature.of([TensorSpec("x", "FP32", ("n", "m", "k"))], [])
    x = {"name": "x", "datatype": "FP32", "shape": [0, 2**62, 2**62], "data": []}
    with pytest.raises(BadRequestError, match="which no request can fill"):
        decode_request(body(x), signature)


def test_a_missing_input_is_named() -> None:
    assert refusal(body(FLAG)) == "input `x` is missing"


def test_an_input_given_twice_is_refused() -> None:
    assert refusal(body(X, FLAG, X)) == "input `x` is there twice"


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ({"outputs": [{"name": "prob"}]}, "the model has no output `prob`: it gives `scores`, `label`"),
        ({"outputs": [{"name": "label"}, {"name": "label"}]}, "output `label` is there twice"),
        ({"outputs": ["label"]}, "output 0 is a string, and has to be a JSON object"),
        ({"outputs": [{}]}, "output 0 has no `name`"),
        ({"outputs": {}}, "`outputs` of the body is an object, and has to be a list"),
        ({"id": 42}, "`id` of the body is a number, and has to be a string"),
        ({"parameters": []}, "`parameters` of the body is a list, and has to be an object"),
        (
            {"parameters": {"binary_data_output": 1}},
            "the parameter `binary_data_output` of the body is a number, and has to be a boolean",
        ),
        (
            {"outputs": [{"name": "label", "parameters": {"binary_data": "yes"}}]},
            "the parameter `binary_data` of output `label` is a string, and has to be a boolean",
        ),
    ],
)
def test_the_rest_of_a_request_is_checked_too(rest: dict[str, Any], words: str) -> None:
    assert refusal(body(X, FLAG, **rest)) == words


def test_a_refusal_repeats_no_novel() -> None:
    assert len(refusal(body({"name": "n" * 100_000}))) < 300
    assert len(refusal(body(X | {"shape": [1] * 100_000}))) < 300


def with_binary(*data: bytes, sizes: list[int] | None = None, **rest: object) -> tuple[bytes, int]:
    sizes = sizes or [len(part) for part in data]
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": sizes[0]}}
    flag = {"name": "flag", "datatype": "BOOL", "shape": [1], "parameters": {"binary_data_size": sizes[1]}}
    text = body(x, flag, **rest)
    return b"".join([text, *data]), len(text)


TWO_FLOATS = np.array([1, 2.5], np.float32).tobytes()


def test_binary_data_belong_to_the_inputs_in_their_order() -> None:
    content, length = with_binary(TWO_FLOATS, b"\x01")
    request = decode_request(content, SIGNATURE, json_length=length)
    assert request.inputs["x"].tolist() == [[1.0, 2.5]]
    assert request.inputs["flag"].tolist() == [True]


def test_one_input_may_be_binary_and_the_next_json() -> None:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    text = body(FLAG, x)
    request = decode_request(text + TWO_FLOATS, SIGNATURE, json_length=len(text))
    assert (request.inputs["x"].tolist(), request.inputs["flag"].tolist()) == ([[1.0, 2.5]], [True])


def test_an_aligned_binary_input_is_a_view_over_the_body() -> None:
    content, length = with_binary(TWO_FLOATS, b"\x01")
    padded = content[:length] + b" " * (-length % 8) + content[length:]
    array = decode_request(padded, SIGNATURE, json_length=length + -length % 8).inputs["x"]
    start = np.frombuffer(padded, np.uint8).ctypes.data
    assert start <= array.ctypes.data < start + len(padded)


def test_an_input_that_lies_askew_is_copied_to_where_it_can_be_read() -> None:
    content, length = with_binary(TWO_FLOATS, b"\x01")
    for padding in range(4):
        padded = content[:length] + b" " * padding + content[length:]
        array = decode_request(padded, SIGNATURE, json_length=length + padding).inputs["x"]
        assert array.flags.aligned
        assert array.tolist() == [[1.0, 2.5]]


@pytest.mark.parametrize(
    ("asked", "outputs", "binary"),
    [
        ({}, ("scores", "label"), set()),
        ({"parameters": {"binary_data_output": True}}, ("scores", "label"), {"scores", "label"}),
        ({"outputs": [{"name": "label", "parameters": {"binary_data": True}}]}, ("label",), {"label"}),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "label", "parameters": {"binary_data": False}}, {"name": "scores"}],
            },
            ("label", "scores"),
            {"scores"},
        ),
    ],
)
def test_the_caller_says_which_outputs_come_back_as_binary_data(
    asked: dict[str, Any], outputs: tuple[str, ...], binary: set[str]
) -> None:
    request = decode_request(body(X, FLAG, **asked), SIGNATURE)
    assert (request.outputs, set(request.binary)) == (outputs, binary)


@pytest.mark.parametrize(
    ("data", "sizes", "shift", "words"),
    [
        ([TWO_FLOATS, b"\x01"], None, 10_000, "the header `Inference-Header-Content-Length` is "),
        (
            [TWO_FLOATS, b"\x01", b"more"],
            None,
            0,
            "the body has 4 bytes of binary data that belong to no input",
        ),
        (
            [TWO_FLOATS],
            [8, 1],
            0,
            "input `flag` has a `binary_data_size` of 1, and 0 bytes of the body are left",
        ),
        ([TWO_FLOATS, b"\x01"], [2**62, 1], 0, f"input `x` has a `binary_data_size` of {2**62}, and 9 bytes"),
        (
            [b"1234567", b"\x01"],
            None,
            0,
            "input `x` is FP32 with shape [1, 2], which is 8 bytes, and its binary",
        ),
        (
            [TWO_FLOATS, b"\x02"],
            None,
            0,
            "input `flag` is BOOL, and its binary data has a byte 2 at position 0",
        ),
    ],
)
def test_binary_data_that_do_not_fit_are_refused(
    data: list[bytes], sizes: list[int] | None, shift: int, words: str
) -> None:
    content, length = with_binary(*data, sizes=sizes)
    with pytest.raises(BadRequestError) as refused:
        decode_request(content, SIGNATURE, json_length=length + shift)
    assert str(refused.value).startswith(words)


ONE_INPUT = Signature.of([TensorSpec("x", "FP32", ("batch", 2))], [TensorSpec("y", "FP32", ("batch",))])


def test_a_body_without_json_is_the_only_input() -> None:
    request = decode_request(TWO_FLOATS * 3, ONE_INPUT, json_length=0)
    assert request.inputs["x"].tolist() == [[1.0, 2.5]] * 3
    assert (request.outputs, set(request.binary)) == (("y",), {"y"})


@pytest.mark.parametrize("shape", [(1,), ("batch",)], ids=["one", "any"])
@pytest.mark.parametrize(
    ("data", "files", "element"),
    [(b"\x05\0\0\0words", False, "\x05\0\0\0words"), (b"\xff\xd8", True, b"\xff\xd8"), (b"", False, "")],
    ids=["text", "file", "nothing"],
)
def test_a_body_without_json_is_the_only_element_of_bytes_and_has_no_length_before_it(
    shape: tuple[int | str, ...], data: bytes, files: bool, element: str | bytes
) -> None:
    """As Triton reads it: its server puts the length there itself."""
    outputs = [TensorSpec("y", "FP32", (1,))]
    named = frozenset({"x"}) if files else frozenset[str]()
    request = decode_request(
        data, Signature.of([TensorSpec("x", "BYTES", shape)], outputs, named), json_length=0
    )
    assert request.inputs["x"].tolist() == [element]
    assert request.binary == (frozenset() if files else {"y"}), "who sends a file reads JSON"


def test_binary_data_of_files_are_any_bytes_and_those_of_texts_are_not() -> None:
    specs = [TensorSpec("file", "BYTES", (1,)), TensorSpec("text", "BYTES", (1,))]
    signature = Signature.of(specs, [], frozenset({"file"}))
    element = b"\x01\0\0\0\xff"

    def with_data(*data: bytes) -> tuple[bytes, int]:
        inputs = [
            {
                "name": spec.name,
                "datatype": "BYTES",
                "shape": [1],
                "parameters": {"binary_data_size": len(each)},
            }
            for spec, each in zip(specs, data, strict=True)
        ]
        head = json.dumps({"inputs": inputs}).encode()
        return head + b"".join(data), len(head)

    content, length = with_data(element, b"\x01\0\0\0a")
    read = decode_request(content, signature, json_length=length)
    assert {name: array.tolist() for name, array in read.inputs.items()} == {"file": [b"\xff"], "text": ["a"]}
    content, length = with_data(element, element)
    with pytest.raises(BadRequestError, match="input `text` has bytes at position 0 that are not UTF-8"):
        decode_request(content, signature, json_length=length)


@pytest.mark.parametrize(
    ("shape", "datatype", "size", "words"),
    [
        ((-1, -1), "FP32", 8, "input `x` has shape [-1, -1], which the size of a body without JSON"),
        (
            (-1, 2),
            "FP32",
            9,
            "input `x` is FP32 with shape [1, 2], which is 8 bytes, and its binary data has 9",
        ),
        (
            (2, 2),
            "FP32",
            8,
            "input `x` is FP32 with shape [2, 2], which is 16 bytes, and its binary data has 8",
        ),
        (
            (-1, 0),
            "FP32",
            8,
            "input `x` is FP32 with shape [0, 0], which is 0 bytes, and its binary data has 8",
        ),
        (
            (-1, 1),
            "BYTES",
            8,
            "input `x` is BYTES, and a body without JSON carries those with shape [1] only",
        ),
    ],
)
def test_a_body_without_json_needs_a_shape_that_follows_from_its_size(
    shape: tuple[int, ...], datatype: str, size: int, words: str
) -> None:
    signature = Signature.of([TensorSpec("x", datatype, shape)], [])
    with pytest.raises(BadRequestError) as refused:
        decode_request(b"\0" * size, signature, json_length=0)
    assert str(refused.value).startswith(words)


def test_a_body_without_json_needs_a_model_with_one_input() -> None:
    with pytest.raises(BadRequestError, match="needs a model with one input, and this one takes `x`, `flag`"):
        decode_request(b"\0" * 8, SIGNATURE, json_length=0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

REQUESTS = st.fixed_dictionaries(
    {
        "inputs": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["x", "flag", "z"])},
                optional={
                    "datatype": st.sampled_from(["FP32", "BOOL", "X"]) | JSON,
                    "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
                    "data": st.lists(st.floats(-1, 1) | st.booleans(), max_size=4) | JSON,
                    "parameters": JSON,
                },
            ),
            max_size=3,
        )
        | JSON
    },
    optional={"outputs": JSON, "id": JSON, "parameters": JSON},
)


@settings(deadline=None, max_examples=300)
@given(content=st.binary(max_size=60) | (JSON | REQUESTS).map(lambda value: json.dumps(value).encode()))
def test_whatever_the_bytes_there_is_a_request_or_a_refusal(content: bytes) -> None:
    try:
        request = decode_request(content, SIGNATURE)
    except BadRequestError as error:
        assert str(error)  # noqa: PT017 - either end is fine, a third one is not
    else:
        assert set(request.inputs) == {"x", "flag"}


@settings(deadline=None, max_examples=200)
@given(
    content=st.binary(max_size=60)
    | st.tuples(REQUESTS, st.binary(max_size=20)).map(lambda pair: json.dumps(pair[0]).encode() + pair[1]),
    cut=st.integers(-5, 70),
)
def test_wherever_the_json_is_said_to_end_there_is_a_request_or_a_refusal(content: bytes, cut: int) -> None:
    try:
        request = decode_request(content, SIGNATURE, json_length=cut)
    except BadRequestError as error:
        assert str(error)  # noqa: PT017 - either end is fine, a third one is not
    else:
        assert set(request.inputs) == {"x", "flag"}


def read_or_refused(document: object) -> tuple[str, Any]:
    try:
        request = decode_request(json.dumps(document), ONE_INPUT)
    except BadRequestError as error:
        return "refused", str(error)
    return "read", ({name: array.tolist() for name, array in request.inputs.items()}, request.outputs)


TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "x", "x", "y", 7]),
        "datatype": st.sampled_from(["FP32", "FP32", "FP32", "INT8"]),
        "shape": st.sampled_from([[1, 2], [2, 2], [0, 2], [2], [1, -2], "2"]),
        "data": st.sampled_from(
            [[1, 2], [[1, 2]], [1, True], [1e39, 0], [1, 2, 3, 4], [[1, 2], [3, 4]], [], None]
        ),
    }
)


@settings(deadline=None, max_examples=400)
@given(document=st.fixed_dictionaries({"inputs": st.lists(TENSORS, max_size=2)}))
def test_the_commonest_request_is_read_at_once_as_it_is_member_by_member(document: dict[str, Any]) -> None:
    """One more member, which changes nothing, and the request is read the long way."""
    assert read_or_refused(document) == read_or_refused({**document, "parameters": {}})


@settings(deadline=None, max_examples=400)
@given(
    datatype=st.sampled_from(["FP16", "FP32", "FP64", "INT8", "UINT8", "INT64", "UINT64"]),
    values=st.lists(
        st.sampled_from([0, 1, -1, 2, 0.5, 3, 100, -0.0, 1.5, True, False, 1e39, 70000.0]), max_size=6
    ),
)
def test_a_boolean_among_numbers_is_found_whatever_stands_around_it(
    datatype: str, values: list[float | bool]
) -> None:
    signature = Signature.of([TensorSpec("x", datatype, ("n",))], [])
    tensor = {"name": "x", "datatype": datatype, "shape": [len(values)], "data": values}
    try:
        (array,) = decode_request(json.dumps({"inputs": [tensor]}), signature).inputs.values()
    except BadRequestError as error:
        assert str(error)  # noqa: PT017 - refused is right for a boolean, and may be for a number
    else:
        assert bool not in map(type, values)
        assert np.isfinite(array).all()
        assert array.tolist() == [array.dtype.type(value) for value in values]
