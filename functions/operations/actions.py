"""What the operations function does besides custom resources: one state of a shift, or one alarm.

* ``{"action": "shift", "do": "look", "at": {…}}`` from the state machine; the answer is its next data
* an SNS record with a CloudWatch alarm that began to fire

Both may be delivered twice. What fails raises: Step Functions and SNS repeat it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from releases.errors import DisagreementError
from releases.shifting import Shifting
from releases.stage import Stage
from releases.undo import undo

StageOf = Callable[[str], Stage]
"""The stage, in the name of whoever the ledger should name."""


def take_step(event: dict[str, Any], stage_of: StageOf) -> dict[str, Any]:
    """Do one state of a shift, in the name of who asked for the shift."""
    at = event["at"]
    where = at["shift"]
    stage = stage_of("Switchyard")
    shift = stage.shifts(where["model"], where["alias"]).load(int(where["number"]))
    return Shifting(stage_of(shift.by)).step(str(event["do"]), at)


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
