"""``infra.pages``: what a request costs, from the catalog and the dated table."""

from __future__ import annotations

import pytest

from catalog.alarms import Alarms
from catalog.schema import Model
from infra.pages import shown_model
from planning.prices import read_prices

PRICES = read_prices()


def test_a_function_costs_what_its_memory_costs() -> None:
    shown = shown_model("prod", Model(name="digits", target="lambda", memory_mb=2048))
    assert shown.cost.second == pytest.approx(2 * 0.0000166667)
    assert shown.cost.call == pytest.approx(0.0000002)
    assert shown.cost.fixed_hour == 0


def test_machines_of_every_listed_version_cost_by_the_hour() -> None:
    heavy = Model(
        name="bert",
        target="sagemaker",
        versions=(3, 4),
        instance_type="ml.c5.xlarge",
        min_instances=2,
        max_instances=2,
    )
    assert shown_model("prod", heavy).cost.fixed_hour == pytest.approx(4 * 0.204)


def test_only_alarms_that_exist_are_shown() -> None:
    quiet = Model(name="digits", target="lambda", alarms=Alarms(p99_ms=False, user_pain=False))
    names = shown_model("prod", quiet).alarms
    assert not [name for name in names if name.endswith(("/p99", "/user-pain"))]
    assert "switchyard/prod/digits/faults" in names
