"""``drift.statistics``: laws of the measures, and the same numbers as scipy's."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from drift import statistics
from model_store.contract.baseline import CATEGORY, INPUT, Feature
from model_store.features import Column, summary

Numbers = np.ndarray[Any, np.dtype[np.float64]]
samples = st.lists(st.floats(-1_000, 1_000, width=32), min_size=1, max_size=300).map(np.array)
histograms = st.lists(st.integers(0, 500), min_size=2, max_size=12)


def feature(values: Any) -> Feature:
    return summary(Column("x", INPUT, np.asarray(values, dtype=float)))


def words(values: list[str]) -> Feature:
    return summary(Column("x", INPUT, np.array(values, dtype=object)))


# The index


@given(samples)
def test_every_value_is_in_one_bin_and_the_baseline_itself_in_none_of_the_ends(values: Numbers) -> None:
    expected, seen = statistics.bin_counts(feature(values), values)
    assert expected.tolist() == seen.tolist()
    assert expected.sum() == len(values)
    assert expected[0] == expected[-1] == 0


@given(samples, samples)
def test_bins_hold_what_numpy_counts_in_them(baseline: Numbers, values: Numbers) -> None:
    described = feature(baseline)
    edges = [-np.inf, np.nextafter(baseline.min(), -np.inf), *statistics.bin_edges(described), baseline.max()]
    _, seen = statistics.bin_counts(described, values)
    assert seen.tolist() == [
        np.count_nonzero((values > low) & (values <= high))
        for low, high in itertools.pairwise([*edges, np.inf])
    ]


def test_bins_are_tenths_where_values_do_not_repeat() -> None:
    expected, _ = statistics.bin_counts(feature(np.random.default_rng(1).normal(size=5_000)), np.array([0.0]))
    inner = expected[1:-1] / 5_000
    assert len(inner) == statistics.BINS
    assert np.allclose(inner, 0.1, atol=0.01)


@given(histograms)
def test_the_index_of_a_histogram_with_itself_is_zero(counts: list[int]) -> None:
    assert statistics.psi(np.array(counts), np.array(counts)) == pytest.approx(0, abs=1e-12)


@given(histograms, st.randoms(use_true_random=False))
def test_the_index_is_never_negative_and_knows_no_order_of_bins(counts: list[int], random: Any) -> None:
    other, order = [random.randint(0, 500) for _ in counts], list(range(len(counts)))
    random.shuffle(order)
    p, q = np.array(counts), np.array(other)
    assert statistics.psi(p, q) >= -1e-12
    assert statistics.psi(p[order], q[order]) == pytest.approx(statistics.psi(p, q), abs=1e-12)


def test_the_index_is_both_relative_entropies_that_scipy_computes() -> None:
    p, q = np.array([120, 300, 80, 500]), np.array([300, 100, 200, 400])
    smooth_p, smooth_q = p + statistics.PSEUDO_COUNT, q + statistics.PSEUDO_COUNT
    both = stats.entropy(smooth_p, smooth_q) + stats.entropy(smooth_q, smooth_p)
    assert statistics.psi(p, q) == pytest.approx(float(both), rel=1e-12)


def test_a_few_rows_in_an_empty_bin_are_no_catastrophe() -> None:
    assert statistics.psi(np.array([1_000, 0]), np.array([199, 1])) < 0.05
    assert statistics.psi(np.array([1_000, 0]), np.array([160, 40])) > 0.25


def test_what_is_empty_has_no_index() -> None:
    assert statistics.psi(np.array([0, 0]), np.array([1, 2])) == 0
    assert statistics.psi(np.array([1, 2]), np.array([0, 0])) == 0


@pytest.mark.parametrize("degrees", [1, 4, 9, 30])
def test_the_limit_of_chance_is_chi_square_s(degrees: int) -> None:
    exact = float(stats.chi2.isf(0.001, degrees)) * (1 / 1_000 + 1 / 300)
    assert statistics.psi_by_chance(degrees + 1, 1_000, 300) == pytest.approx(exact, rel=0.06)


def test_chance_exceeds_its_limit_about_once_in_a_thousand() -> None:
    random = np.random.default_rng(3)
    described = feature(random.normal(size=20_000))
    indices = [
        statistics.psi(*statistics.bin_counts(described, random.normal(size=400))) for _ in range(2_000)
    ]
    limit = statistics.psi_by_chance(statistics.BINS, 20_000, 400)
    assert np.mean(np.array(indices) > limit) < 0.005
    assert np.mean(np.array(indices) > limit / 2) > 0.01


# Kolmogorov and Smirnov


def distance_by_scipy(one: Numbers, other: Numbers) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of its p-value, for samples of one
        return float(stats.ks_2samp(one, other, method="asymp").statistic)


@given(samples, samples)
def test_the_distance_is_scipy_s_where_every_value_is_kept(baseline: Numbers, values: Numbers) -> None:
    baseline = np.round(baseline / 50)
    values = np.round(values / 50)
    ours = statistics.ks(feature(baseline), values)
    exact = distance_by_scipy(baseline, values)
    # Between two values that the baseline kept, its own function is level: only the new sample may move there.
    assert ours <= exact + 1e-12
    grid = set(baseline.tolist())
    if set(values.tolist()) <= grid:
        assert ours == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5, 3.0])
@pytest.mark.parametrize("size", [50, 3_000])
def test_the_distance_is_within_one_part_in_127_of_scipy_s(shift: float, size: int) -> None:
    random = np.random.default_rng(size)
    baseline, values = random.normal(size=10_000), random.normal(shift, 1, size)
    ours = statistics.ks(feature(baseline), values)
    exact = float(stats.ks_2samp(baseline, values).statistic)
    assert exact - 1 / 127 <= ours <= exact + 1e-12


@given(samples)
def test_the_distance_of_a_sample_to_itself_is_zero(values: Numbers) -> None:
    assert statistics.ks(feature(values), values) == pytest.approx(0, abs=1e-12)


@given(samples, samples)
def test_the_distance_is_a_share(baseline: Numbers, values: Numbers) -> None:
    assert 0 <= statistics.ks(feature(baseline), values) <= 1


def test_a_constant_that_falls_is_as_far_as_one_that_rises() -> None:
    constant = feature([5.0] * 200)
    assert statistics.ks(constant, np.array([4.0] * 10)) == 1
    assert statistics.ks(constant, np.array([6.0] * 10)) == 1


@pytest.mark.parametrize("size", [200, 2_000])
def test_the_limit_of_chance_for_distances_is_smirnov_s(size: int) -> None:
    limit = statistics.ks_by_chance(1_000, size)
    together = 1_000 * size / (1_000 + size)
    assert float(stats.kstwobign.sf(limit * np.sqrt(together))) == pytest.approx(0.001, rel=0.01)


# Categories and rates


@given(histograms, histograms)
def test_the_shift_is_half_the_distance_of_the_shares(one: list[int], other: list[int]) -> None:
    width = min(len(one), len(other))
    p, q = np.array(one[:width]) + 1, np.array(other[:width]) + 1
    shift = statistics.category_shift(p, q)
    assert 0 <= shift <= 1
    assert shift == pytest.approx(float(np.abs(p / p.sum() - q / q.sum()).sum()) / 2)
    assert shift == pytest.approx(statistics.category_shift(q, p))


def test_unknown_words_are_counted_with_the_others_and_as_out_of_range() -> None:
    described = words(["a"] * 6 + ["b"] * 4)
    names, expected, seen = statistics.category_counts(described, ["a", "c", "c", "b"])
    assert (names, expected.tolist(), seen.tolist()) == (["a", "b", statistics.OTHERS], [6, 4, 0], [1, 1, 2])
    assert statistics.unseen(described, ["a", "c", "c", "b"]) == 0.5


def test_words_that_the_baseline_did_not_keep_are_not_called_unseen() -> None:
    described = Feature("x", INPUT, CATEGORY, 10, categories={"a": 6}, others=4)
    assert statistics.unseen(described, ["a", "zebra"]) == 0


@given(samples, samples)
def test_out_of_range_is_beyond_the_lowest_and_the_highest(baseline: Numbers, values: Numbers) -> None:
    outside = np.mean((values < baseline.min()) | (values > baseline.max()))
    assert statistics.out_of_range(feature(baseline), values) == pytest.approx(float(outside))


def test_accuracy_counts_what_has_a_label_and_nothing_else() -> None:
    predicted = {("a", 0): "1", ("a", 1): "2", ("b", 0): "3"}
    assert statistics.accuracy(predicted, {("a", 0): "1", ("b", 0): "4", ("z", 0): "1"}) == (2, 1)
