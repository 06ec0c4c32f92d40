"""Floats read without an object each: the same arrays and the same refusals as by the reader of everything."""

import json
import sys
import threading
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.protocol.errors import BadRequestError
from functions.protocol.floats import LARGEST, SMALLEST, FloatReader
from functions.protocol.requests import FLOATS, InferRequest, Signature, decode_request, request_of
from model_store.contract.tensors import TensorSpec

SIGNATURES = {
    datatype: Signature.of([TensorSpec("x", datatype, (-1, -1))], [TensorSpec("y", datatype, (-1,))])
    for datatype in ("FP16", "FP32", "FP64", "INT64")
}
LINE = Signature.of([TensorSpec("x", "FP32", (-1,))], [TensorSpec("y", "FP32", (-1,))])


def reader() -> FloatReader:
    made = FloatReader()
    assert made.load(), "pysimdjson is among the project's own requirements"
    return made


READER = reader()


def padded(text: str) -> str:
    """White space makes a body of a size that is worth it."""
    return "{" + " " * SMALLEST + text.removeprefix("{")


def body_of(data: Any, shape: Any, *, datatype: str = "FP32", name: str = "x", **members: Any) -> str:
    item = {"name": name, "datatype": datatype, "shape": shape, "data": data, **members}
    return padded(orjson.dumps({"inputs": [item]}).decode())


def outcome(body: bytes | str, signature: Signature) -> Any:
    """What the project's door says to a body, with the arrays as bytes."""
    try:
        return frozen(decode_request(body, signature))
    except BadRequestError as error:
        return str(error)


def by_the_other(body: bytes | str, signature: Signature) -> Any:
    try:
        return frozen(request_of(orjson.loads(body), signature))
    except BadRequestError as error:
        return str(error)


def frozen(request: InferRequest) -> Any:
    arrays = {name: (each.dtype, each.shape, each.tobytes()) for name, each in request.inputs.items()}
    return request._replace(inputs=arrays)  # type: ignore[arg-type]


