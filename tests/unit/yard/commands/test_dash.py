"""``yard dash`` on fakes: the deployed page, drawn into a file, with the ledger's releases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import Result

from dashboards.adapters.memory import MemoryBoardReader
from dashboards.boards import Cost, Shown, fleet_board, model_board
from dashboards.ports import Line
from model_store.contract.deployment import fleet_dashboard_name, model_dashboard_name
from model_store.contract.names import ByVersion
from releases.stage import Stage
from tests.unit.releases.world import STAGE, World
from yard import deployment

Yard = Callable[..., Result]
SHOWN = Shown(STAGE, "digits", ("live",), Cost(0.1, 0.2))


@pytest.fixture
def place(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    at = world.clock.now()
    lines = {"v${PROP('Dim.version')}": [Line("q0", "v1", ((at - 120, 7.0), (at - 60, 9.0)))]}
    bodies = {
        model_dashboard_name(STAGE, "digits"): json.dumps(
            model_board(SHOWN, region="r", alarm_arn="a:", marks_arn="arn:marks")
        ),
        fleet_dashboard_name(STAGE): json.dumps(fleet_board(STAGE, [SHOWN], region="r", alarm_arn="a:")),
    }

    @dataclass
    class Place:
        stage: str

        def releases(self, say: Callable[[str], None]) -> Stage:
            return world.stage()

        def boards(self) -> MemoryBoardReader:
            return MemoryBoardReader(bodies=bodies, lines=lines)

        def now(self) -> float:
            return world.clock.now() + 1

    monkeypatch.setattr(deployment, "find", Place)
    return world


def test_a_models_page_is_drawn_with_its_releases(place: World, yard: Yard, tmp_path: Path) -> None:
    place.controller().release(ByVersion("digits", 1), reason="because")
    out = tmp_path / "page.html"
    done = yard("dash", "digits", "--out", str(out), "--stage", STAGE, "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["dashboard"], len(said["charts"])) == (model_dashboard_name(STAGE, "digits"), 13)
    assert [mark["label"] for mark in said["marks"]] == ["live: v1"]
    page = out.read_text("utf-8")
    assert page.count("<svg ") == 13
    assert said["marks"][0]["why"] == "because"
    assert "<td>because</td>" in page
    assert "Not drawn here" not in page
    assert "live: v1" in page


def test_without_a_name_the_stage_is_drawn(place: World, yard: Yard, tmp_path: Path) -> None:
    out = tmp_path / "fleet.html"
    done = yard("dash", "--out", str(out), "--stage", STAGE)
    assert done.exit_code == 0, done.stderr
    assert "7 charts" in done.stderr
    assert "Requests by model" in out.read_text("utf-8")


def test_a_model_without_a_page_is_refused_with_a_way_out(place: World, yard: Yard, tmp_path: Path) -> None:
    done = yard("dash", "spare", "--out", str(tmp_path / "page.html"), "--stage", STAGE)
    assert done.exit_code == 1
    assert "there is no dashboard" in str(done.exception)
    assert not (tmp_path / "page.html").exists()
