"""Compare what was captured of a version with its baseline: one verdict for each feature, one for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drift import statistics
from model_store.contract.baseline import CATEGORY, INPUT, OUTPUT, Baseline, Feature
from model_store.contract.environment import (
    CATEGORY_SHIFT_METRIC,
    DRIFT_KS_METRIC,
    DRIFT_PSI_METRIC,
    MISSING_RATE_METRIC,
    OUT_OF_RANGE_RATE_METRIC,
    OUTPUT_DRIFT_METRIC,
)
from model_store.features import Array, Column

LEAST_ROWS = 200
"""Fewer captured rows are not judged: an index over ten bins would pass its limit by chance too often."""

PSI_LIMIT = 0.25
"""From here on an index is called a major shift (Siddiqi, "Credit Risk Scorecards", 2006)."""

KS_LIMIT = 0.3
CATEGORY_LIMIT = 0.25
MISSING_LIMIT = 0.05
OUT_OF_RANGE_LIMIT = 0.05

Hash = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Drift:
    """One feature, then and now.

    ``missing`` is how much more often it has no value than at training. ``by_chance`` is the ``psi`` that one
    window of a thousand exceeds though nothing moved. ``bins`` are what a histogram draws: a label, and the
    share of the rows of the baseline and of now.
    """

    name: str
    side: str
    kind: str
    rows: int
    psi: float
    ks: float
    category_shift: float
    missing: float
    out_of_range: float
    by_chance: float
    mean: tuple[float, float] | None = None
    bins: tuple[tuple[str, float, float], ...] = ()

    @property
    def findings(self) -> tuple[str, ...]:
        """What is beyond its limit, in the words of the metrics."""
        limits = (
            (OUTPUT_DRIFT_METRIC if self.side == OUTPUT else DRIFT_PSI_METRIC, self.psi, PSI_LIMIT),
            (DRIFT_KS_METRIC, self.ks, KS_LIMIT),
            (CATEGORY_SHIFT_METRIC, self.category_shift, CATEGORY_LIMIT),
            (MISSING_RATE_METRIC, self.missing, MISSING_LIMIT),
            (OUT_OF_RANGE_RATE_METRIC, self.out_of_range, OUT_OF_RANGE_LIMIT),
        )
        return tuple(name for name, value, limit in limits if value >= limit)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "side": self.side,
            "kind": self.kind,
            "rows": self.rows,
            "psi": round(self.psi, 6),
            "psi_by_chance": round(self.by_chance, 6),
            "ks": round(self.ks, 6),
            "category_shift": round(self.category_shift, 6),
            "missing": round(self.missing, 6),
            "out_of_range": round(self.out_of_range, 6),
            "findings": list(self.findings),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """A version's captured rows against its baseline. Too few rows are counted and not judged."""

    rows: int
    features: tuple[Drift, ...] = ()
    skipped: tuple[str, ...] = ()
    """Features of the baseline of which nothing was captured: dropped, or hashed numbers."""
    labelled: int = 0
    correct: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    worst: Mapping[str, str] = field(default_factory=dict)
    """For each metric the feature that it is the number of."""

    @property
    def enough(self) -> bool:
        return self.rows >= LEAST_ROWS

    @property
    def drifted(self) -> tuple[Drift, ...]:
        """The features that are beyond a limit, the farthest first."""
        return tuple(item for item in by_distance(self.features) if item.findings) if self.enough else ()


def by_distance(features: Iterable[Drift]) -> list[Drift]:
    """The farthest first; of equals the one that comes first in the version."""
    return sorted(features, key=lambda item: (-max(item.psi, item.ks, item.category_shift), item.name))


def compare(
    baseline: Baseline,
    columns: Mapping[str, Column],
    *,
    rows: int,
    hashed: Hash | None = None,
    hashed_tensors: frozenset[str] = frozenset(),
) -> Comparison:
    """Judge every feature of ``baseline`` by ``columns`` of ``rows`` captured rows.

    Values of ``hashed_tensors`` were captured as ``hashed`` makes them; so are the baseline's words.
    """
    found, skipped = [], []
    for feature in baseline.features:
        column = columns.get(feature.name)
        secret = feature.name.partition("[")[0] in hashed_tensors
        if column is None or not len(column.values) or (secret and feature.kind != CATEGORY):
            skipped.append(feature.name)
            continue
        if secret and hashed is not None:
            feature = _hashed(feature, hashed)  # noqa: PLW2901 - the same feature, as it is written there
        found.append(_drift(feature, column))
    metrics, worst = _metrics(found)
    enough = rows >= LEAST_ROWS
    return Comparison(
        rows, tuple(found), tuple(skipped), metrics=metrics if enough else {}, worst=worst if enough else {}
    )


