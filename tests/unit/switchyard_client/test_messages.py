"""Requests and answers, by the words of the protocol and of its binary extension."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from functions.protocol.answers import encode_answer
from functions.protocol.requests import Signature, decode_request
from model_store.contract.names import ByVersion
from model_store.contract.tensors import TensorSpec
from switchyard_client.errors import InputError, UnreadableAnswerError
from switchyard_client.messages import Question, Written, error_in, json_object, read_answer, write_request

ARRAYS: dict[str, Any] = {
    "numbers": np.array([[1.5, -2.0], [0.0, 3.25]], np.float32),
    "texts": np.array(["a", "é€"], object),
    "none": np.zeros((0, 3), np.int64),
    "one": np.array(True),
}
SIGNATURE = Signature.of(
    [
        TensorSpec("numbers", "FP32", ("n", 2)),
        TensorSpec("texts", "BYTES", ("m",)),
        TensorSpec("none", "INT64", ("k", 3)),
        TensorSpec("one", "BOOL", ()),
    ],
    [TensorSpec("y", "FP32", ("n",)), TensorSpec("label", "BYTES", ("n",))],
)


def question(**inputs: Any) -> Question:
    return Question.of(inputs or ARRAYS, None, None, None)


@pytest.mark.parametrize("binary", [True, False])
def test_the_server_of_this_project_reads_what_the_client_writes(*, binary: bool) -> None:
    asked = Question.of(ARRAYS, ["label"], "seven", {"mine": 1})
    written = write_request(asked, binary=binary, wants_binary=True)
    read = decode_request(written.body, SIGNATURE, json_length=written.header_length)
    assert (read.id, list(read.outputs)) == ("seven", ["label"])
    assert read.parameters["mine"] == 1
    for name, array in ARRAYS.items():
        assert read.inputs[name].shape == array.shape
        assert read.inputs[name].tolist() == array.tolist()


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_reads_what_the_server_of_this_project_writes(*, binary: bool) -> None:
    wanted = {"binary_data_output": True} if binary else {}
    body = json.dumps({"inputs": [], "parameters": wanted}).encode()
    asked = decode_request(body, Signature.of([], [*SIGNATURE.outputs.values()]))
    outputs: dict[str, Any] = {"y": np.array([1.5, 2.5], np.float32), "label": np.array(["a", "é"], object)}
    answer = encode_answer(ByVersion("digits", 7), outputs, id_="seven", binary=asked.binary)
    assert (answer.json_length is not None) == binary
    result = read_answer(bytes(answer.body), header_length=answer.json_length, digest="sha256:ab")
    assert (result.model, result.version, result.id, result.digest) == ("digits", "7", "seven", "sha256:ab")
    assert result["y"].tolist() == [1.5, 2.5]
    assert result["label"].tolist() == [b"a", "é".encode()]
    assert result.text("label").tolist() == ["a", "é"]
    assert (list(result), len(result)) == (["y", "label"], 2)


def test_a_json_request_is_what_the_protocol_writes() -> None:
    written = write_request(
        question(x=np.ones((1, 2), np.float32), n=np.array(["é"])), binary=False, wants_binary=False
    )
    assert written.headers == {"content-type": "application/json"}
    assert json.loads(written.body) == {
        "inputs": [
            {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 1.0]},
            {"name": "n", "shape": [1], "datatype": "BYTES", "data": ["é"]},
        ]
    }


def test_a_binary_request_is_what_triton_s_extension_writes() -> None:
    """Binary Tensor Data Extension: sizes in the JSON, the bytes behind it in the order of the inputs."""
    asked = question(x=np.array([1], np.int16), n=np.array(["ab"]))
    written = write_request(asked, binary=True, wants_binary=True)
    assert written.header_length is not None
    assert written.headers == {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(written.header_length),
    }
    header = json.loads(written.body[: written.header_length])
    assert header == {
        "parameters": {"binary_data_output": True},
        "inputs": [
            {"name": "x", "shape": [1], "datatype": "INT16", "parameters": {"binary_data_size": 2}},
            {"name": "n", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
        ],
    }
    assert written.body[written.header_length :] == b"\x01\0\x02\0\0\0ab"


@pytest.mark.parametrize(
    ("array", "gains"),
    [
        (np.zeros(4, np.float32), False),  # so small that it can stay readable
        (np.random.default_rng(1).random(2000, np.float32), True),
        (np.ones(2000, np.int64), False),  # `1,` is shorter than eight bytes
        (np.ones(20_000, np.int64), True),  # and from here on speed counts
        (np.array([np.nan], np.float32), True),
        (np.array([b"\xff"], object), True),
        (np.array(["text"] * 4, object), False),
        (np.zeros(0, np.float32), False),
    ],
)
def test_binary_is_chosen_where_it_is_smaller_or_quicker_or_the_only_way(array: Any, *, gains: bool) -> None:
    assert question(x=array).gains_from_binary() is gains


@pytest.mark.parametrize(
    ("inputs", "outputs", "parameters", "says"),
    [
        (np.zeros(1), None, None, "not a mapping of names"),
        ({"x": 1.0}, None, None, "is float, not a numpy array"),
        ({}, "label", None, "not a list"),
        ({}, None, {"x": object()}, "cannot be written as JSON"),
        ({}, None, {"x": float("nan")}, "cannot be written as JSON"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_it_is_sent(
    inputs: Any, outputs: Any, parameters: Any, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        write_request(Question.of(inputs, outputs, None, parameters), binary=False, wants_binary=False)


OUTPUT = {"name": "y", "datatype": "FP32", "shape": [1], "data": [1.0]}


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"<html>", None),
        (b"[]", None),
        (b"{}", None),
        (json.dumps({"model_name": "m", "outputs": [{**OUTPUT, "shape": [-1]}]}).encode(), None),
        (json.dumps({"model_name": "m", "outputs": [{**OUTPUT, "shape": "[1]"}]}).encode(), None),
        (json.dumps({"model_name": "m", "outputs": [7]}).encode(), None),
        (json.dumps({"outputs": []}).encode(), None),
        (b'{"model_name": "m"', 5),
        *[
            (
                head := json.dumps(
                    {
                        "model_name": "m",
                        "outputs": [{**OUTPUT, "parameters": {"binary_data_size": size}}],
                    }
                ).encode(),
                len(head),
            )
            for size in (4, -1, "4")
        ],
    ],
)
def test_what_is_no_answer_is_said_to_be_none(body: bytes, length: int | None) -> None:
    with pytest.raises(UnreadableAnswerError):
        read_answer(body, header_length=length)


def test_the_sentence_of_an_error_is_found_in_either_spelling() -> None:
    assert error_in(b'{"error": "no"}') == error_in(b'{"message": "no"}') == "no"
    assert error_in(b"oops") is error_in(b"[]") is error_in(b"{}") is None


def test_a_page_that_is_no_json_is_shown_in_part() -> None:
    with pytest.raises(UnreadableAnswerError, match="<html>") as caught:
        json_object(b"<html>" + b"x" * 500)
    assert len(str(caught.value)) < 160
    assert caught.value.hint


def test_a_message_without_binary_data_is_json() -> None:
    assert Written(b"{}").headers == {"content-type": "application/json"}
