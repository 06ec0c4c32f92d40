"""A plain invocation: the protocol's request in, the protocol's answer out."""

from __future__ import annotations

from typing import Any

import pytest

from functions.inference.doors.outcome import FunctionFailedError
from functions.protocol.errors import NotReadyError
from tests.unit.functions.conftest import Kept
from tests.unit.functions.inference.doors.conftest import Context, House, X

WORDS = "private"


def test_the_answer_is_the_protocol_s(house: House) -> None:
    answer = house.doors({"id": "seven", "inputs": [X], "outputs": [{"name": "label"}]}, Context())
    assert answer == {
        "model_name": "digits",
        "model_version": "2",
        "id": "seven",
        "outputs": [{"name": "label", "datatype": "INT64", "shape": [1], "data": [2]}],
    }


@pytest.mark.parametrize("names", [{"model_name": "digits"}, {"model_version": "2"}])
def test_a_request_may_name_what_it_expects(house: House, names: dict[str, str]) -> None:
    assert house.doors({**names, "inputs": [X]}, None)["model_name"] == "digits"


@pytest.mark.parametrize(
    ("event", "status", "says"),
    [
        ({"inputs": []}, 400, "`inputs` is empty"),
        ({"inputs": 7}, 400, "has a number as `inputs`"),
        ({"inputs": [{**X, "shape": [1, 3]}]}, 400, "shape"),
        ({"inputs": [X], "model_name": "other"}, 404, "no model `other` is served here"),
        ({"inputs": [X], "model_version": "7"}, 404, "version `7`"),
        ({"inputs": [X], "model_version": 2}, 400, "`model_version` has to be a string"),
        ({"inputs": [{**X, "data": [2**70, 0, 0, 0]}]}, 400, "cannot be read as a request"),
        ({"inputs": [X], "parameters": {"binary_data_output": True}}, 400, "binary tensor data"),
        ({"inputs": [X], "outputs": [{"name": "label", "parameters": {"binary_data": True}}]}, 400, "binary"),
        ({"inputs": [X], "outputs": 7, "parameters": 7}, 400, "`parameters`"),
    ],
)
def test_a_caller_s_mistake_is_an_answer_and_no_failure(
    house: House, event: dict[str, Any], status: int, says: str
) -> None:
    answer = house.doors(event, None)
    assert answer["status"] == status
    assert says in answer["error"]


def test_before_a_release_the_invocation_fails_by_name(empty_house: House) -> None:
    """A state machine can wait for ``NotReadyError``; an asynchronous invocation is repeated."""
    with pytest.raises(NotReadyError, match="no version of digits is released yet"):
        empty_house.doors({"inputs": [X]}, None)
    assert empty_house.logged[0]["status"] == 503


def test_a_fault_of_the_function_is_raised_without_its_words(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(WORDS)

    monkeypatch.setattr(house.service, "infer", broken)
    with pytest.raises(FunctionFailedError) as caught:
        house.doors({"inputs": [X]}, None)
    assert "private" not in str(caught.value)
    assert caught.value.__suppress_context__
    (line,) = house.logged
    assert (line["status"], line["failure"]) == (500, "builtins.RuntimeError")
    assert "private" not in house.lines[0]


def test_every_invocation_is_one_log_line(house: House) -> None:
    house.doors({"inputs": [X]}, Context())
    house.doors({"inputs": []}, Context())
    assert [(line["request_id"], line["method"], line["status"]) for line in house.logged] == [
        ("request-1", "INVOKE", 200),
        ("request-1", "INVOKE", 400),
    ]


def test_what_was_answered_is_kept_by_lambda_s_id_and_a_mistake_is_not(keeping: tuple[House, Kept]) -> None:
    house, kept = keeping
    house.doors({"id": "seven", "inputs": [X]}, Context("a1"))
    house.doors({"inputs": []}, Context("a2"))
    (row,) = kept.rows
    assert (row["request_id"], row["id"]) == ("a1", "seven")
    assert (row["input.x"], row["output.label"]) == ([0, 0, 0, 1], [2])
