"""``functions.operations.actions``: the events of the state machine and of alarms, on the shipped fakes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.operations.actions import hear_alarms, keep_all_awake, serve_pipeline, take_step
from model_store.contract.deployment import alarms_prefix
from model_store.contract.names import ByVersion
from releases.adapters.memory import MemoryFunctions
from releases.errors import DisagreementError
from releases.stage import Stage
from tests.unit.releases.world import STAGE, World, honest


@pytest.fixture
def world() -> World:
    made = World(MemoryFunctions(honest))
    made.deploy()
    for version in (1, 2):
        made.publish(version)
    made.controller().release(ByVersion("digits", 1))
    return made


def of(world: World) -> Any:
    def stage(by: str) -> Stage:
        return world.stage(by=by)

    return stage


def message(alarm: str, state: str = "ALARM") -> dict[str, Any]:
    body = {"AlarmName": alarm, "NewStateValue": state, "NewStateReason": "2 out of the last 3"}
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(body)}}]}


def test_the_steps_of_a_shift_are_in_the_name_of_who_asked_for_it(world: World) -> None:
    shift = world.begin(2, 0.5)
    at: dict[str, Any] = {"shift": shift.where, "step": 0}
    for do in ("prepare", "weigh"):
        at = take_step({"action": "shift", "do": do, "at": at}, of(world))
    assert at["next"] == "bake"
    assert world.controller().history("digits")[-1].plan.by == "ann"
    json.dumps(at)  # the state machine's data is JSON


def test_a_pipeline_sees_what_is_live_releases_and_follows_the_shift(world: World) -> None:
    about = {"action": "pipeline", "model": "digits", "alias": "live"}
    stage = world.stage(by="Switchyard, a pipeline")
    assert serve_pipeline({**about, "do": "look"}, stage) == {"live": 1}
    asked = {
        **about,
        "do": "release",
        "version": 2,
        "against": 1,
        "shift": {"steps": [50.0], "bake_s": 60.0, "hold_s": 600.0, "min_requests": 30},
        "reason": "better",
    }
    begun = serve_pipeline(asked, stage)
    assert begun["phase"] == "begun"
    # A state machine that repeats a state joins the shift that it began.
    assert serve_pipeline(asked, stage) == begun
    follow = {**about, "do": "follow", "shift": begun["shift"]}
    assert serve_pipeline(follow, stage)["phase"] == "under way"
    shift = stage.shifts("digits", "live").newest()
    assert shift is not None
    world.drive(shift, lambda at: world.traffic(100) if at["next"] == "bake" else None)
    done = serve_pipeline(follow, stage)
    assert (done["phase"], done["shift"]) == ("done", begun["shift"])
    assert world.controller().history("digits")[-1].plan.by == "Switchyard, a pipeline"
    json.dumps(done)


def test_an_alarm_is_named_in_the_ledger(world: World) -> None:
    world.controller().release(ByVersion("digits", 2))
    world.clock.sleep(60)
    world.traffic(10, faults=10, weighted=False)
    world.clock.sleep(5)
    (name,) = [
        name for name in world.monitoring.alarms(alarms_prefix(STAGE, "digits", "live")) if "faults" in name
    ]
    (said,) = hear_alarms(message(name), of(world))
    assert "took digits@live back to digits:1" in said
    plan = world.controller().history("digits")[-1].plan
    assert (plan.by, plan.kind) == ("alarm faults", "alarm")
    assert "2 out of the last 3" in plan.reason


def test_an_alarm_that_is_quiet_again_is_no_reason(world: World) -> None:
    assert hear_alarms(message("switchyard/test/digits/live/a/faults", "OK"), of(world)) == []


def test_what_comes_from_elsewhere_is_refused(world: World) -> None:
    with pytest.raises(DisagreementError):
        hear_alarms({"Records": [{"EventSource": "aws:s3"}]}, of(world))


def test_a_daily_look_is_a_line_for_each_model_with_its_metric(world: World) -> None:
    """Law 11: by model, and nothing else."""
    world.controller().release(ByVersion("digits", 2))
    (line,) = json.loads(json.dumps(keep_all_awake(world.stage())))
    assert (line["model"], line["CannotAnswer"]) == ("digits", 0)
    assert [item["version"] for item in line["asked"]] == [1, 2]
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Switchyard/test", [["model"]])
    world.functions.delete("switchyard-test-digits", line["asked"][0]["lambda_version"])
    (line,) = keep_all_awake(world.stage())
    assert line["CannotAnswer"] == 1
