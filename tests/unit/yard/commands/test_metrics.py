"""``yard metrics`` and ``yard top`` on fakes: what people and programs read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from typer.testing import Result

from model_store.contract.environment import FAULTS_METRIC, LATENCY_METRIC
from model_store.contract.names import ByVersion
from releases.health import LAMBDA
from releases.ports import Metric
from releases.stage import Stage
from telemetry.adapters.memory import MemoryNumbers
from telemetry.ports import AlarmSeen
from telemetry.traffic import metric_of
from tests.unit.releases.world import STAGE, World
from yard import deployment
from yard.commands.metrics import bars

Yard = Callable[..., Result]


@pytest.fixture
def numbers(world: World, monkeypatch: pytest.MonkeyPatch) -> MemoryNumbers:
    made = MemoryNumbers(world.clock)

    @dataclass
    class Place:
        stage: str

        def releases(self, say: Callable[[str], None]) -> Stage:
            return world.stage()

        def numbers(self) -> MemoryNumbers:
            return made

        def now(self) -> float:
            return world.clock.now()

    monkeypatch.setattr(deployment, "find", Place)
    monkeypatch.setattr(deployment, "catalog_path", lambda: None)
    return made


def count(numbers: MemoryNumbers, version: int, requests: int, *, faults: int = 0) -> None:
    for whom in (version, None):
        outcomes = [*[1.0] * faults, *[0.0] * (requests - faults)]
        numbers.record(metric_of(STAGE, "digits", whom, FAULTS_METRIC), *outcomes)
        numbers.record(metric_of(STAGE, "digits", whom, LATENCY_METRIC), *[4.0] * requests)


def test_metrics_are_a_table_by_version(numbers: MemoryNumbers, yard: Yard) -> None:
    count(numbers, 1, 30)
    count(numbers, 2, 8, faults=2)
    done = yard("metrics", "digits", "--stage", STAGE)
    assert done.exit_code == 0, done.output
    rows = [line for line in done.stdout.splitlines() if "│" in line]
    cells = [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]
    assert [row[0] for row in cells] == ["digits:1", "digits:2", "all"]
    assert [row[1] for row in cells] == ["30", "8", "38"]
    assert cells[1][3] == "2 (25.0%)"
    assert cells[0][4] == "4.0 / 4.0 / 4.0"
    assert "█" in cells[0][9]


def test_metrics_are_one_document_for_programs(numbers: MemoryNumbers, yard: Yard) -> None:
    count(numbers, 2, 8, faults=2)
    words = ("metrics", "digits", "--version", "2", "--since", "30m", "--period", "5m", "--json")
    done = yard(*words, "--stage", STAGE)
    found = json.loads(done.stdout)
    assert (found["model"], found["period_s"]) == ("digits", 300)
    (version,) = found["versions"]
    assert (version["version"], version["requests"], version["faults"]) == (2, 8, 2)
    assert version["latency"] == {"p50": 4.0, "p95": 4.0, "p99": 4.0}
    assert [moment["requests"] for moment in version["series"]] == [8]


def test_no_traffic_is_said_and_is_no_failure(numbers: MemoryNumbers, yard: Yard) -> None:
    done = yard("metrics", "digits", "--stage", STAGE)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no request of digits was counted in the last 1h" in done.stderr


def test_what_lambda_counts_and_no_version_is_a_warning(numbers: MemoryNumbers, yard: Yard) -> None:
    function = (("FunctionName", f"switchyard-{STAGE}-digits"),)
    numbers.record(Metric(LAMBDA, "Errors", function), 1.0, 1.0)
    assert "2 failed and 0 throttled invocations" in yard("metrics", "digits", "--stage", STAGE).stderr


@pytest.mark.parametrize("words", [("--since", "soon"), ("--version", "0")])
def test_what_cannot_be_meant_is_a_usage_error(
    numbers: MemoryNumbers, yard: Yard, words: tuple[str, str]
) -> None:
    assert yard("metrics", "digits", "--stage", STAGE, *words).exit_code == 2


def test_bars_show_the_most_as_a_full_block_and_nothing_as_nothing() -> None:
    assert bars([0, 1, 4, 8]) == " ▁▄█"
    assert bars([0, 0]) == "  "
    assert bars([1, 1000]) == "▁█"


def test_top_off_a_terminal_looks_once_and_is_plain(world: World, numbers: MemoryNumbers, yard: Yard) -> None:
    world.controller().release(ByVersion("digits", 1))
    count(numbers, 1, 60, faults=3)
    name = f"switchyard/{STAGE}/digits/live/abc/faults"
    numbers.put(AlarmSeen(name, "ALARM", world.clock.now(), reason="3 of 3 periods"))
    done = yard("top", "--stage", STAGE)
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if "│ digits" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:3] == ["digits", "1", "live"]
    assert cells[4:] == ["4.0", "4.0", "3 (5.0%)", "1 in ALARM"]
    assert f"ALARM {name}: 3 of 3 periods" in done.stdout


def test_top_is_one_document_for_programs(world: World, numbers: MemoryNumbers, yard: Yard) -> None:
    world.controller().release(ByVersion("digits", 1))
    count(numbers, 1, 5)
    found = json.loads(yard("top", "--json", "--stage", STAGE).stdout)
    (row,) = found["rows"]
    assert (row["model"], row["version"], row["requests"]) == ("digits", 1, 5)
    assert row["shares"] == [{"alias": "live", "share": 1.0}]
    assert (found["stage"], found["firing"]) == (STAGE, [])


def test_top_before_the_first_release_says_so(numbers: MemoryNumbers, yard: Yard) -> None:
    assert "no model serves anything yet" in yard("top", "--once", "--stage", STAGE).stdout
