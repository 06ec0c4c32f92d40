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
from telemetry.ports import Wanted
from tests.unit.releases.heavy import HeavyWorld
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


@pytest.fixture(params=["sagemaker", "ec2"])
def heavy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[HeavyWorld, MemoryLines]:
    """Two versions with an endpoint each, and what their containers wrote."""
    world = HeavyWorld(target=request.param)
    for version in (1, 2):
        world.publish(version)
    world.deploy()
    world.provision(1, 2)
    lines = MemoryLines(world.clock)

    @dataclass
    class Place:
        stage: str

        def releases(self, say: Callable[[str], None]) -> Stage:
            return world.stage()

        def lines(self) -> MemoryLines:
            return lines

        def now(self) -> float:
            return world.clock.now()

    monkeypatch.setattr(deployment, "find", Place)
    for version in (1, 2):
        group = f"/aws/sagemaker/Endpoints/{world.endpoint(version)}"
        lines.write(group, f"digits:{version} is loading", at=world.clock.now() - 60 + version)
        lines.write(group, f"Traceback of version {version}", at=world.clock.now() - 30 + version)
    return world, lines


def test_what_containers_wrote_belongs_to_the_version_of_their_endpoint(
    heavy: tuple[HeavyWorld, MemoryLines], yard: Yard
) -> None:
    every = yard("logs", "digits", "--container", "--json", "--stage", STAGE)
    assert every.exit_code == 0, every.stderr
    found = [json.loads(line) for line in every.stdout.splitlines()]
    assert [(line["model_version"], line["text"].split()[0]) for line in found] == [
        *((1, "digits:1"), (2, "digits:2"), (1, "Traceback"), (2, "Traceback")),
    ]
    newest = yard("logs", "digits", "--container", "--last", "1", "--stage", STAGE).stdout
    assert newest.rstrip().endswith("digits:2  Traceback of version 2")
    failed = yard("logs", "digits", "--container", "--errors", "--version", "1", "--stage", STAGE).stdout
    assert [line.split("  ")[1:] for line in failed.splitlines()] == [["digits:1", "Traceback of version 1"]]


def test_one_container_is_followed_and_not_several(
    heavy: tuple[HeavyWorld, MemoryLines], yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, lines = heavy
    assert yard("logs", "digits", "--container", "--follow", "--stage", STAGE).exit_code == 2

    def sleep(seconds: float) -> None:
        world.clock.seconds += seconds
        group = f"/aws/sagemaker/Endpoints/{world.endpoint(2)}"
        if any("new" in line.text for line in lines.newest(group, Wanted(), since=0, until=9e9, most=9)):
            raise KeyboardInterrupt
        lines.write(group, "new")

    monkeypatch.setattr(world.clock, "sleep", sleep)
    done = yard("logs", "digits", "--container", "--follow", "--version", "2", "--stage", STAGE)
    assert [line.split("  ")[-1] for line in done.stdout.splitlines()] == [
        *("digits:2 is loading", "Traceback of version 2", "new"),
    ]


def test_a_version_without_an_endpoint_has_no_container(
    heavy: tuple[HeavyWorld, MemoryLines], yard: Yard
) -> None:
    done = yard("logs", "digits", "--container", "--version", "7", "--stage", STAGE)
    assert done.exit_code == 1
    assert "`digits:7` has no endpoint" in str(done.exception)


@pytest.mark.parametrize("more", [(), ("--alias", "live"), ("--slowest", "3")])
def test_a_model_on_lambda_has_no_container_and_a_container_no_alias(
    lines: MemoryLines, yard: Yard, more: tuple[str, ...]
) -> None:
    assert yard("logs", "digits", "--container", *more, "--stage", STAGE).exit_code == 2


def test_following_and_slowest_exclude_each_other(lines: MemoryLines, yard: Yard) -> None:
    assert yard("logs", "digits", "--follow", "--slowest", "3", "--stage", STAGE).exit_code == 2
