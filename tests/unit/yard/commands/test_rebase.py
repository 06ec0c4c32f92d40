"""``yard rebase`` on fakes: what is typed, what is said, and how it exits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import typer
from typer.testing import Result

from releases.stage import Stage
from tests.unit.releases.test_waving import NEW, OLD, Busy, fail, fleet, memory, when_moved
from tests.unit.releases.world import STAGE, World
from yard import deployment
from yard.commands.rebase import read_parts

Yard = Callable[..., Result]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> tuple[World, Busy]:
    """Three models that wait for their waves."""
    world, clock = fleet()

    @dataclass
    class Place:
        stage: str

        def releases(self, say: Callable[[str], None]) -> Stage:
            return world.stage()

    monkeypatch.setattr(deployment, "find", Place)
    return world, clock


def test_it_moves_wave_by_wave_and_says_so(stage: tuple[World, Busy], yard: Yard) -> None:
    done = yard("rebase", "--waves", "5,50", "--bake", "1m", "--stage", STAGE)
    assert done.exit_code == 0, done.output
    assert "3 models stand on the base of the last deploy, in 3 waves" in done.stderr
    assert memory(stage[0]) == [NEW] * 3
    again = yard("rebase", "--stage", STAGE)
    assert "every model stands on the base of the last deploy; nothing moved" in again.stderr


def test_the_plan_names_the_waves_and_moves_nothing(stage: tuple[World, Busy], yard: Yard) -> None:
    done = yard("rebase", "--waves", "words,spam+digits", "--dry-run", "--json", "--stage", STAGE)
    assert json.loads(done.stdout)["waves"] == [["words"], ["spam", "digits"]]
    assert "this was only the plan" in yard("rebase", "--dry-run", "--stage", STAGE).stderr
    assert memory(stage[0]) == [OLD] * 3


def test_a_bad_wave_is_an_exit_code_and_a_sentence(stage: tuple[World, Busy], yard: Yard) -> None:
    world, clock = stage
    when_moved(world, clock, "digits", lambda: fail(world, "digits"))
    done = yard("rebase", "--json", "--stage", STAGE)
    assert done.exit_code == 1
    assert "rebase 1 was stopped at wave 1" in str(done.exception)
    assert json.loads(done.stdout)["ended"] == "bad"
    assert memory(world) == [OLD] * 3


def test_stopping_what_does_not_run_changes_nothing(stage: tuple[World, Busy], yard: Yard) -> None:
    done = yard("rebase", "--stop", "--stage", STAGE)
    assert (done.exit_code, "no rebase in waves is under way" in done.stderr) == (0, True)


def test_parts_are_percentages_and_names() -> None:
    assert read_parts("5, words+spam,25") == (5.0, ("words", "spam"), 25.0)
    with pytest.raises(typer.BadParameter, match="`120` is no percentage"):
        read_parts("120")
