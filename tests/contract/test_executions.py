"""The laws of ``releases.ports.Executions``, held against the fake and against Step Functions' interface."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from releases.adapters.memory_executions import MemoryExecutions
from releases.errors import NotDeployedError
from releases.ports import Executions

WAITING = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}
AT = {"shift": {"model": "digits", "alias": "live", "number": 1}, "step": 0}


@pytest.fixture(params=["memory", pytest.param("step functions", marks=pytest.mark.cloud)])
def executions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Executions]:
    """A state machine whose executions run until somebody ends them."""
    if request.param == "memory":
        yield MemoryExecutions()
        return
    for variable, value in request.getfixturevalue("cloud").environment().items():
        monkeypatch.setenv(variable, value)
    import boto3

    from releases.adapters.step_functions import StepFunctionsExecutions

    states = boto3.client("stepfunctions")
    machine = states.create_state_machine(
        name=f"contract-{uuid.uuid4().hex[:8]}",
        definition=json.dumps(WAITING),
        roleArn="arn:aws:iam::000000000000:role/test",
    )["stateMachineArn"]
    yield StepFunctionsExecutions(machine)
    states.delete_state_machine(stateMachineArn=machine)


def test_what_was_never_started_does_not_run(executions: Executions) -> None:
    assert not executions.running("nobody")


def test_starting_a_name_twice_starts_it_once(executions: Executions) -> None:
    executions.start("abc", AT)
    executions.start("abc", AT)
    assert executions.running("abc")
    executions.end("abc", "enough")
    assert not executions.running("abc")


def test_a_name_that_ended_is_never_started_again(executions: Executions) -> None:
    executions.start("abc", AT)
    executions.end("abc", "enough")
    executions.start("abc", AT)
    assert not executions.running("abc")


def test_ending_what_has_ended_or_never_was_is_harmless(executions: Executions) -> None:
    executions.start("abc", AT)
    executions.end("abc", "enough")
    executions.end("abc", "again")
    executions.end("nobody", "why not")
    assert not executions.running("abc")


@pytest.mark.cloud
def test_a_machine_that_is_not_there_is_an_error_of_ours(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in request.getfixturevalue("cloud").environment().items():
        monkeypatch.setenv(variable, value)
    from releases.adapters.step_functions import StepFunctionsExecutions

    nowhere = StepFunctionsExecutions("arn:aws:states:us-east-1:000000000000:stateMachine:nowhere")
    with pytest.raises(NotDeployedError):
        nowhere.start("abc", AT)
