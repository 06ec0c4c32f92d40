"""``drift.compare``: every feature is judged, the worst is the model's number, and too little is not judged."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from drift.compare import LEAST_ROWS, Comparison, by_distance, compare
from model_store.contract.baseline import INPUT, OUTPUT, Baseline
from model_store.contract.digest import Digest
from model_store.features import Column, summary

RANDOM = np.random.default_rng(11)


def column(name: str, values: Any, side: str = INPUT, *, whole: bool = False) -> Column:
    array = np.asarray(values)
    return Column(name, side, array if array.dtype.kind == "O" else array.astype(float), whole)


def trained(*columns: Column) -> Baseline:
    return Baseline(len(columns[0].values), Digest.of(b"rows"), tuple(map(summary, columns)))


def judged(baseline: Baseline, *columns: Column, **more: Any) -> Comparison:
    rows = max(len(one.values) for one in columns)
    return compare(baseline, {one.name: one for one in columns}, rows=rows, **more)


def test_the_same_distribution_is_no_drift() -> None:
    baseline = trained(column("x", RANDOM.normal(size=2_000)))
    found = judged(baseline, column("x", RANDOM.normal(size=500)))
    assert found.drifted == ()
    assert found.metrics["DriftPsi"] < 0.1
    assert found.features[0].by_chance > found.metrics["DriftPsi"]


def test_the_feature_that_moved_is_the_model_s_number_and_is_named() -> None:
    baseline = trained(column("still", RANDOM.normal(size=2_000)), column("moved", RANDOM.normal(size=2_000)))
    found = judged(
        baseline, column("still", RANDOM.normal(size=400)), column("moved", RANDOM.normal(2, 1, 400))
    )
    assert [item.name for item in found.drifted] == ["moved"]
    assert found.worst["DriftPsi"] == found.worst["DriftKs"] == "moved"
    assert found.metrics["DriftPsi"] > 0.25
    assert by_distance(found.features)[0].name == "moved"


def test_outputs_are_a_metric_of_their_own() -> None:
    baseline = trained(
        column("x", RANDOM.normal(size=1_000)), column("label", np.array(["a", "b"] * 500, object), OUTPUT)
    )
    found = judged(
        baseline, column("x", RANDOM.normal(size=300)), column("label", np.array(["a"] * 300, object), OUTPUT)
    )
    assert found.metrics["OutputDrift"] > 0.25
    assert found.drifted[0].findings == ("OutputDrift", "CategoryShift")
    assert "CategoryShift" not in found.metrics  # which is about inputs


def test_missing_values_are_told_beyond_what_the_training_missed() -> None:
    holes = np.where(np.arange(1_000) % 10 < 3, np.nan, RANDOM.normal(size=1_000))
    baseline = trained(column("x", holes))
    as_before = judged(baseline, column("x", holes[:500]))
    assert as_before.metrics["MissingRate"] == 0
    gone = judged(baseline, column("x", np.where(np.arange(500) % 2 < 1, np.nan, holes[:500])))
    assert gone.metrics["MissingRate"] == pytest.approx(0.3, abs=0.01)


def test_values_the_training_never_saw_are_out_of_range() -> None:
    baseline = trained(column("x", RANDOM.uniform(0, 1, 1_000)))
    found = judged(baseline, column("x", np.concatenate([RANDOM.uniform(0.1, 0.9, 270), np.full(30, 7.0)])))
    assert found.metrics["OutOfRangeRate"] == pytest.approx(0.1)
    assert "OutOfRangeRate" in found.drifted[0].findings


def test_too_few_rows_are_counted_and_not_judged() -> None:
    """Law: no number is published that chance alone would make an alarm of."""
    baseline = trained(column("x", RANDOM.normal(size=1_000)))
    found = judged(baseline, column("x", RANDOM.normal(9, 1, LEAST_ROWS - 1)))
    assert (found.enough, found.metrics, found.drifted) == (False, {}, ())


def test_dropped_tensors_are_skipped_and_hashed_words_compared_by_their_hashes() -> None:
    def hashed(word: str) -> str:
        return hashlib.sha256(word.encode()).hexdigest()[:16]

    plans = np.array(["gold", "free"] * 200, object)
    baseline = trained(
        column("plan", plans), column("age", RANDOM.normal(size=400)), column("x", RANDOM.normal(size=400))
    )
    now = column("plan", np.array([hashed(word) for word in plans], object))
    ages = column("age", np.array(["?"] * 400, object))
    found = judged(baseline, now, ages, hashed=hashed, hashed_tensors=frozenset({"plan", "age"}))
    assert found.skipped == ("age", "x")
    assert found.metrics["CategoryShift"] == 0


def test_a_histogram_draws_shares_that_are_whole() -> None:
    baseline = trained(column("x", RANDOM.normal(size=1_000)))
    found = judged(baseline, column("x", RANDOM.normal(5, 1, 300)))
    assert sum(was for _, was, _ in found.features[0].bins) == pytest.approx(1)
    assert sum(now for _, _, now in found.features[0].bins) == pytest.approx(1)
    assert found.features[0].bins[-1][0].startswith("> ")


def test_a_feature_with_no_value_left_is_missing_and_not_an_error() -> None:
    baseline = trained(column("x", RANDOM.normal(size=1_000)))
    found = judged(baseline, column("x", np.full(300, np.nan)))
    assert found.metrics["MissingRate"] == 1
    assert found.drifted[0].findings == ("MissingRate",)
