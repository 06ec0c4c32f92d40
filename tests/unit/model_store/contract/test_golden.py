"""``model_store.contract.golden``: does a version still answer as it did at publish."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.contract.golden import differences
from model_store.contract.manifest import Golden
from model_store.contract.tensors import TensorData


def golden(datatype: str, *data: Any, **tolerance: float) -> Golden:
    return Golden((), (TensorData("y", datatype, (len(data),), data),), **tolerance)


def answer(datatype: str, *data: Any, **changed: Any) -> list[dict[str, Any]]:
    return [{"name": "y", "datatype": datatype, "shape": [len(data)], "data": list(data), **changed}]


def test_the_same_answer_has_no_differences() -> None:
    """Law 5: a version that reproduces its golden sample may be released."""
    assert differences(golden("FP32", 0.5, -1.0), answer("FP32", 0.5, -1.0)) == []


def test_a_nested_answer_is_the_same_answer() -> None:
    wanted = Golden((), (TensorData("y", "INT64", (2, 2), (1, 2, 3, 4)),))
    got = {"name": "y", "datatype": "INT64", "shape": [2, 2], "data": [[1, 2], [3, 4]]}
    assert differences(wanted, [got]) == []


@pytest.mark.parametrize(("got", "fits"), [(100.11, True), (99.89, True), (100.12, False), (99.88, False)])
def test_numbers_may_differ_by_both_tolerances_together(got: float, fits: bool) -> None:
    wanted = golden("FP32", 100.0, rtol=1e-3, atol=0.0101)
    assert (differences(wanted, answer("FP32", got)) == []) is fits


def test_a_negative_number_has_the_same_tolerance() -> None:
    assert differences(golden("FP64", -100.0, rtol=1e-3, atol=0.0), answer("FP64", -100.05)) == []
    assert differences(golden("FP64", -100.0, rtol=1e-3, atol=0.0), answer("FP64", -100.2)) != []


@pytest.mark.parametrize("got", [math.nan, math.inf, -math.inf, None, "0.5", True, [], {}])
def test_what_is_no_number_is_near_nothing(got: Any) -> None:
    assert differences(golden("FP32", 0.5, rtol=1e9, atol=1e9), answer("FP32", got)) != []


@pytest.mark.parametrize(
    ("datatype", "wanted", "got"),
    [
        ("INT64", 1, 2),
        ("INT64", 1, 1.5),
        ("INT64", 1, True),
        ("BOOL", True, False),
        ("BOOL", True, 1),
        ("BYTES", "a", "b"),
        ("BYTES", "1", 1),
    ],
)
def test_everything_but_floating_numbers_must_be_equal(datatype: str, wanted: Any, got: Any) -> None:
    (said,) = differences(golden(datatype, wanted, atol=10.0), answer(datatype, got))
    assert said == f"output `y` differs in 1 of 1 values; the first is value 0: {got!r}, expected {wanted!r}"


def test_the_sentence_says_how_many_and_where_and_how_near() -> None:
    said = differences(golden("FP32", 1.0, 2.0, 3.0), answer("FP32", 1.0, 2.5, 3.5))
    assert said == [
        "output `y` differs in 2 of 3 values; the first is value 1: 2.5, expected 2.0 within 1e-05 + 0.0001 of it"
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"datatype": "FP64"}, "output `y` has datatype `FP64`, expected `FP32`"),
        ({"datatype": None}, "output `y` has datatype `None`, expected `FP32`"),
        ({"shape": [2, 1]}, "output `y` has shape [2, 1], expected [2]"),
        ({"shape": None}, "output `y` has shape None, expected [2]"),
        ({"shape": 2}, "output `y` has shape 2, expected [2]"),
        ({"data": [1.0]}, "output `y` has 1 values, expected 2"),
        ({"data": None}, "output `y` has 1 values, expected 2"),
        ({"data": []}, "output `y` has 0 values, expected 2"),
    ],
)
def test_an_answer_of_another_form_is_a_difference(changed: dict[str, Any], said: str) -> None:
    got = answer("FP32", 1.0, 2.0)[0] | changed
    assert differences(golden("FP32", 1.0, 2.0), [got]) == [said]


def test_a_tensor_without_data_is_a_difference() -> None:
    got = answer("FP32", 1.0)
    del got[0]["data"]
    assert differences(golden("FP32", 1.0), got) == ["output `y` has 0 values, expected 1"]


def test_outputs_that_are_missing_or_new_or_twice_are_differences() -> None:
    wanted = golden("FP32", 1.0)
    assert differences(wanted, []) == ["output `y` is missing"]
    assert differences(wanted, answer("FP32", 1.0) + answer("FP32", 1.0, name="z")) == [
        "output `z` is not one the version has"
    ]
    assert differences(wanted, answer("FP32", 1.0) * 2) == ["output `y` is there twice"]
    assert differences(wanted, answer("FP32", 1.0, name=None)) == [
        "output `y` is missing",
        "output `None` is not one the version has",
    ]


def test_the_order_of_outputs_does_not_matter() -> None:
    one, two = TensorData("a", "FP32", (1,), (1.0,)), TensorData("b", "BOOL", (1,), (True,))
    assert differences(Golden((), (one, two)), [two.as_json(), one.as_json()]) == []


def test_an_empty_tensor_is_equal_to_an_empty_tensor() -> None:
    assert differences(golden("FP32"), answer("FP32")) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "datatype", "shape", "data"), json_values)))
def test_whatever_a_function_answers_is_compared_and_never_raises(got: dict[str, Any]) -> None:
    """Law 5: a failing check is an answer, not a crash of the controller."""
    assert differences(golden("FP32", 1.0), [got]) != []


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=5))
def test_every_finite_answer_reproduces_itself(data: list[float]) -> None:
    assert differences(golden("FP32", *data, rtol=0.0, atol=0.0), answer("FP32", *data)) == []
