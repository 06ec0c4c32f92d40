"""``yard cost`` on fakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from typer.testing import Result

from model_store.contract.environment import FAULTS_METRIC
from model_store.contract.names import ByVersion
from releases.health import LAMBDA
from releases.ports import Metric
from releases.stage import Stage
from telemetry.adapters.memory import MemoryNumbers
from telemetry.traffic import metric_of
from tests.unit.releases.world import STAGE, World
from yard import deployment

Yard = Callable[..., Result]


@pytest.fixture
def numbers(world: World, monkeypatch: pytest.MonkeyPatch) -> MemoryNumbers:
    """Two versions of ``digits`` with an environment each, and a thousand calls; ``bert`` is not deployed."""
    made = MemoryNumbers(world.clock)

    @dataclass
    class Place:
        stage: str
        api_kind: str = "http"

        def releases(self, say: Callable[[str], None]) -> Stage:
            return world.stage()

        def numbers(self) -> MemoryNumbers:
            return made

        def now(self) -> float:
            return world.clock.now()

    monkeypatch.setattr(deployment, "find", Place)
    monkeypatch.setattr(deployment, "catalog_path", lambda: None)
    world.deploy(provisioned=1)
    world.publish(1, model="bert")
    for version in (1, 2):
        world.controller().release(ByVersion("digits", version))
    of_lambda = (("FunctionName", f"switchyard-{STAGE}-digits"),)
    made.record(Metric(LAMBDA, "Invocations", of_lambda), *[1.0] * 1000)
    made.record(Metric(LAMBDA, "Duration", of_lambda), *[20.0] * 1000)
    for whom in (2, None):
        made.record(metric_of(STAGE, "digits", whom, FAULTS_METRIC), *[0.0] * 1000)
    return made


def test_people_get_a_table_with_what_only_a_rollback_needs(numbers: MemoryNumbers, yard: Yard) -> None:
    done = yard("cost", "digits", "--since", "1d", "--stage", STAGE)
    assert done.exit_code == 0, done.output
    rows = {
        cells[1]: cells
        for line in done.stdout.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("│").split("│")]) == 6
    }
    assert rows["Lambda requests"][2:5] == ["1,000", "requests", "0.0002"]
    assert rows["version 1: 1 environments of 512 MB kept started"][5] == "only for a rollback"
    assert rows["version 2: 1 environments of 512 MB kept started"][5] == ""
    assert "for 1000 requests" in rows["together"][5]
    assert "only for a rollback" in rows["together"][5]
    assert "as of 2025-11" in done.stdout


def test_programs_get_one_document(numbers: MemoryNumbers, yard: Yard) -> None:
    found = json.loads(yard("cost", "--since", "1d", "--json", "--stage", STAGE).stdout)
    (model,) = found["models"]
    assert (model["model"], model["requests"]) == ("digits", 1000)
    assert model["dollars"] == pytest.approx(sum(item["dollars"] for item in model["items"]))
    assert model["per_thousand"] == pytest.approx(model["dollars"])
    assert found["dollars"] == model["dollars"]
    assert found["prices"]["as_of"] == "2025-11"


def test_a_model_that_is_not_deployed_is_refused_by_name(numbers: MemoryNumbers, yard: Yard) -> None:
    done = yard("cost", "bert", "--stage", STAGE)
    assert done.exit_code == 1
    assert "`bert` is not deployed" in str(done.exception)
