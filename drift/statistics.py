"""The measures of drift, each of one feature's baseline and of the values that came since. Pure.

All of them are 0 where nothing moved and grow with the distance; none needs the training data themselves.
numpy only: scipy would be 100 MB more of a layer, and its answers are held against these in the tests.

* ``psi``, the population stability index over bins of the baseline's own tenths: sum (q - p) ln(q / p).
* ``ks``, the Kolmogorov-Smirnov distance: the largest difference of the two distribution functions.
* ``category_shift``, the total variation distance: the share of rows that would have to change their word.
* rates: of missing values, and of values that the training never saw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.contract.baseline import Feature

Array = NDArray[Any]

BINS = 10

PSEUDO_COUNT = 0.5
"""Added to every bin on both sides, so that an empty one has a logarithm (Jeffreys' prior)."""

OTHERS = "(others)"
"""The word for every category that the baseline does not keep by name."""


def bin_edges(feature: Feature) -> Array:
    """Where the bins of a number's baseline end: about a tenth of its rows each, fewer where values repeat.

    A bin holds its upper edge. Below the lowest and above the highest point there is a bin more on each side,
    which no row of the baseline is in.
    """
    if not feature.points:
        return np.array([])
    up_to = np.array(feature.up_to)
    wanted = feature.present * np.arange(1, BINS) / BINS
    at = np.unique(np.searchsorted(up_to, wanted, "left"))
    return np.array(feature.points)[at[at < len(up_to) - 1]]


def bin_counts(feature: Feature, values: Array) -> tuple[Array, Array]:
    """Rows of the baseline, and of ``values`` (finite numbers), in each bin of the baseline."""
    edges = bin_edges(feature)
    points, up_to = np.array(feature.points), np.array(feature.up_to)
    reached = up_to[np.searchsorted(points, edges)] if len(edges) else np.array([], dtype=np.int64)
    expected = np.diff(np.concatenate([[0], reached, [feature.present]]))
    lowest, highest = feature.points[0], feature.points[-1]
    inside = values[(values >= lowest) & (values <= highest)]
    seen = np.bincount(np.searchsorted(edges, inside, "left"), minlength=len(edges) + 1)
    below, above = np.count_nonzero(values < lowest), np.count_nonzero(values > highest)
    return np.concatenate([[0], expected, [0]]), np.concatenate([[below], seen, [above]])


def category_counts(feature: Feature, words: Sequence[str]) -> tuple[list[str], Array, Array]:
    """The words of the baseline and one for all others, with the rows of both sides."""
    names = list(feature.categories)
    places = {word: at for at, word in enumerate(names)}
    seen = np.zeros(len(names) + 1, dtype=np.int64)
    for word in words:
        seen[places.get(word, len(names))] += 1
    return [*names, OTHERS], np.array([*feature.categories.values(), feature.others]), seen


def psi(expected: Array, seen: Array) -> float:
    """The population stability index of two histograms over the same bins; 0 where either is empty."""
    if not expected.sum() or not seen.sum():
        return 0.0
    # A bin that both leave empty says nothing, and pseudo-counts of two sizes would say something.
    used = (expected + seen) > 0
    p, q = expected[used] + PSEUDO_COUNT, seen[used] + PSEUDO_COUNT
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def psi_by_chance(bins: int, expected: int, seen: int, *, z: float = 3.09) -> float:
    """The index that one of a thousand windows exceeds though nothing moved (``z`` standard deviations).

    It is about ``1/expected + 1/seen`` times a chi-square with ``bins - 1`` degrees (Yurdakul, "Statistical
    Properties of Population Stability Index", 2018); its quantile by Wilson and Hilferty's cube.
    """
    degrees = bins - 1
    if degrees < 1 or not expected or not seen:
        return 0.0
    share = 2 / (9 * degrees)
    quantile = degrees * (1 - share + z * math.sqrt(share)) ** 3
    return (1 / expected + 1 / seen) * quantile


def ks(feature: Feature, values: Array) -> float:
    """The Kolmogorov-Smirnov distance to the baseline, looked at in its points, from both sides.

    Exact where the baseline kept every value it saw; else at most 1/127 less than the exact one.
    """
    if not feature.points or not len(values):
        return 0.0
    ordered = np.sort(values)
    points, n, m = np.array(feature.points), len(values), feature.present
    at_most = np.searchsorted(ordered, points, "right") / n - np.array(feature.up_to) / m
    below = np.searchsorted(ordered, points, "left") / n - np.array(feature.under) / m
    return float(max(np.abs(at_most).max(), np.abs(below).max()))


def ks_by_chance(expected: int, seen: int, *, alpha: float = 0.001) -> float:
    """The distance that a share ``alpha`` of windows exceeds though nothing moved (Smirnov's limit)."""
    if not expected or not seen:
        return 0.0
    return math.sqrt(-math.log(alpha / 2) / 2 * (1 / expected + 1 / seen))


def category_shift(expected: Array, seen: Array) -> float:
    """The total variation distance of two histograms: half the sum of the differences of their shares."""
    if not expected.sum() or not seen.sum():
        return 0.0
    return float(np.abs(expected / expected.sum() - seen / seen.sum()).sum() / 2)


def out_of_range(feature: Feature, values: Array) -> float:
    """The share of ``values`` below the lowest or above the highest of the baseline."""
    if not feature.points or not len(values):
        return 0.0
    outside = np.count_nonzero((values < feature.points[0]) | (values > feature.points[-1]))
    return float(outside / len(values))


def unseen(feature: Feature, words: Sequence[str]) -> float:
    """The share of ``words`` that the baseline does not have; 0 where it had more than it keeps by name."""
    if not words or feature.others:
        return 0.0
    return sum(word not in feature.categories for word in words) / len(words)


def accuracy(
    predicted: Mapping[tuple[str, int], str], labels: Mapping[tuple[str, int], str]
) -> tuple[int, int]:
    """How many predictions have a label, and how many of those are it. Keys: request and row."""
    known = [key for key in predicted if key in labels]
    return len(known), sum(predicted[key] == labels[key] for key in known)
