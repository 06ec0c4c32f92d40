"""What the operations function does besides custom resources: one state of a shift, or one alarm.

* ``{"action": "shift", "do": "look", "at": {…}}`` from the state machine; the answer is its next data
* an SNS record with a CloudWatch alarm that began to fire
* ``{"action": "keep-awake"}`` from a rule, once a day
* ``{"action": "pipeline", "do": "look", …}`` from the state machine of a pipeline

All may be delivered twice. What fails raises: Step Functions and SNS repeat it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from model_store.contract.deployment import metrics_namespace
from model_store.contract.environment import CANNOT_ANSWER_METRIC
from model_store.contract.names import ByVersion
from releases.awake import keep_awake
from releases.candidates import Steps, go_live, live_version
from releases.errors import DisagreementError
from releases.shifting import Shifting
from releases.stage import Stage
from releases.undo import undo
from releases.watch import DONE, TAKEN_BACK, look

StageOf = Callable[[str], Stage]
"""The stage, in the name of whoever the ledger should name."""


def take_step(event: dict[str, Any], stage_of: StageOf) -> dict[str, Any]:
    """Do one state of a shift, in the name of who asked for the shift."""
    at = event["at"]
    where = at["shift"]
    stage = stage_of("Switchyard")
    shift = stage.shifts(where["model"], where["alias"]).load(int(where["number"]))
    return Shifting(stage_of(shift.by)).step(str(event["do"]), at)


def serve_pipeline(event: dict[str, Any], stage: Stage) -> dict[str, Any]:
    """What a pipeline's state machine cannot do itself: see what is live, release, follow the shift.

    ``look`` gives the live version, 0 for none. ``release`` begins the shift, and ``follow`` says how it
    goes; the ``phase`` of both is ``done``, ``taken back`` or anything else while it is under way.
    """
    model, alias = str(event["model"]), str(event["alias"])
    if event["do"] == "look":
        live = live_version(stage, model, alias=alias)
        return {"live": live.version if live else 0}
    if event["do"] == "release":
        shift, against = event["shift"], int(event["against"])
        id_ = go_live(
            stage,
            ByVersion(model, int(event["version"])),
            against=ByVersion(model, against) if against else None,
            steps=Steps(
                percents=tuple(float(step) for step in shift["steps"]),
                bake_s=float(shift["bake_s"]),
                hold_s=float(shift["hold_s"]),
                min_requests=int(shift["min_requests"]),
            ),
            alias=alias,
            reason=str(event["reason"]),
        )
        return {"shift": id_, "phase": DONE if id_ is None else "begun", "said": ""}
    if event["do"] == "follow":
        seen = look(stage, model, alias=alias)
        phase = seen.phase if seen.phase in (DONE, TAKEN_BACK) else "under way"
        return {"shift": event["shift"], "phase": phase, "said": seen.said}
    raise DisagreementError(f"`{event['do']}` is nothing that a pipeline asks for")


def keep_all_awake(stage: Stage) -> list[dict[str, Any]]:
    """Ask what should be able to answer; a log line for each model, with its metric in it.

    Law 11: by model, which each has an alarm on.
    """
    metric = {"Name": CANNOT_ANSWER_METRIC, "Unit": "Count"}
    directive = {
        "Namespace": metrics_namespace(stage.name),
        "Dimensions": [["model"]],
        "Metrics": [metric],
    }
    return [
        {
            **asdict(done),
            CANNOT_ANSWER_METRIC: done.asleep,
            "_aws": {
                "Timestamp": round(stage.clock.now() * 1000),
                "CloudWatchMetrics": [directive],
            },
        }
        for done in keep_awake(stage)
        if done.asked or done.why
    ]


def hear_alarms(event: dict[str, Any], stage_of: StageOf) -> list[str]:
    """Take back what each alarm in ``event`` that began to fire was made for; say what was done."""
    said = []
    for record in event["Records"]:
        if record.get("EventSource") != "aws:sns":
            raise DisagreementError(f"`{record.get('EventSource')}` is nothing that Switchyard listens to")
        message = json.loads(record["Sns"]["Message"])
        if message.get("NewStateValue") == "ALARM":
            alarm = str(message["AlarmName"])
            stage = stage_of(f"alarm {alarm.rsplit('/', 1)[-1]}")
            said.append(undo(stage, alarm, str(message.get("NewStateReason", ""))[:500]))
    return said
