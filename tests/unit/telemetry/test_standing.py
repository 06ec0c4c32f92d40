"""``telemetry.standing``: what is paid for by the hour, whether anybody calls or not."""

from __future__ import annotations

import pytest

from model_store.contract.names import ByVersion
from planning.prices import read_prices
from releases.prices import per_hour as machines_per_hour
from telemetry.standing import per_hour, standing
from tests.unit.releases.heavy import HeavyWorld
from tests.unit.releases.world import World

PRICES = read_prices()


def release(world: World, *versions: int) -> None:
    for version in versions:
        world.controller().release(ByVersion("digits", version))


def test_versions_that_nobody_calls_cost_nothing_by_themselves(world: World) -> None:
    release(world, 1, 2)
    assert standing(world.stage(), "digits", PRICES) == []


def test_environments_that_are_kept_started_cost_whether_they_serve_or_wait(world: World) -> None:
    world.deploy(provisioned=3)
    release(world, 1, 2)
    found = standing(world.stage(), "digits", PRICES)
    assert [(one.version, one.serves) for one in found] == [(1, False), (2, True)]
    each = 3 * 0.5 * 3600 * PRICES.lambda_.provisioned_gb_second
    assert [one.per_hour for one in found] == pytest.approx([each, each])
    assert per_hour(found) == pytest.approx(2 * each)
    assert per_hour(found, serves=False) == pytest.approx(each)


def test_every_snapshot_that_exists_is_paid_for(world: World) -> None:
    world.functions.deploy(world.stage().function("digits"), snap_start="PublishedVersions")
    world.code = "code-2"
    world.deploy()
    release(world, 1, 2)
    found = standing(world.stage(), "digits", PRICES)
    assert [(one.version, one.what, one.serves) for one in found] == [
        (1, "a snapshot of 512 MB", False),
        (2, "a snapshot of 512 MB", True),
    ]
    assert found[0].per_hour == pytest.approx(0.5 * 3600 * PRICES.lambda_.snapstart_cache_gb_second)


def test_endpoints_are_machines_by_the_hour_and_the_older_one_is_warmth() -> None:
    world = HeavyWorld()
    world.deploy()
    for version in (1, 2):
        world.publish(version)
    world.provision(1, 2, instance_type="ml.g5.xlarge", instances=2)
    release(world, 1, 2)
    found = standing(world.stage(), "digits", PRICES)
    assert [(one.version, one.serves) for one in found] == [(1, False), (2, True)]
    assert found[0].what == "2 x ml.g5.xlarge (InService)"
    assert found[0].per_hour == machines_per_hour("ml.g5.xlarge", 2)


def test_a_machine_that_no_table_prices_is_there_all_the_same() -> None:
    world = HeavyWorld()
    world.deploy()
    world.publish(1)
    world.provision(1, instance_type="ml.z9.large")
    release(world, 1)
    (one,) = standing(world.stage(), "digits", PRICES)
    assert one.per_hour is None
    assert per_hour([one]) == 0
