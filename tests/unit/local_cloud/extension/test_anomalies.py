"""``local_cloud.extension.anomalies``: the band around a history."""

from __future__ import annotations

import pytest

from local_cloud.extension.anomalies import LEAST, MOST, band_of


def test_there_is_no_band_before_there_is_a_history() -> None:
    assert band_of([1.0] * (LEAST - 1), 2.0) is None
    assert band_of([1.0] * LEAST, 2.0) is not None


def test_a_band_is_so_many_standard_deviations_wide() -> None:
    history = [8.0, 12.0] * 10
    assert band_of(history, 2.0) == pytest.approx((6.0, 14.0))
    assert band_of(history, 3.0) == pytest.approx((4.0, 16.0))


def test_what_never_varied_has_a_band_too() -> None:
    assert band_of([50.0] * 20, 2.0) == pytest.approx((45.0, 55.0))


def test_what_was_long_ago_is_forgotten() -> None:
    assert band_of([1000.0] * MOST + [10.0] * MOST, 2.0) == pytest.approx((9.0, 11.0))
