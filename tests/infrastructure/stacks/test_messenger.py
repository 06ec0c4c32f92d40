"""``infra.constructs.messenger``: encrypted topics, who is subscribed, and what the messenger may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def named(stage: Deployed, type_: str, key: str, end: str) -> tuple[str, dict[str, Any]]:
    """The one resource of the Operations stack whose name ends so, with its id."""
    found = stage.resources("Operations", type_).items()
    ((id_, resource),) = ((id_, one) for id_, one in found if one["Properties"][key].endswith(end))
    return id_, resource["Properties"]


def statement(stage: Deployed, sid: str) -> dict[str, Any]:
    (found,) = (found for found in stage.statements("Operations") if found.get("Sid") == sid)
    return found


def test_both_topics_are_encrypted_with_a_key_that_cloudwatch_may_use(stage: Deployed) -> None:
    ((key, policy),) = (
        (id_, one["Properties"]["KeyPolicy"])
        for id_, one in stage.resources("Operations", "AWS::KMS::Key").items()
    )
    for end in ("-Alarms", "-Messages"):
        _, topic = named(stage, "AWS::SNS::Topic", "TopicName", end)
        assert key in text_of(topic["KmsMasterKeyId"])
    (allowed,) = (one for one in policy["Statement"] if one.get("Sid") == "AlarmsOfThisAccount")
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert set(allowed["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}
    assert "aws:SourceAccount" in allowed["Condition"]["StringEquals"]


def test_the_messenger_hears_alarms_and_people_only_messages(stage: Deployed) -> None:
    alarms, _ = named(stage, "AWS::SNS::Topic", "TopicName", "-Alarms")
    messages, _ = named(stage, "AWS::SNS::Topic", "TopicName", "-Messages")
    function, _ = named(stage, "AWS::Lambda::Function", "FunctionName", "-Messenger")
    heard = {
        (
            text_of(one["Properties"]["TopicArn"]),
            one["Properties"]["Protocol"],
            text_of(one["Properties"]["Endpoint"]),
        )
        for one in stage.resources("Operations", "AWS::SNS::Subscription").values()
    }
    assert (f"<{alarms}>", "lambda", f"<{function}.Arn>") in heard
    people = {
        endpoint for topic, protocol, endpoint in heard if protocol == "email" and topic == f"<{messages}>"
    }
    assert people == {"oncall@example.com", "team@example.com"}
    assert not [one for one in heard if one[1] == "email" and one[0] == f"<{alarms}>"]


def test_secrets_are_named_and_not_written(prod: Deployed, local: Deployed) -> None:
    _, function = named(prod, "AWS::Lambda::Function", "FunctionName", "-Messenger")
    told = function["Environment"]["Variables"]
    assert told["SWITCHYARD_SLACK_WEBHOOK"] == "/switchyard/prod/slack"
    assert told["SWITCHYARD_PAGERDUTY_KEY"] == "/switchyard/prod/pagerduty"
    readable = statement(prod, "ReadReceivers")["Resource"]
    assert sorted(text_of(one).partition(":parameter")[2] for one in readable) == [
        "/switchyard/prod/pagerduty",
        "/switchyard/prod/slack",
    ]
    _, quiet = named(local, "AWS::Lambda::Function", "FunctionName", "-Messenger")
    assert set(quiet["Environment"]["Variables"]) == {"SWITCHYARD_MESSAGE_TOPIC"}
    assert not [one for one in local.statements("Operations") if one.get("Sid") == "ReadReceivers"]


def test_the_messenger_reads_and_sends_and_changes_nothing(stage: Deployed) -> None:
    role = next(
        one["Properties"]["Role"]["Fn::GetAtt"][0]
        for one in stage.resources("Operations", "AWS::Lambda::Function").values()
        if one["Properties"]["FunctionName"].endswith("-Messenger")
    )
    allowed = {
        action
        for policy in stage.resources("Operations", "AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Properties"]["Roles"]
        for one in policy["Properties"]["PolicyDocument"]["Statement"]
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }
    assert allowed - {"ssm:GetParameter"} == {
        "cloudwatch:DescribeAlarms",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "lambda:GetFunctionConfiguration",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sns:Publish",
    }
    assert text_of(statement(stage, "SayWhichVersion")["Resource"]).endswith(
        f":function:switchyard-{stage.stage}-*"
    )
