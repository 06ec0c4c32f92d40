"""The laws of ``functions.messenger.ports.WaysOut``, held against every adapter; AWS is botocore's stub."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from functions.messenger.adapters.aws import AwsWaysOut
from functions.messenger.adapters.memory import MemoryWaysOut
from functions.messenger.ports import NotDeliveredError, WaysOut

TOPIC = "arn:aws:sns:eu-west-1:123456789012:switchyard-prod-Messages"
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-west-1"}


def _stubbed(service: str, responses: list[tuple[str, Any, dict[str, Any]]]) -> Any:
    make: Any = boto3.client
    client = make(service, **KEYS)
    stub = Stubber(client)
    for operation, response, expected in responses:
        if isinstance(response, str):
            stub.add_client_error(operation, response, expected_params=expected)
        else:
            stub.add_response(operation, response, expected)
    stub.activate()
    return client


def _aws() -> AwsWaysOut:
    kinds = ["CompositeAlarm", "MetricAlarm"]
    alarms = {"MetricAlarms": [{"AlarmName": "a", "StateReason": "because"}], "CompositeAlarms": []}
    there = {"Environment": {"Variables": {"SWITCHYARD_VERSION": "4"}}}
    asked = {"FunctionName": "f", "Qualifier": "live"}
    gone = {"FunctionName": "g", "Qualifier": "live"}
    clients: Mapping[str, Any] = {
        "cloudwatch": _stubbed(
            "cloudwatch", [("describe_alarms", alarms, {"AlarmNames": ["a", "b"], "AlarmTypes": kinds})]
        ),
        "lambda": _stubbed(
            "lambda",
            [
                ("get_function_configuration", there, asked),
                ("get_function_configuration", "ResourceNotFoundException", gone),
            ],
        ),
        "ssm": _stubbed(
            "ssm",
            [
                (
                    "get_parameter",
                    {"Parameter": {"Value": "s3cret\n"}},
                    {"Name": "/s", "WithDecryption": True},
                ),
                ("get_parameter", "ParameterNotFound", {"Name": "/none", "WithDecryption": True}),
            ],
        ),
        "sns": _stubbed(
            "sns",
            [
                ("publish", {"MessageId": "1"}, {"TopicArn": TOPIC, "Subject": "s", "Message": "t"}),
                ("publish", "AuthorizationError", {"TopicArn": TOPIC, "Subject": "s", "Message": "t"}),
            ],
        ),
    }
    return AwsWaysOut(topic=TOPIC, clients=clients)


@pytest.fixture(params=["memory", "aws"])
def ways(request: pytest.FixtureRequest) -> WaysOut:
    if request.param == "aws":
        return _aws()
    return MemoryWaysOut(reasons={"a": "because"}, serving={("f", "live"): "4"}, secrets={"/s": "s3cret"})


def test_reasons_are_of_alarms_that_are_there(ways: WaysOut) -> None:
    assert ways.reasons([]) == {}
    assert ways.reasons(["a", "b"]) == {"a": "because"}


def test_what_nobody_knows_is_no_version(ways: WaysOut) -> None:
    assert ways.serving("f", "live") == "4"
    assert ways.serving("g", "live") == ""


def test_a_secret_is_read_or_refused_by_its_name(ways: WaysOut) -> None:
    assert ways.secret("/s") == "s3cret"
    with pytest.raises(NotDeliveredError, match="/none"):
        ways.secret("/none")


def test_mail_that_the_topic_refuses_is_not_delivered() -> None:
    aws = _aws()
    aws.mail("s", "t")
    with pytest.raises(NotDeliveredError, match="AuthorizationError"):
        aws.mail("s", "t")


@dataclass
class Receiver:
    url: str
    bodies: list[Any]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook of this machine that takes what is posted to ``/take`` and refuses the rest."""
    bodies: list[Any] = []

    class Door(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            bodies.append(body)
            self.send_response(200 if self.path == "/take" else 403)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Receiver(f"http://127.0.0.1:{server.server_address[1]}", bodies)
    server.shutdown()
    server.server_close()


def test_a_webhook_is_posted_json_and_its_refusal_does_not_name_it(receiver: Receiver) -> None:
    aws = _aws()
    aws.post(f"{receiver.url}/take", {"text": "hello"})
    assert receiver.bodies == [{"text": "hello"}]
    with pytest.raises(NotDeliveredError) as refused:
        aws.post(f"{receiver.url}/secret", {})
    assert (str(refused.value), "secret" in str(refused.value)) == ("the receiver answered 403", False)


def test_a_webhook_that_is_not_there_or_not_https_is_refused() -> None:
    aws = _aws()
    with pytest.raises(NotDeliveredError, match="not https"):
        aws.post("http://hooks.example/x", {})
    with pytest.raises(NotDeliveredError, match="was not reached"):
        aws.post("http://127.0.0.1:1/x", {})
