"""``yard.moves``: a command that moves an alias says what it did, once, on the right stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from model_store.contract.names import ByVersion
from releases.adapters.memory import MemoryFunctions
from releases.controller import Controller, Moved
from releases.stage import Stage
from tests.unit.releases.world import World, honest
from yard import moves


class Place:
    """A deployment in memory."""

    def __init__(self, world: World) -> None:
        self._world = world

    def releases(self, say: Callable[[str], None]) -> Stage:
        made = self._world.stage()
        made.say = say
        return made


@pytest.fixture
def place() -> Any:
    world = World(MemoryFunctions(honest))
    world.deploy()
    world.publish(1)
    return Place(world)


def release(place: Any, *, as_json: bool, in_seconds: bool = False) -> None:
    moves.carry_out(
        place,
        "releasing digits:1",
        lambda stage: Controller(stage).release(ByVersion("digits", 1)),
        done=lambda moved, where: f"{moved.ref} serves {where}",
        as_json=as_json,
        in_seconds=in_seconds,
    )


def test_people_read_what_happened_and_the_shell_what_serves(
    place: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    release(place, as_json=False, in_seconds=True)
    said = capsys.readouterr()
    assert said.out == "digits:1\n"
    assert "digits:1 serves (ledger line 1, 0.0 s)" in said.err
    release(place, as_json=False)
    assert "digits:1 serves (ledger line -, " in capsys.readouterr().err


def test_json_is_one_document_with_the_line_and_the_time(
    place: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    release(place, as_json=True)
    body = json.loads(capsys.readouterr().out)
    assert (body["version"], body["moved"], body["line"]["line"]) == (1, True, 1)
    assert body["took_ms"] >= 0


def test_a_plan_is_printed_and_nothing_is_done(place: Any, capsys: pytest.CaptureFixture[str]) -> None:
    moves.plan(place, lambda planner: planner.release(ByVersion("digits", 1)), as_json=True)
    assert json.loads(capsys.readouterr().out)["command"] == "release"
    assert Controller(place.releases(print)).history("digits") == []


def test_nothing_serves_after_a_retirement_so_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    moves.report(Moved(ByVersion("digits", 0), "live", "1", None, ("look out",)), 1.0, as_json=False)
    said = capsys.readouterr()
    assert said.out == ""
    assert "warning: look out" in said.err
