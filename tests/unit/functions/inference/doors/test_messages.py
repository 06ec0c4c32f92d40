"""Requests that are messages: answered in a queue, and reported one by one when they are not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.inference.doors import messages
from functions.inference.doors.messages import MessageDoor
from functions.inference.ports import Stored
from functions.protocol.errors import CloudUnavailableError
from tests.unit.functions.conftest import Kept
from tests.unit.functions.inference.doors.conftest import Context, House, X

WORDS = "private"
GOOD = json.dumps({"id": "seven", "inputs": [X]})


def event(*bodies: Any, fifo: bool = False) -> dict[str, Any]:
    """As SQS hands a batch to Lambda, "Using Lambda with Amazon SQS"."""
    arn = f"arn:aws:sqs:eu-central-1:123456789012:requests{'.fifo' if fifo else ''}"
    return {
        "Records": [
            {
                "messageId": f"m{position}",
                "receiptHandle": "handle",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
            }
            for position, body in enumerate(bodies)
        ]
    }


def failures(answer: dict[str, Any]) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_a_message_is_answered_in_the_queue_of_answers(house: House) -> None:
    assert house.message_door(event(GOOD), Context()) == {"batchItemFailures": []}
    ((queue, body, answers),) = house.queue.sent
    assert (queue, answers) == ("https://answers", "m0")
    assert json.loads(body)["id"] == "seven"
    assert json.loads(body)["outputs"][1]["data"] == [2]


def test_a_caller_s_mistake_is_answered_and_does_not_come_again(house: House) -> None:
    answer = house.message_door(event("not json", '{"inputs": []}', None), None)
    assert failures(answer) == []
    assert [json.loads(body)["status"] for _, body, _ in house.queue.sent] == [400, 400, 400]


def test_binary_answers_do_not_fit_a_text(house: House) -> None:
    asked = json.dumps({"inputs": [X], "parameters": {"binary_data_output": True}})
    assert failures(house.message_door(event(asked), None)) == []
    assert "binary tensor data" in json.loads(house.queue.sent[0][1])["error"]


def test_an_answer_that_no_message_carries_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MESSAGE_BYTES", 300)
    assert failures(house.message_door(event(GOOD), None)) == []
    assert json.loads(house.queue.sent[0][1])["status"] == 413


def test_only_what_failed_comes_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    send = house.queue.send

    def sometimes(queue_url: str, body: str, *, answers: str) -> None:
        if answers == "m1":
            raise CloudUnavailableError("AWS answered Throttling")
        send(queue_url, body, answers=answers)

    monkeypatch.setattr(house.queue, "send", sometimes)
    assert failures(house.message_door(event(GOOD, GOOD, GOOD), None)) == ["m1"]
    assert [answers for _, _, answers in house.queue.sent] == ["m0", "m2"]
    assert [line["status"] for line in house.logged] == [200, 503, 200]


def test_in_a_first_in_first_out_queue_what_follows_waits(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = house.queue.send

    def sometimes(queue_url: str, body: str, *, answers: str) -> None:
        if answers == "m1":
            raise CloudUnavailableError("AWS answered Throttling")
        send(queue_url, body, answers=answers)

    monkeypatch.setattr(house.queue, "send", sometimes)
    assert failures(house.message_door(event(GOOD, GOOD, GOOD, fifo=True), None)) == ["m1", "m2"]
    assert [answers for _, _, answers in house.queue.sent] == ["m0"]


def test_before_a_release_everything_comes_again(empty_house: House) -> None:
    assert failures(empty_house.message_door(event(GOOD, GOOD), None)) == ["m0", "m1"]
    assert empty_house.queue.sent == []


def test_a_fault_of_the_function_comes_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(WORDS)

    monkeypatch.setattr(house.service, "infer", broken)
    assert failures(house.message_door(event(GOOD), None)) == ["m0"]
    assert "private" not in house.lines[0]


def test_what_there_is_no_time_for_comes_again(house: House) -> None:
    assert failures(house.message_door(event(GOOD), Context(remaining_ms=900))) == ["m0"]


def test_a_notification_about_an_object_is_answered_beside_the_object(house: House) -> None:
    house.objects.write("inbox", "requests/7", Stored(GOOD.encode()))
    told = json.dumps(
        {
            "Records": [
                {
                    "eventSource": "aws:s3",
                    "s3": {"bucket": {"name": "inbox"}, "object": {"key": "requests/7"}},
                }
            ]
        }
    )
    assert failures(house.message_door(event(told), None)) == []
    assert house.objects.keys("inbox") == ["answers/7", "requests/7"]
    assert house.queue.sent == []


def test_an_event_of_eventbridge_about_an_object_is_answered_beside_the_object(house: House) -> None:
    house.objects.write("inbox", "requests/a+b", Stored(GOOD.encode()))
    detail = {"bucket": {"name": "inbox"}, "object": {"key": "requests/a+b"}}
    told = json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
    assert failures(house.message_door(event(told), None)) == []
    assert house.objects.keys("inbox") == ["answers/a+b", "requests/a+b"]
    assert failures(house.message_door(event(told), Context(remaining_ms=900))) == ["m0"]


@pytest.mark.parametrize("body", ['"aws:s3"', '{"aws:s3": 1}', '{"Records": 7, "x": "aws:s3"}', 'x"aws:s3"'])
def test_what_only_looks_like_a_notification_is_a_request(house: House, body: str) -> None:
    assert failures(house.message_door(event(body), None)) == []
    assert json.loads(house.queue.sent[0][1])["status"] == 400


def test_the_place_of_answers_is_the_deploy_s_to_say(house: House) -> None:
    environ = {"SWITCHYARD_ANSWERS_QUEUE": "https://elsewhere"}
    door = MessageDoor.from_environment(house.service, house.log, environ, house.queue, house.object_door)
    door(event(GOOD), None)
    assert house.queue.sent[0][0] == "https://elsewhere"


def test_what_was_answered_is_kept_by_the_message_s_id(keeping: tuple[House, Kept]) -> None:
    house, kept = keeping
    house.message_door(event(GOOD, "not json", GOOD), Context())
    assert [(row["request_id"], row["id"], row["output.label"]) for row in kept.rows] == [
        ("m0", "seven", [2]),
        ("m2", "seven", [2]),
    ]


def test_a_message_that_comes_again_is_not_kept_before_its_answer_is_sent(
    keeping: tuple[House, Kept],
) -> None:
    house, kept = keeping

    class Broken:
        def send(self, queue_url: str, body: str, *, answers: str) -> None:
            raise CloudUnavailableError("no queue")

    door = MessageDoor(
        house.service,
        house.log,
        Broken(),
        queue_url="https://answers",
        objects=house.object_door,
        recorder=kept.recorder,
    )
    assert failures(door(event(GOOD), Context())) == ["m0"]
    assert kept.rows == []
