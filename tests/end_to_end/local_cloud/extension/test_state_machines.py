"""State machines, topics and rules as a durable shift uses them, made by CloudFormation."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.cloud

STEP = (
    "class HoldError(Exception):\n    pass\n"
    "def handler(event, context):\n"
    "    if event.get('fail', 0) > event.get('tries', 0):\n        raise HoldError('not yet')\n"
    "    return {'left': event.get('left', 0) - 1, 'arn': context.invoked_function_arn}\n"
)
ROLE = "arn:aws:iam::000000000000:role/any"


def definition(function: str, **task: Any) -> dict[str, Any]:
    """Step, and step again until nothing is left; a failure that is not retried ends in ``Undone``."""
    return {
        "StartAt": "Step",
        "States": {
            "Step": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": function, "Payload.$": "$"},
                "OutputPath": "$.Payload",
                "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Undone"}],
                "Next": "Enough",
                **task,
            },
            "Enough": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.left", "NumericGreaterThan": 0, "Next": "Bake"}],
                "Default": "Done",
            },
            "Bake": {"Type": "Wait", "SecondsPath": "$.left", "Next": "Step"},
            "Undone": {"Type": "Pass", "Next": "Done"},
            "Done": {"Type": "Succeed"},
        },
    }


def machine(account: Any, document: dict[str, Any]) -> str:
    created = account.client("stepfunctions").create_state_machine(
        name=f"m{uuid.uuid4().hex[:8]}", definition=json.dumps(document), roleArn=ROLE
    )
    return str(created["stateMachineArn"])


def waiting(account: Any) -> str:
    states = {"Bake": {"Type": "Wait", "Seconds": 30, "End": True}}
    return machine(account, {"StartAt": "Bake", "States": states})


def ended(account: Any, execution: str) -> dict[str, Any]:
    while True:
        found = account.client("stepfunctions").describe_execution(executionArn=execution)
        if found["status"] != "RUNNING":
            return dict(found)
        time.sleep(0.05)


def run(account: Any, arn: str, event: dict[str, Any]) -> dict[str, Any]:
    states = account.client("stepfunctions")
    started = states.start_execution(stateMachineArn=arn, input=json.dumps(event))
    return dict(json.loads(ended(account, started["executionArn"])["output"]))


def test_a_machine_steps_waits_and_chooses_until_nothing_is_left(account: Any) -> None:
    name = account.function(STEP)
    version = account.client("lambda").publish_version(FunctionName=name)["Version"]
    alias = account.client("lambda").create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    done = run(account, machine(account, definition(alias["AliasArn"])), {"left": 2})
    assert done == {"left": 0, "arn": alias["AliasArn"]}


def test_a_failed_step_is_retried_then_caught_by_the_name_of_its_error(account: Any) -> None:
    retry = [{"ErrorEquals": ["HoldError"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    arn = machine(account, definition(account.function(STEP), Retry=retry))
    started = time.monotonic()
    failed = run(account, arn, {"fail": 1})
    assert failed["error"]["Error"] == "HoldError"
    assert "not yet" in failed["error"]["Cause"]
    assert time.monotonic() - started >= 1


def test_a_throttled_step_has_the_name_that_retries_wait_for(account: Any) -> None:
    name = account.function(STEP)
    account.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    failed = run(account, machine(account, definition(name)), {})
    assert failed["error"]["Error"] == "Lambda.TooManyRequestsException"


def test_a_second_start_of_the_same_name_and_input_is_the_same_execution(account: Any) -> None:
    states, arn = account.client("stepfunctions"), waiting(account)
    first = states.start_execution(stateMachineArn=arn, name="shift-7", input='{"a": 1}')
    again = states.start_execution(stateMachineArn=arn, name="shift-7", input='{"a": 1}')
    assert (again["executionArn"], again["startDate"]) == (first["executionArn"], first["startDate"])
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        states.start_execution(stateMachineArn=arn, name="shift-7", input='{"a": 2}')
    states.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        states.start_execution(stateMachineArn=arn, name="shift-7", input='{"a": 1}')


def test_a_stock_cloud_refuses_the_second_start(stock_account: Any) -> None:
    states, arn = stock_account.client("stepfunctions"), waiting(stock_account)
    states.start_execution(stateMachineArn=arn, name="shift-7", input="{}")
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        states.start_execution(stateMachineArn=arn, name="shift-7", input="{}")


def test_a_stopped_execution_takes_no_further_step(account: Any) -> None:
    states = account.client("stepfunctions")
    name = account.function(STEP)
    document = definition(name)
    document["States"]["Bake"] = {"Type": "Wait", "Seconds": 1, "Next": "Step"}
    started = states.start_execution(stateMachineArn=machine(account, document), input='{"left": 5}')
    time.sleep(0.6)
    states.stop_execution(executionArn=started["executionArn"], error="Stopped", cause="by a test")
    stopped = states.describe_execution(executionArn=started["executionArn"])
    assert (stopped["status"], stopped["cause"]) == ("ABORTED", "by a test")
    before = states.get_execution_history(executionArn=started["executionArn"])["events"]
    time.sleep(1.2)
    after = states.get_execution_history(executionArn=started["executionArn"])["events"]
    assert [event["type"] for event in after][: len(before)] == [event["type"] for event in before]
    assert sum(event["type"] == "TaskStateEntered" for event in after) == 1
    listed = states.list_executions(stateMachineArn=stopped["stateMachineArn"], statusFilter="RUNNING")
    assert listed["executions"] == []


def test_a_stack_of_machine_topic_rule_and_alarm_works_as_one(account: Any) -> None:
    name, stack = account.function(STEP), f"s{uuid.uuid4().hex[:8]}"
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    policy = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                "Action": "sns:Publish",
                "Resource": {"Ref": "Topic"},
            }
        ]
    }
    metric = {"Namespace": "Test", "MetricName": stack, "Statistic": "Sum", "Period": 60}
    resources = {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": []}}},
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": {"Ref": "Key"}}},
        "TopicPolicy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {"Topics": [{"Ref": "Topic"}], "PolicyDocument": policy},
        },
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"TopicArn": {"Ref": "Topic"}, "Protocol": "lambda", "Endpoint": function},
        },
        "Alarm": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                **metric,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "AlarmActions": [{"Ref": "Topic"}],
                "Dimensions": [{"Name": "Model", "Value": "digits"}],
            },
        },
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventPattern": {"source": ["aws.cloudwatch"], "resources": [{"Fn::GetAtt": "Alarm.Arn"}]},
                "Targets": [{"Id": "function", "Arn": function}],
            },
        },
        "Machine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "RoleArn": ROLE,
                "DefinitionString": json.dumps(definition("${function}")),
                "DefinitionSubstitutions": {"function": function},
            },
        },
    }
    outputs = {"Machine": {"Ref": "Machine"}, "Alarm": {"Ref": "Alarm"}, "Topic": {"Ref": "Topic"}}
    made = account.stack(stack, resources, outputs)
    assert made["StackStatus"] == "CREATE_COMPLETE", made
    assert run(account, made["Machine"], {"left": 1})["left"] == 0
    cloudwatch = account.client("cloudwatch")
    cloudwatch.set_alarm_state(AlarmName=made["Alarm"], StateValue="ALARM", StateReason="a test")
    logs, group = account.client("logs"), f"/aws/lambda/{name}"

    def starts() -> int:
        found = logs.filter_log_events(logGroupName=group, filterPattern="START")["events"]
        return len(found)

    end = time.monotonic() + 5
    while starts() < 3 and time.monotonic() < end:  # the machine's, the topic's, the rule's
        time.sleep(0.05)
    assert starts() >= 3
    account.client("cloudformation").delete_stack(StackName=stack)
    while made["Machine"] in {
        found["stateMachineArn"]
        for found in account.client("stepfunctions").list_state_machines()["stateMachines"]
    }:
        time.sleep(0.05)
    assert cloudwatch.describe_alarms(AlarmNames=[made["Alarm"]])["MetricAlarms"] == []
