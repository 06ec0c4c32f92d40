"""Requests that are objects: answered beside themselves, once or twice alike."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from functions.inference.doors.objects import announced, answer_key
from functions.inference.doors.outcome import FunctionFailedError
from functions.inference.ports import Stored
from functions.protocol.errors import CloudUnavailableError
from tests.unit.functions.conftest import Kept
from tests.unit.functions.inference.doors.conftest import Context, House, X

BUCKET = "inbox"
REQUEST = json.dumps({"inputs": [X]}).encode()


def event(*keys: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    """As S3's notifications are, "Event message structure"."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": name,
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 100}},
            }
            for key in keys
        ]
    }


def answered(house: House, key: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(house.objects.read(BUCKET, key, limit=1 << 20).body)
    return answer


def test_an_object_is_answered_beside_itself(house: House) -> None:
    house.objects.write(BUCKET, "requests/a b/7.json", Stored(REQUEST))
    assert house.object_door(event("requests/a+b/7.json"), Context()) == {"answered": 1}
    assert answered(house, "answers/a b/7.json")["outputs"][1]["data"] == [2]


def test_the_same_event_twice_is_the_same_answer_once(house: House) -> None:
    house.objects.write(BUCKET, "requests/7", Stored(REQUEST))
    for _ in range(2):
        house.object_door(event("requests/7"), None)
    assert house.objects.keys(BUCKET) == ["answers/7", "requests/7"]


def test_binary_data_go_in_and_come_out(house: House) -> None:
    raw = np.array([[0, 0, 0, 1]], "<f4").tobytes()
    head = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}]
    }
    head["parameters"] = {"binary_data_output": True}  # type: ignore[assignment]
    text = json.dumps(head).encode()
    house.objects.write(BUCKET, "requests/7", Stored(text + raw, len(text)))
    house.object_door(event("requests/7"), None)
    answer = house.objects.read(BUCKET, "answers/7", limit=1 << 20)
    assert answer.json_length is not None
    assert np.frombuffer(answer.body[-8:], "<i8").tolist() == [2]


def test_an_answer_is_never_taken_for_a_request(house: House) -> None:
    """A notification on the whole bucket would run in a circle otherwise."""
    house.objects.write(BUCKET, "answers/7", Stored(REQUEST))
    assert house.object_door(event("answers/7"), None) == {"answered": 0}
    assert house.objects.keys(BUCKET) == ["answers/7"]


@pytest.mark.parametrize(("key", "answer"), [("requests/a/7", "answers/a/7"), ("7", "answers/7")])
def test_where_an_answer_lies_follows_from_the_request(key: str, answer: str) -> None:
    assert answer_key(key) == answer


def test_what_was_deleted_wants_no_answer_and_leaves_a_line(house: House) -> None:
    assert house.object_door(event("requests/gone"), None) == {"answered": 0}
    assert [line["status"] for line in house.logged] == [404]
    assert house.object_door(event("requests/gone", name="ObjectRemoved:Delete"), None) == {"answered": 0}


def test_a_caller_s_mistake_is_answered(house: House) -> None:
    house.objects.write(BUCKET, "requests/7", Stored(b"not json"))
    assert house.object_door(event("requests/7"), None) == {"answered": 1}
    answer = answered(house, "answers/7")
    assert (answer["status"], "not JSON" in answer["error"]) == (400, True)


def test_an_object_may_be_larger_than_lambda_s_payload(house: House) -> None:
    rows = 450_000
    tensor = {
        "name": "x",
        "datatype": "FP32",
        "shape": [rows, 4],
        "parameters": {"binary_data_size": rows * 16},
    }
    head = json.dumps({"inputs": [tensor], "outputs": [{"name": "label"}]}).encode()
    house.objects.write(BUCKET, "requests/7", Stored(head + bytes(rows * 16), len(head)))
    house.object_door(event("requests/7"), None)
    assert answered(house, "answers/7")["outputs"][0]["shape"] == [rows]


