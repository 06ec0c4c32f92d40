"""Step Functions through boto3: ``releases.ports.Executions`` on one state machine of the stage."""

from __future__ import annotations

import json
from typing import Any

import boto3
from botocore.exceptions import ClientError

from releases.adapters.translated import CONFIG, translated

MAX_CAUSE = 32_768
"""Longest cause of a stopped execution. Source: Step Functions API reference, StopExecution."""


class StepFunctionsExecutions:
    """``releases.ports.Executions`` on Step Functions."""

    def __init__(self, machine: str, *, client: Any = None) -> None:
        self._machine = machine
        self._states: Any = client or boto3.client("stepfunctions", config=CONFIG)

    def start(self, name: str, at: dict[str, Any]) -> None:
        with translated("the state machine for releases in steps"):
            try:
                self._states.start_execution(
                    stateMachineArn=self._machine, name=name, input=json.dumps(at, sort_keys=True)
                )
            except self._states.exceptions.ExecutionAlreadyExists:
                # The answer to an earlier call was lost, or it has run to its end already.
                return

    def running(self, name: str) -> bool:
        with translated(f"the execution `{name}`"):
            try:
                found = self._states.describe_execution(executionArn=self._arn(name))
            except self._states.exceptions.ExecutionDoesNotExist:
                return False
        return bool(found["status"] == "RUNNING")

    def end(self, name: str, reason: str) -> None:
        with translated(f"the execution `{name}`"):
            try:
                self._states.stop_execution(
                    executionArn=self._arn(name), error="Ended", cause=reason[:MAX_CAUSE]
                )
            except self._states.exceptions.ExecutionDoesNotExist:
                return
            except ClientError as error:
                if error.response["Error"]["Code"] != "ValidationException":
                    raise
                # It is not running any more.

    def _arn(self, name: str) -> str:
        machine = self._machine.replace(":stateMachine:", ":execution:", 1)
        return f"{machine}:{name}"
