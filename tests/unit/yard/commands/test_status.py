"""``yard status`` on fakes: one screen about a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from typer.testing import Result

from model_store.contract.errors import AccessDeniedError
from model_store.contract.names import ByVersion
from releases.stage import Stage
from releases.waving import Waving
from telemetry.adapters.memory import MemoryNumbers
from telemetry.ports import AlarmSeen
from tests.unit.releases.world import STAGE, World
from yard import deployment

Yard = Callable[..., Result]
PREFIX = f"switchyard/{STAGE}/digits/"


class Unreadable(MemoryNumbers):
    """CloudWatch for somebody who may not look."""

    def alarms(self, prefix: str, *, only_firing: bool = False) -> list[AlarmSeen]:
        raise AccessDeniedError(f"AWS denies access to the alarms that begin with `{prefix}`")


@dataclass
class Scene:
    """A stage with two released versions of ``digits``, and what CloudWatch knows."""

    world: World
    numbers: MemoryNumbers = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = MemoryNumbers(self.world.clock)
        self.world.deploy(provisioned=2)
        for version in (1, 2):
            self.world.controller().release(ByVersion("digits", version))


@pytest.fixture
def scene(world: World, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(world)

    @dataclass
    class Place:
        stage: str
        api_url: str | None = None

        def releases(self, say: Callable[[str], None]) -> Stage:
            return world.stage()

        def numbers(self) -> MemoryNumbers:
            return scene.numbers

    monkeypatch.setattr(deployment, "find", Place)
    monkeypatch.setattr(deployment, "catalog_path", lambda: None)
    return scene


def test_it_says_what_is_warm_and_what_that_costs(scene: Scene, yard: Yard) -> None:
    done = yard("status", "digits", "--stage", STAGE)
    assert done.exit_code == 0, done.output
    each = 2 * 0.5 * 3600 * 0.0000041667
    assert (
        f"2 things that stand ready cost ${2 * each:.4f} an hour, ${each:.4f} of it only for" in done.stderr
    )
    assert "as of 2025-11" in done.stderr


def test_what_costs_nothing_is_not_spoken_of(scene: Scene, yard: Yard) -> None:
    scene.world.deploy(provisioned=0)
    scene.world.controller().release(ByVersion("digits", 3))
    assert "an hour" not in yard("status", "digits", "--stage", STAGE).stderr


def test_an_alarm_that_fires_is_a_warning_with_since_when(scene: Scene, yard: Yard) -> None:
    at = scene.world.clock.now()
    scene.numbers.put(AlarmSeen(f"{PREFIX}live/abc/faults", "ALARM", at - 90, reason="3 of 3 periods"))
    scene.numbers.put(AlarmSeen(f"{PREFIX}live/abc/errors", "OK", at - 600))
    scene.numbers.put(AlarmSeen(f"{PREFIX}live/abc/latency", "INSUFFICIENT_DATA", at - 30))
    said = yard("status", "digits", "--stage", STAGE).stderr
    assert f"warning: {PREFIX}live/abc/faults is in ALARM since 2026-09-21T14:11:50" in said
    assert "3 of 3 periods" in said
    assert "live/abc/errors" not in said


def test_where_no_alarm_fires_one_line_says_so(scene: Scene, yard: Yard) -> None:
    for what in ("errors", "faults"):
        scene.numbers.put(AlarmSeen(f"{PREFIX}live/abc/{what}", "OK", scene.world.clock.now()))
    said = yard("status", "digits", "--stage", STAGE).stderr
    assert "digits: none of its alarms fires" in said


def test_what_an_alarm_took_back_is_told_for_a_week(scene: Scene, yard: Yard) -> None:
    scene.world.deploy(provisioned=0)

    def between(at: dict[str, object]) -> None:
        if at["next"] == "bake":
            scene.world.traffic(40, errors=40)

    scene.world.drive(scene.world.begin(3, 0.5), between)
    said = yard("status", "digits", "--stage", STAGE).stderr
    assert "an alarm took digits@live back to digits:2 at 2026-09-21" in said
    scene.world.clock.sleep(8 * 86_400)
    assert "an alarm took" not in yard("status", "digits", "--stage", STAGE).stderr


def test_who_may_not_read_alarms_still_learns_the_rest(scene: Scene, yard: Yard) -> None:
    scene.numbers = Unreadable(scene.world.clock)
    done = yard("status", "digits", "--stage", STAGE)
    assert done.exit_code == 0
    assert "digits:2" in done.stdout
    assert "the alarms of digits could not be read: AWS denies access" in done.stderr


def test_programs_read_the_same(scene: Scene, yard: Yard) -> None:
    scene.numbers.put(AlarmSeen(f"{PREFIX}live/abc/faults", "ALARM", scene.world.clock.now()))
    (model,) = json.loads(yard("status", "digits", "--json", "--stage", STAGE).stdout)["models"]
    assert [one["serves"] for one in model["standing"]["things"]] == [False, True]
    assert model["standing"]["for_rollback"] == pytest.approx(model["standing"]["per_hour"] / 2)
    assert [(alarm["name"], alarm["state"]) for alarm in model["alarms"]] == [
        (f"{PREFIX}live/abc/faults", "ALARM")
    ]


def test_it_names_who_waits_for_a_wave_and_how_far_a_rebase_is(scene: Scene, yard: Yard) -> None:
    scene.world.memory_mb = 1024
    scene.world.deploy(waves=True)
    said = yard("status", "digits", "--stage", STAGE)
    assert "older base, waits for its wave" in said.stdout
    assert "waiting for `yard rebase` to move them: digits" in said.stderr
    begun = Waving(scene.world.stage()).begin((100.0,), bake_s=60)
    assert begun is not None
    assert "rebase 1 is at wave 1 of 1 (digits), asked for by ann" in yard("status", "--stage", STAGE).stderr
    found = json.loads(yard("status", "digits", "--json", "--stage", STAGE).stdout)
    assert (found["rebase"]["number"], found["aliases"][0]["waits"]) == (1, True)