def test_one_object_does_not_keep_the_others_from_their_turn(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("requests/1", "requests/2", "requests/3"):
        house.objects.write(BUCKET, key, Stored(REQUEST))
    write = house.objects.write

    def sometimes(bucket: str, key: str, stored: Stored) -> None:
        if key.endswith("2"):
            raise CloudUnavailableError("AWS answered SlowDown")
        write(bucket, key, stored)

    monkeypatch.setattr(house.objects, "write", sometimes)
    with pytest.raises(FunctionFailedError, match="1 of 3 objects have no answer"):
        house.object_door(event("requests/1", "requests/2", "requests/3"), None)
    assert [key for key in house.objects.keys(BUCKET) if key.startswith("answers/")] == [
        "answers/1",
        "answers/3",
    ]
    assert [line["status"] for line in house.logged] == [200, 503, 200]


def test_before_a_release_objects_wait(empty_house: House) -> None:
    empty_house.objects.write(BUCKET, "requests/7", Stored(REQUEST))
    with pytest.raises(FunctionFailedError):
        empty_house.object_door(event("requests/7"), None)
    assert empty_house.objects.keys(BUCKET) == ["requests/7"]


def test_a_record_that_names_nothing_is_told_apart(house: House) -> None:
    outcome = house.object_door.answer({"eventSource": "aws:s3"}, None)
    assert outcome is not None
    assert (outcome.status, outcome.is_fault) == (400, False)


def event_of_eventbridge(key: object, **changes: object) -> dict[str, Any]:
    """As the S3 user guide shows one, "EventBridge event message structure"."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "region": "eu-central-1",
        "detail": {
            "version": "0",
            "bucket": {"name": BUCKET},
            "object": {"key": key, "size": 5},
            "reason": "PutObject",
        },
        **changes,
    }


@pytest.mark.parametrize("key", ["requests/7", "requests/a b+c%20d/é.json"])
def test_an_event_of_eventbridge_names_its_object_as_it_is_called(house: House, key: str) -> None:
    house.objects.write(BUCKET, key, Stored(REQUEST))
    assert house.object_door({"Records": announced(event_of_eventbridge(key))}, None) == {"answered": 1}
    assert answered(house, answer_key(key))["outputs"][1]["data"] == [2]


@pytest.mark.parametrize(
    "other",
    [
        None,
        {"source": "aws.s3", "detail-type": "Object Created"},
        event_of_eventbridge("requests/7", **{"detail-type": "Object Deleted"}),
        {"Records": 7},
        {"Records": [7, {"eventSource": "aws:sqs"}]},
    ],
)
def test_other_events_announce_nothing(other: object) -> None:
    assert announced(other) == []


def test_an_event_without_a_key_is_told_apart(house: House) -> None:
    (record,) = announced(event_of_eventbridge(None))
    outcome = house.object_door.answer(record, None)
    assert outcome is not None
    assert outcome.status == 400


def test_a_folder_that_a_console_drew_is_no_request(house: House) -> None:
    house.objects.write(BUCKET, "requests/monday/", Stored(b""))
    assert house.object_door(event("requests/monday/"), None) == {"answered": 0}
    assert house.objects.keys(BUCKET) == ["requests/monday/"]


def test_each_object_of_an_event_is_kept_by_its_name_and_an_id_of_its_own(
    keeping: tuple[House, Kept],
) -> None:
    house, kept = keeping
    for name in ("monday/7.json", "monday/8.json"):
        house.objects.write(BUCKET, f"requests/{name}", Stored(REQUEST))
    house.objects.write(BUCKET, "requests/wrong", Stored(b"not json"))
    for _ in range(2):
        house.object_door(
            event("requests/monday/7.json", "requests/wrong", "requests/monday/8.json"), Context("a1")
        )
    rows = kept.rows
    assert [row["id"] for row in rows] == ["monday/7.json", "monday/8.json"] * 2
    assert len({row["request_id"] for row in rows}) == 2, "the same event twice is the same two requests"
    assert all(row["request_id"].startswith("a1-") for row in rows)
