"""``functions.protocol.answers``: what is written is the protocol's, and always JSON."""

from __future__ import annotations

import json

import numpy as np

from functions.protocol.answers import encode_answer
from functions.protocol.tensors import Array
from model_store.contract.names import ByVersion

REF = ByVersion("digits", 2)


def test_an_answer_names_the_version_and_keeps_the_order_of_the_outputs() -> None:
    outputs = {"label": np.array([3]), "scores": np.array([[0.5, 1.5]], np.float16)}
    assert json.loads(encode_answer(REF, outputs, id_="42").body) == {
        "model_name": "digits",
        "model_version": "2",
        "id": "42",
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [1], "data": [3]},
            {"name": "scores", "datatype": "FP16", "shape": [1, 2], "data": [0.5, 1.5]},
        ],
    }


def test_an_answer_has_no_id_when_the_request_had_none() -> None:
    assert "id" not in json.loads(encode_answer(REF, {}).body)
    assert json.loads(encode_answer(REF, {}, id_="").body)["id"] == ""


def test_binary_data_follow_the_json_in_the_order_of_the_outputs() -> None:
    outputs: dict[str, Array] = {
        "a": np.array([1, 2], np.int16),
        "b": np.array([[0.5]], np.float32),
        "c": np.array([True]),
    }
    encoded = encode_answer(REF, outputs, binary={"c", "a"})
    assert encoded.json_length is not None
    document = json.loads(encoded.body[: encoded.json_length])
    assert document["outputs"] == [
        {"name": "a", "datatype": "INT16", "shape": [2], "parameters": {"binary_data_size": 4}},
        {"name": "b", "datatype": "FP32", "shape": [1, 1], "data": [0.5]},
        {"name": "c", "datatype": "BOOL", "shape": [1], "parameters": {"binary_data_size": 1}},
    ]
    assert encoded.body[encoded.json_length :] == b"\x01\x00\x02\x00\x01"


def test_nan_has_a_binary_form() -> None:
    encoded = encode_answer(REF, {"y": np.array([np.nan], np.float32)}, binary={"y"})
    assert np.isnan(np.frombuffer(encoded.body[encoded.json_length :], np.float32)).all()
