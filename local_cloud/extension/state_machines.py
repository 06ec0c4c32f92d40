"""State machines: a repeated start is the same execution, and a refused call of a function has AWS's name.

Stock: a second start of the same name is refused whatever its input; a throttled function is a
``Lambda.Unknown``.
AWS: API reference of StartExecution: "If you call StartExecution with the same name and input as a running
execution, the call succeeds and return the same response as the original request. If the execution is closed
or if the input is different, it returns a 400 ExecutionAlreadyExists error" (standard workflows); Step
Functions developer guide, "Handle transient Lambda service exceptions" (``Lambda.TooManyRequestsException``,
``Lambda.ServiceException``).
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core.responses import json_response
from ministack.services import stepfunctions

_stock_start_execution = stepfunctions._start_execution
_stock_call_lambda = stepfunctions._call_lambda


def _start_execution(data: dict[str, Any]) -> Any:
    machine = stepfunctions._resolve_state_machine_arn(str(data.get("stateMachineArn", "")).partition("#")[0])
    found = stepfunctions._state_machines.get(machine) if machine else None
    if found and data.get("name") and found.get("type", "STANDARD") == "STANDARD":
        arn = machine.replace(":stateMachine:", ":execution:") + f":{data['name']}"
        running = stepfunctions._executions.get(arn)
        if running and running["status"] == "RUNNING" and running["input"] == data.get("input", "{}"):
            return json_response({"executionArn": arn, "startDate": running["startDate"]})
    return _stock_start_execution(data)


def _call_lambda(ref: str, event: Any) -> Any:
    try:
        return _stock_call_lambda(ref, event)
    except stepfunctions._ExecutionError as error:
        raise stepfunctions._ExecutionError(_name(error), error.cause) from error


def _name(error: Any) -> str:
    try:
        cause = json.loads(error.cause)
    except ValueError:
        return str(error.error)
    refusal = cause.get("__type") or cause.get("Type") if isinstance(cause, dict) else None
    return f"Lambda.{refusal}" if error.error == "Lambda.Unknown" and refusal else str(error.error)


def install() -> None:
    """Replace the start of an execution and the call of a function."""
    stepfunctions._start_execution = _start_execution
    stepfunctions._call_lambda = _call_lambda
