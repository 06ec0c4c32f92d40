"""``releases.plans``: a plan changes nothing, and says what its command then does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from model_store.contract.manifest import NO_GOLDEN
from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.errors import NothingToRollBackError, ShiftRunningError, UnfitVersionError
from releases.plans import Plan, Planner
from releases.shadowing import Shadowing
from releases.shifting import Shifting
from releases.stage import Stage
from tests.unit.releases.world import Around, World

WRITES = {
    "put_once",
    "try_put_once",
    "put_file_once",
    "configure",
    "publish",
    "publish_layer",
    "create_alias",
    "move_alias",
    "weigh_alias",
    "provision",
    "unprovision",
    "invoke",
    "put_alarm",
    "delete_alarms",
    "rearm",
    "start",
    "end",
}
SHIFT: dict[str, Any] = {"shares": (0.05, 0.5), "bake_s": 60.0, "hold_s": 600.0, "min_requests": 30}


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


@dataclass
class Counting:
    """A stage that counts every call that changes something."""

    world: World
    writes: list[str] = field(default_factory=list)

    def stage(self) -> Stage:
        def before(name: str) -> None:
            if name in WRITES:
                self.writes.append(name)

        return self.world.stage(
            store=Around(self.world.store, before=before),
            functions=Around(self.world.functions, before=before),
            monitoring=Around(self.world.monitoring, before=before),
            executions=Around(self.world.executions, before=before),
        )


COMMANDS: dict[str, tuple[Callable[[Planner], Plan], Callable[[Stage], object]]] = {
    "release": (lambda plan: plan.release(ref(3)), lambda stage: Controller(stage).release(ref(3))),
    "release of what was prepared": (
        lambda plan: plan.release(ref(1)),
        lambda stage: Controller(stage).release(ref(1)),
    ),
    "release of what serves": (
        lambda plan: plan.release(ref(2)),
        lambda stage: Controller(stage).release(ref(2)),
    ),
    "rollback": (lambda plan: plan.rollback("digits"), lambda stage: Controller(stage).rollback("digits")),
    "rollback to what serves": (
        lambda plan: plan.rollback("digits", to=2),
        lambda stage: Controller(stage).rollback("digits", to=2),
    ),
    "forced rollback": (
        lambda plan: plan.rollback("digits", now=True),
        lambda stage: Controller(stage).rollback("digits", now=True),
    ),
    "flip": (
        lambda plan: plan.flip(ref(1)),
        lambda stage: Controller(stage).flip(ref(1), reason="pages"),
    ),
    "retire": (lambda plan: plan.retire("digits"), lambda stage: Controller(stage).retire("digits")),
    "stop without a shift": (lambda plan: plan.stop("digits"), lambda stage: Shifting(stage).stop("digits")),
}


@pytest.fixture
def released(world: World) -> World:
    for version in (1, 2):
        world.controller().release(ref(version))
    return world


@pytest.mark.parametrize("name", COMMANDS)
def test_a_plan_writes_nothing_and_its_command_does_what_it_says(released: World, name: str) -> None:
    make, run = COMMANDS[name]
    counting = Counting(released)
    plan = make(Planner(counting.stage()))
    assert counting.writes == []
    assert plan.serves == 2

    before = len(released.controller().history("digits"))
    run(released.stage())
    moved = len(released.controller().history("digits")) > before
    assert moved is any(action.do == "move" for action in plan.actions)
    assert released.status().version == plan.then


def test_a_plan_of_a_shift_writes_nothing_and_names_every_step(released: World) -> None:
    counting = Counting(released)
    plan = Planner(counting.stage()).shift(ref(3), **SHIFT)
    assert counting.writes == []
    assert [action.do for action in plan.actions] == [
        "start",
        "publish",
        "check",
        "arm",
        "weigh",
        "bake",
        "weigh",
        "bake",
        "move",
        "arm",
    ]
    assert "5% of digits@live" in plan.actions[4].what
    assert (plan.serves, plan.then) == (2, 3)


@pytest.mark.parametrize("name", ["stop", "rollback", "flip"])
def test_a_plan_while_a_shift_runs_says_that_the_shift_ends(released: World, name: str) -> None:
    shift = released.begin(3, 0.5)
    step = Shifting(released.stage()).step
    step("weigh", step("prepare", {"shift": shift.where, "step": 0}))
    counting = Counting(released)
    plans: dict[str, Callable[[Planner], Plan]] = {
        "stop": lambda plan: plan.stop("digits"),
        "rollback": lambda plan: plan.rollback("digits"),
        "flip": lambda plan: plan.flip(ref(1)),
    }
    plan = plans[name](Planner(counting.stage()))
    assert counting.writes == []
    assert "end" in [action.do for action in plan.actions]
    assert plan.then == (1 if name == "flip" else 2)


def test_a_plan_of_a_shadow_writes_nothing_and_moves_nothing(released: World) -> None:
    counting = Counting(released)
    plan = Planner(counting.stage()).shadow(ref(3), share=0.1)
    assert counting.writes == []
    assert [action.do for action in plan.actions] == ["publish", "check", "publish", "mirror"]
    assert "10% of digits@live" in plan.actions[-1].what
    assert (plan.serves, plan.then) == (2, 2)
    Shadowing(released.stage()).begin(ref(3), share=0.1)
    assert Planner(released.stage()).shadow(ref(3), share=0.1).actions == ()


def test_a_plan_while_a_shadow_runs_says_that_the_shadow_ends(released: World) -> None:
    assert Planner(released.stage()).stop_shadow("digits").actions == ()
    Shadowing(released.stage()).begin(ref(3), share=0.1)
    counting = Counting(released)
    planner = Planner(counting.stage())
    for plan in (planner.rollback("digits"), planner.flip(ref(1)), planner.release(ref(1))):
        assert any(action.what == "end the shadow of digits:3, which is running" for action in plan.actions)
        assert plan.then == 1
    assert [action.do for action in planner.stop_shadow("digits").actions] == ["move"]
    assert counting.writes == []


def test_a_plan_of_the_shift_that_runs_joins_it(released: World) -> None:
    released.begin(3, 0.05, 0.5, bake_s=60.0, hold_s=600.0)
    (action,) = Planner(released.stage()).shift(ref(3), **SHIFT).actions
    assert action.do == "join"


def test_a_plan_reads_a_line_that_a_crash_left_unwritten_and_leaves_it(released: World) -> None:
    controller = released.controller()
    controller.rollback("digits")
    key = max(released.store.keys("models/digits/releases/live/"))
    released.store._objects.pop(key)  # the process died between the alias and the line
    counting = Counting(released)
    plan = Planner(counting.stage()).rollback("digits")
    assert counting.writes == []
    assert [action.do for action in plan.actions] == ["complete"]
    assert plan.then == 1


def test_a_plan_says_how_the_model_gets_to_its_function(released: World) -> None:
    assert Planner(released.stage()).release(ref(3)).actions[0].what.endswith("version; model: layer")
    released.ephemeral_mb = 1024
    released.deploy()
    released.publish_large(4, 900_000_000, path="w.bin")
    with pytest.raises(UnfitVersionError, match="of memory to be loaded"):
        Planner(released.stage()).release(ref(4))
    released.memory_mb = 2048
    released.deploy()
    plan = Planner(released.stage()).release(ref(4))
    assert plan.actions[0].what == (
        "publish digits:4 (900,001,000 bytes) as a new Lambda version; model: S3 at start, 1024 MB"
    )
    assert plan.warnings[0].startswith("reading `digits:4` from S3 takes some 15 s by estimate")
    assert Controller(released.stage()).release(ref(4)).warnings[:1] == plan.warnings


def test_what_a_command_refuses_its_plan_refuses_too(released: World) -> None:
    with pytest.raises(UnfitVersionError, match="no Lambda version"):
        Planner(released.stage()).flip(ref(3))
    with pytest.raises(NothingToRollBackError):
        Planner(released.stage()).rollback("digits", to=3)
    released.publish(9, golden=NO_GOLDEN)
    released.publish_large(8)
    for version, fact in ((9, "no golden sample"), (8, "may not read its versions from S3")):
        with pytest.raises(UnfitVersionError, match=fact):
            Planner(released.stage()).release(ref(version))
        with pytest.raises(UnfitVersionError, match=fact):
            Planner(released.stage()).shift(ref(version), **SHIFT)
    released.begin(3)
    with pytest.raises(ShiftRunningError):
        Planner(released.stage()).release(ref(1))
    with pytest.raises(ShiftRunningError):
        Planner(released.stage()).retire("digits")


def test_a_plan_is_plain_data(released: World) -> None:
    body = Planner(released.stage()).rollback("digits").as_json()
    assert (body["command"], body["serves"], body["then"], body["changes_nothing"]) == (
        "rollback",
        2,
        1,
        False,
    )
    assert body["actions"][0]["do"] == "move"
