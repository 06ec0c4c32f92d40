"""``releases.prices``: an estimate from a table with a date, or none."""

from __future__ import annotations

from datetime import date

import pytest

from catalog.instances import known_types
from releases.prices import AS_OF, PER_HOUR, per_hour


def test_machines_cost_their_number_times_their_price() -> None:
    assert per_hour("ml.g5.xlarge", 3) == pytest.approx(4.224)
    assert per_hour("ml.g5.xlarge", 0) == 0


def test_a_machine_that_is_not_in_the_table_has_no_price() -> None:
    assert per_hour("ml.unheard.of", 1) is None


def test_the_table_says_when_it_was_true_and_names_machines_that_exist() -> None:
    date.fromisoformat(AS_OF)
    assert set(PER_HOUR) <= known_types("sagemaker") | known_types("ec2")
    assert all(price > 0 for price in PER_HOUR.values())