numbers = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0, 1, -0.0, 1e39, -1e39, 3.4028235677973366e38, 5e-324, 2**53 + 1, 2**63, 2**64])
)
strays: st.SearchStrategy[Any] = st.sampled_from([True, False, None, "1", [], [1.0], {}])
datatypes = st.sampled_from([*SIGNATURES, "BOOL", "BYTES"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    rows, columns = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    flat = draw(st.lists(numbers, min_size=rows * columns, max_size=rows * columns))
    data: list[Any] = flat
    if draw(st.booleans()):
        data = [flat[at * columns : (at + 1) * columns] for at in range(rows)]
    if data and draw(st.integers(0, 4)) == 0:
        data[draw(st.integers(0, len(data) - 1))] = draw(strays)
    shape: Any = draw(
        st.just([rows, columns])
        | st.sampled_from(
            [[columns, rows], [rows * columns], [True, columns], [1.0, 1], [2**63, 0], "12", []]
        )
    )
    members: dict[str, Any] = {"name": "x", "datatype": draw(datatypes), "shape": shape, "data": data}
    if draw(st.integers(0, 9)) == 0:
        members[draw(st.sampled_from(["parameters", "name", "data", "more"]))] = draw(strays)
    keys = draw(st.permutations(list(members)))
    # Python's own writer keeps integers that orjson would not write.
    text = ", ".join(f'"{key}": {json.dumps(members[key])}' for key in keys)
    if draw(st.integers(0, 9)) == 0:
        text += f', "{draw(st.sampled_from(keys))}": {json.dumps(draw(strays))}'
    return padded('{"inputs": [{' + text + "}]}")


@settings(max_examples=600)
@given(documents(), st.sampled_from(list(SIGNATURES)), st.booleans())
def test_both_readers_understand_the_same_or_refuse_in_the_same_words(
    text: str, datatype: str, as_bytes: bool
) -> None:
    """Law 7: the protocol has one meaning, whichever way its bytes are read."""
    signature = SIGNATURES[datatype]
    FLOATS.load()
    assert outcome(text.encode() if as_bytes else text, signature) == by_the_other(text, signature)


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_plain_floats_are_read_without_the_other_reader(datatype: str, nested: bool) -> None:
    values = np.random.default_rng(3).standard_normal((8, 125))
    sent = READER.read(
        body_of(values.tolist() if nested else values.ravel().tolist(), [8, 125], datatype=datatype)
    )
    assert sent is not None
    assert (sent.name, sent.datatype, sent.shape) == ("x", datatype, [8, 125])
    expected = values.astype("f4" if datatype == "FP32" else "f8")
    assert sent.values.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        ([1.0, [2.0], []], [3]),
        ([[1.0, 2.0], [3.0]], [2, 2]),
        ([[1.0, 2.0], []], [2]),
        ([[[1.0]], [[2.0]]], [2, 1]),
        ([True, 1.0], [2]),
        ([None], [1]),
        (["1"], [1]),
        ([1e39], [1]),
    ],
    ids=["mixed depth", "ragged", "as deep as no shape", "deeper", "boolean", "null", "string", "too large"],
)
def test_what_is_not_plain_is_left_to_the_other(data: list[Any], shape: list[int]) -> None:
    assert READER.read(body_of(data, shape)) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}],"id":"7"}',
        '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1],"data":[2]}]}',
        '{"inputs":[{"name":"x","datatype":"FP32","data":[1],"data":[2]}]}',
        '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}],"inputs":[]}',
        '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[NaN]}]}',
        '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]',
        '{"inputs":["name","datatype","shape","data"]}',
        '{"inputs":{"name":"x"}}',
        '{"outputs":[]}',
    ],
)
def test_any_other_document_is_left_to_the_other(text: str) -> None:
    assert READER.read(padded(text)) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"{" * SMALLEST, b"\xef\xbb\xbf" + body_of([1.0], [1]).encode(), " " + body_of([1.0], [1])],
    ids=["nothing", "no end", "byte order mark", "white space first"],
)
def test_text_that_does_not_begin_as_expected_is_left_to_the_other(body: bytes | str) -> None:
    assert READER.read(body) is None


def test_a_lone_surrogate_is_left_to_the_other() -> None:
    assert READER.read(body_of([1.0], [1]).replace('"x"', '"\ud800"')) is None


def test_a_body_larger_than_a_parser_should_keep_is_left_to_the_other() -> None:
    body = body_of([1.0], [1])
    assert READER.read(body[:-1] + " " * (LARGEST - len(body)) + "}") is not None
    assert READER.read(body[:-1] + " " * (LARGEST - len(body) + 1) + "}") is None


def test_the_first_body_does_not_wait_for_the_library() -> None:
    fresh = FloatReader()
    body = body_of([1.0, 2.0], [2])
    assert fresh.read(body) is None
    assert fresh.read(body) is not None


def test_without_the_library_the_other_reads_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "csimdjson", None)
    bare = FloatReader()
    assert not bare.load()
    assert bare.read(body_of([1.0, 2.0], [2])) is None


def test_the_arrays_outlive_the_next_request_and_threads_do_not_meet() -> None:
    wrong: list[int] = []

    def ask(seed: int) -> None:
        for value in range(200):
            number = float(seed * 1000 + value)
            before = decode_request(body_of([number] * 40, [40]), LINE).inputs["x"]
            decode_request(body_of([-1.0] * 40, [40]), LINE)
            if before.tolist() != [number] * 40:
                wrong.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@settings(max_examples=300)
@given(st.binary(max_size=40), st.integers(0, 700), st.integers(0, 40))
def test_a_damaged_body_gets_the_other_readers_answer(noise: bytes, at: int, removed: int) -> None:
    body = body_of([0.5, 1.25, 3.0], [3]).encode()
    damaged = body[:at] + noise + body[at + removed :]
    FLOATS.load()
    try:
        orjson.loads(damaged)
    except orjson.JSONDecodeError:
        assert READER.read(damaged) is None
    else:
        assert outcome(damaged, LINE) == by_the_other(damaged, LINE)