def _hashed(feature: Feature, hashed: Hash) -> Feature:
    from dataclasses import replace

    words = {hashed(word): count for word, count in feature.categories.items()}
    return replace(feature, categories=words)


def _drift(feature: Feature, column: Column) -> Drift:
    total = len(column.values)
    before = feature.missing / feature.rows if feature.rows else 0.0
    missing = max(0.0, column.missing / total - before)
    if feature.kind == CATEGORY:
        words = column.words
        names, expected, seen = statistics.category_counts(feature, words)
        return Drift(
            feature.name,
            feature.side,
            feature.kind,
            total,
            psi=statistics.psi(expected, seen),
            ks=0.0,
            category_shift=statistics.category_shift(expected, seen),
            missing=missing,
            out_of_range=statistics.unseen(feature, words),
            by_chance=statistics.psi_by_chance(
                int(np.count_nonzero(expected + seen)), int(expected.sum()), int(seen.sum())
            ),
            bins=_shares(names, expected, seen),
        )
    numbers = np.array([]) if column.is_text else column.numbers
    if not feature.points or not len(numbers):
        return Drift(feature.name, feature.side, feature.kind, total, 0.0, 0.0, 0.0, missing, 0.0, 0.0)
    expected, seen = statistics.bin_counts(feature, numbers)
    return Drift(
        feature.name,
        feature.side,
        feature.kind,
        total,
        psi=statistics.psi(expected, seen),
        ks=statistics.ks(feature, numbers),
        category_shift=0.0,
        missing=missing,
        out_of_range=statistics.out_of_range(feature, numbers),
        by_chance=statistics.psi_by_chance(
            int(np.count_nonzero(expected + seen)), feature.present, len(numbers)
        ),
        mean=(feature.mean, float(numbers.mean())),
        bins=_shares(_labels(feature), expected, seen),
    )


def _labels(feature: Feature) -> list[str]:
    """What a histogram writes below its bars."""
    lowest, highest = (f"{point:.4g}" for point in (feature.points[0], feature.points[-1]))
    ends = [*(f"{edge:.4g}" for edge in statistics.bin_edges(feature)), highest]
    return [f"< {lowest}", *(f"≤ {end}" for end in ends), f"> {highest}"]


def _shares(labels: list[str], expected: Array, seen: Array) -> tuple[tuple[str, float, float], ...]:
    p, q = expected / max(expected.sum(), 1), seen / max(seen.sum(), 1)
    return tuple(
        (label, float(was), float(now))
        for label, was, now in zip(labels, p, q, strict=True)
        if was or now or not label.startswith(("<", ">", "("))
    )


def _metrics(found: list[Drift]) -> tuple[dict[str, float], dict[str, str]]:
    """The worst feature's number is the model's: a mean over features would hide one that went wrong."""
    inputs = [item for item in found if item.side == INPUT]
    outputs = [item for item in found if item.side == OUTPUT]
    kinds: tuple[tuple[str, list[Drift], Callable[[Drift], float]], ...] = (
        (DRIFT_PSI_METRIC, inputs, lambda item: item.psi),
        (DRIFT_KS_METRIC, [item for item in inputs if item.kind != CATEGORY], lambda item: item.ks),
        (
            CATEGORY_SHIFT_METRIC,
            [item for item in inputs if item.kind == CATEGORY],
            lambda item: item.category_shift,
        ),
        (MISSING_RATE_METRIC, inputs, lambda item: item.missing),
        (OUT_OF_RANGE_RATE_METRIC, inputs, lambda item: item.out_of_range),
        (OUTPUT_DRIFT_METRIC, outputs, lambda item: item.psi),
    )
    metrics, worst = {}, {}
    for name, among, number in kinds:
        if among:
            farthest = max(among, key=number)
            metrics[name], worst[name] = round(number(farthest), 6), farthest.name
    return metrics, worst
