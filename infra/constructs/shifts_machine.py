"""The state machine that takes a release in steps: prepare, weigh, bake, look, and flip or go back.

Every task is one call of the operations function, which decides; the machine waits, repeats what AWS
throttles, and takes the way back when a task fails for good. All of it can be seen in the console.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as states
from constructs import Construct

from infra.constructs.python_function import ROLE_PATH

NEXT = "Next"
BACK = "TakeBack"

_AWS_TROUBLE = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "ServiceError",
    "StoreUnavailableError",
    "LeaseHeldError",
    "LostRaceError",
]
"""What may be gone a moment later: names of AWS's errors and of ours (``releases.errors``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftsMachineProps:
    """Its name, and the function that does the work."""

    name: str
    operations: lambda_.IFunction


class ShiftsMachine(Construct):
    """``machine`` and its ``role``, which has no permission yet."""

    def __init__(self, scope: Construct, id_: str, *, props: ShiftsMachineProps) -> None:
        super().__init__(scope, id_)
        self.role = iam.Role(
            self,
            "Role",
            path=ROLE_PATH,
            description=f"Runs {props.name}",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
        )
        self.machine = states.StateMachine(
            self,
            "Machine",
            state_machine_name=props.name,
            comment="Takes releases in steps",
            role=self.role,
            definition_body=states.DefinitionBody.from_string(json.dumps(definition(), indent=1)),
            definition_substitutions={"Operations": props.operations.function_arn},
        )
        # An execution whose role may not invoke yet would take a shift back at its first state.
        self.machine.node.add_dependency(self.role)


def definition() -> dict[str, Any]:
    """The machine in Amazon States Language; ``${Operations}`` is filled in by CloudFormation."""
    return {
        "Comment": "A release in steps. Its input names the shift; the ledger says how far it is.",
        "StartAt": "Prepare",
        "States": {
            "Prepare": _task("prepare"),
            "Weigh": _task("weigh"),
            "Bake": {"Type": "Wait", "SecondsPath": "$.wait_s", "Next": "Look"},
            "Look": _task("look"),
            "Hold": {"Type": "Wait", "SecondsPath": "$.wait_s", "Next": "Look"},
            "Flip": _task("flip"),
            BACK: _way_back(),
            NEXT: {
                "Type": "Choice",
                "Choices": [
                    {"Variable": "$.next", "StringEquals": asked, "Next": state}
                    for asked, state in (
                        ("weigh", "Weigh"),
                        ("bake", "Bake"),
                        ("hold", "Hold"),
                        ("flip", "Flip"),
                        ("back", BACK),
                        ("done", "Done"),
                        ("superseded", "Superseded"),
                    )
                ],
                "Default": "TakenBack",
            },
            "Done": {"Type": "Succeed"},
            "Superseded": {"Type": "Succeed"},
            "TakenBack": {
                "Type": "Fail",
                "Error": "TakenBack",
                "Cause": "The version before serves everything again; the ledger of the alias says why.",
            },
        },
    }


def _task(do: str) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "${Operations}",
        "Parameters": {"action": "shift", "do": do, "at.$": "$"},
        "Retry": [_repeat(_AWS_TROUBLE, attempts=6, longest_s=30)],
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": BACK}],
        "Next": NEXT,
    }


def _way_back() -> dict[str, Any]:
    """The one task that nothing stands behind: repeated for about an hour whatever it meets."""
    return {
        "Type": "Task",
        "Resource": "${Operations}",
        "Parameters": {"action": "shift", "do": "back", "at.$": "$"},
        "Retry": [_repeat(["States.ALL"], attempts=60, longest_s=60)],
        "Next": NEXT,
    }


def _repeat(errors: list[str], *, attempts: int, longest_s: int) -> dict[str, Any]:
    return {
        "ErrorEquals": errors,
        "IntervalSeconds": 2,
        "BackoffRate": 2,
        "MaxDelaySeconds": longest_s,
        "MaxAttempts": attempts,
        "JitterStrategy": "FULL",
    }
