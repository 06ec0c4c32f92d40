"""``model_store.features``: tensors become features with names that say where they come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.contract.baseline import CATEGORY, INPUT, MOST_CATEGORIES, MOST_POINTS, NUMBER, Feature
from model_store.contract.tensors import TensorSpec
from model_store.features import FIGURES, MOST_ELEMENTS, Column, all_columns, columns, summary


def only(values: Any, *, whole: bool = False) -> Feature:
    array = np.asarray(values)
    return summary(Column("x", INPUT, array if array.dtype.kind == "O" else array.astype(float), whole))


def test_a_tensor_of_one_element_keeps_its_name_and_a_longer_one_counts() -> None:
    spec, rows = TensorSpec("x", "FP32", ("n", 1)), np.ones((3, 1), np.float32)
    assert [column.name for column in columns(spec, rows, INPUT)] == ["x"]
    assert [column.name for column in columns(spec, np.ones((3, 2), np.float32), INPUT)] == ["x[0]", "x[1]"]
    assert [column.name for column in columns(spec, np.ones(3, np.float32), INPUT)] == ["x"]


def test_a_long_tensor_is_told_by_four_figures_over_the_row() -> None:
    rows = np.arange(2 * (MOST_ELEMENTS + 1), dtype=np.float32).reshape(2, -1)
    found = {
        column.name: column.values for column in columns(TensorSpec("x", "FP32", ("n", "m")), rows, INPUT)
    }
    assert list(found) == [f"x.{word}" for word in FIGURES]
    assert np.allclose(found["x.mean"], rows.mean(axis=1))
    assert np.allclose(found["x.highest"], [MOST_ELEMENTS, 2 * MOST_ELEMENTS + 1])


def test_text_is_a_category_and_the_empty_text_is_missing() -> None:
    spec = TensorSpec("plan", "BYTES", ("n",))
    (column,) = columns(spec, np.array([b"gold", "", "free", "gold"], dtype=object), INPUT)
    feature = summary(column)
    assert (feature.kind, feature.missing) == (CATEGORY, 1)
    assert feature.categories == {"gold": 2, "free": 1}


def test_integers_with_few_values_are_a_category_and_with_many_a_number() -> None:
    assert only([3, 1, 3], whole=True).categories == {"3": 2, "1": 1}
    assert only(np.arange(MOST_CATEGORIES + 1), whole=True).kind == NUMBER
    assert only([3, 1, 3]).kind == NUMBER


def test_rare_words_are_counted_together() -> None:
    words = [f"w{at:03d}" for at in range(MOST_CATEGORIES + 10)] + ["w000"]
    feature = only(np.array(words, dtype=object))
    assert next(iter(feature.categories)) == "w000"
    assert (len(feature.categories), feature.others) == (MOST_CATEGORIES, 10)


def test_nan_and_infinity_are_missing() -> None:
    feature = only([1.0, np.nan, np.inf, 2.0])
    assert (feature.rows, feature.missing, feature.points) == (4, 2, (1.0, 2.0))


def test_a_feature_with_no_value_at_all_has_no_points() -> None:
    feature = only([np.nan, np.nan])
    assert (feature.present, feature.points) == (0, ())


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=400))
def test_ranks_are_those_of_the_sample(values: list[float]) -> None:
    feature, sample = only(values), np.sort(np.array(values))
    assert feature.points[0] == sample[0]
    assert feature.points[-1] == sample[-1]
    for point, under, up_to in zip(feature.points, feature.under, feature.up_to, strict=True):
        assert under == np.count_nonzero(sample < point)
        assert up_to == np.count_nonzero(sample <= point)


@pytest.mark.parametrize("ties", [1, 7, 300])
def test_between_two_points_lies_at_most_one_part_in_127(ties: int) -> None:
    random = np.random.default_rng(ties)
    feature = only(np.repeat(random.normal(size=3_000), ties)[:6_000])
    assert len(feature.points) <= MOST_POINTS
    between = np.array(feature.under[1:]) - np.array(feature.up_to[:-1])
    assert between.max() / feature.present <= 1 / 127


def test_columns_come_in_the_order_of_the_version() -> None:
    specs = [TensorSpec("b", "FP32", ("n",)), TensorSpec("a", "FP32", ("n",))]
    arrays = {"a": np.ones(2), "b": np.ones(2)}
    assert [column.name for column in all_columns(specs, arrays, INPUT)] == ["b", "a"]
