"""``yard logs`` on fakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import Result

from model_store.contract.names import ByVersion
from releases.stage import Stage
from telemetry.adapters.memory import MemoryLines
from tests.unit.releases.world import STAGE, World
from yard import deployment

Yard = Callable[..., Result]
GROUP = f"/aws/lambda/switchyard-{STAGE}-digits"


@pytest.fixture
def lines(world: World, monkeypatch: pytest.MonkeyPatch) -> MemoryLines:
    made = MemoryLines(world.clock)

    @dataclass
    class Place:
        stage: str

        def releases(self, say: Callable[[str], None]) -> Stage:
            return world.stage()

        def lines(self) -> MemoryLines:
            return made

        def now(self) -> float:
            return world.clock.now()

    monkeypatch.setattr(deployment, "find", Place)
    for version in (1, 2):
        world.controller().release(ByVersion("digits", version))
    return made


def request(lines: MemoryLines, world: World, number: int, *, ago: float = 60.0, **fields: Any) -> None:
    line = {
        "request_id": f"id-{number}",
        "version": "2",
        "alias": "live",
        "method": "POST",
        "route": "/v2/models/{model}/infer",
        "status": 200,
        "ms": 3.25,
        "cold": False,
        "Latency": 3.25,
        **fields,
    }
    lines.write(GROUP, json.dumps(line), stream="2026/09/21/[3]ab", at=world.clock.now() - ago)


def test_people_read_a_line_for_each_request(world: World, lines: MemoryLines, yard: Yard) -> None:
    request(lines, world, 1, cold=True, Rows=4)
    request(lines, world, 2, ago=30.5, status=500, failure="ValueError", trace='  File "a.py", line 3\n')
    done = yard("logs", "digits", "--stage", STAGE)
    assert done.exit_code == 0, done.output
    first, second, trace = done.stdout.splitlines()
    assert first.startswith("2026-09-21 14:12:20.000  digits:2  200")
    for word in ("3.2 ms", "POST /v2/models/{model}/infer", "@live", "4 rows", "cold", "id-1"):
        assert word in first
    assert "500" in second
    assert "ValueError" in second
    assert trace == '      File "a.py", line 3'


def test_programs_read_a_document_a_line(world: World, lines: MemoryLines, yard: Yard) -> None:
    request(lines, world, 1)
    lines.write(GROUP, "a library says something", stream="2026/09/21/[2]ab")
    ours, other = map(json.loads, yard("logs", "digits", "--json", "--stage", STAGE).stdout.splitlines())
    assert (ours["model_version"], ours["line"]["request_id"]) == (2, "id-1")
    assert (other["model_version"], other["text"]) == (1, "a library says something")


def test_a_version_has_its_own_lines_and_what_lambda_wrote_of_its_environments(
    world: World, lines: MemoryLines, yard: Yard
) -> None:
    request(lines, world, 1, version="1")
    request(lines, world, 2)
    for number, what in (("2", "of version 1"), ("3", "of version 2")):
        lines.write(GROUP, f"Task timed out, {what}", stream=f"2026/09/21/[{number}]ab")
    found = yard("logs", "digits", "--version", "1", "--stage", STAGE).stdout
    assert "id-1" in found
    assert "of version 1" in found
    assert "version 2" not in found
    assert "id-2" not in found


def test_only_failures_only_an_alias_only_the_slowest(world: World, lines: MemoryLines, yard: Yard) -> None:
    request(lines, world, 1, status=503)
    request(lines, world, 2, alias="candidate", Latency=900.0)
    request(lines, world, 3, Latency=20.0)
    for words, found in (
        (("--errors",), ["id-1"]),
        (("--alias", "candidate"), ["id-2"]),
        (("--slowest", "2"), ["id-2", "id-3"]),
        (("--last", "1"), ["id-3"]),
    ):
        shown = yard("logs", "digits", *words, "--stage", STAGE).stdout.splitlines()
        assert [line.split()[-1] for line in shown] == found


def test_nothing_is_said_to_be_nothing(lines: MemoryLines, yard: Yard) -> None:
    done = yard("logs", "digits", "--since", "5m", "--stage", STAGE)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "nothing of that kind was logged in the last 5m" in done.stderr


def test_following_goes_on_with_new_lines_each_once_until_ctrl_c(
    world: World, lines: MemoryLines, yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    request(lines, world, 1, ago=1)
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        world.clock.seconds += seconds
        if len(pauses) == 3:
            raise KeyboardInterrupt
        request(lines, world, 1 + len(pauses), ago=0)

    monkeypatch.setattr(world.clock, "sleep", sleep)
    done = yard("logs", "digits", "--follow", "--stage", STAGE)
    assert done.exit_code == 0
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["id-1", "id-2", "id-3"]


def test_following_and_slowest_exclude_each_other(lines: MemoryLines, yard: Yard) -> None:
    assert yard("logs", "digits", "--follow", "--slowest", "3", "--stage", STAGE).exit_code == 2
