"""``functions.inference.mirror``: callers are answered as if nothing were mirrored, whatever the shadow does."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from functions.inference.adapters.memory import MemoryShadow
from functions.inference.mirror import MAX_EVENT_BYTES, MirrorDoor, mirrored
from functions.protocol.errors import CloudUnavailableError
from model_store.contract.events import http_event
from tests.unit.functions.conftest import Caller

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Layer

BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 1]}]}
INFER = "/v2/models/digits/infer"


def asked(path: str = INFER, body: object = BODY, method: str = "POST") -> dict[str, Any]:
    """An event as the API sends it, of a caller who said who they are."""
    event = http_event(method, path, json.dumps(body).encode() if method == "POST" else None)
    event["requestContext"]["apiId"] = "a1b2c3"
    event["headers"]["authorization"] = "private"
    return event


@pytest.fixture
def caller(linear_layer: Layer) -> Caller:
    return Caller(linear_layer.load())


def test_the_caller_s_answer_is_the_one_without_a_mirror(caller: Caller) -> None:
    shadow = MemoryShadow()
    door = MirrorDoor(caller.door, shadow, version=4)
    event = asked()
    answer = door(event, None)
    assert answer == caller.door(event, None)
    door.drain()
    (told,) = [json.loads(line) for line in shadow.told]
    about = told["switchyardShadow"]
    assert (about["version"], about["lost"]) == (4, 0)
    assert about["request_id"] == event["requestContext"]["requestId"]
    assert about["ms"] > 0
    assert told["request"]["body"] == event["body"]
    assert told["answer"]["body"] == answer["body"]


def test_who_asked_stays_here(caller: Caller) -> None:
    shadow = MemoryShadow()
    door = MirrorDoor(caller.door, shadow, version=4)
    door(asked(), None)
    door.drain()
    assert b"private" not in shadow.told[0]
    assert b"authorization" not in shadow.told[0]


@pytest.mark.parametrize(
    "event",
    [
        asked(body={"inputs": []}),
        asked("/v2/models/other/infer"),
        asked("/v2/models/digits", method="GET"),
        asked("/v2/models/digits/ready", method="GET"),
        http_event("POST", INFER, json.dumps(BODY).encode()),
        {"not": "an HTTP call"},
    ],
    ids=["refused", "another model", "metadata", "readiness", "a check of the controller", "nonsense"],
)
def test_only_what_a_caller_was_answered_is_mirrored(caller: Caller, event: dict[str, Any]) -> None:
    shadow = MemoryShadow()
    door = MirrorDoor(caller.door, shadow, version=4)
    assert door(event, None) == caller.door(event, None)
    door.drain()
    assert shadow.told == []


def test_a_shadow_that_takes_nothing_is_counted_and_hurts_nobody(caller: Caller) -> None:
    shadow = MemoryShadow(CloudUnavailableError("throttled"))
    door = MirrorDoor(caller.door, shadow, version=4)
    for _ in range(3):
        assert door(asked(), None)["statusCode"] == 200
        door.drain()
    shadow.error = None
    for _ in range(2):
        door(asked(), None)
        door.drain()
    assert [json.loads(line)["switchyardShadow"]["lost"] for line in shadow.told] == [3, 0]


def test_a_caller_is_answered_while_the_shadow_hangs(caller: Caller) -> None:
    """What does not fit into the line is dropped and counted; nobody waits for a place in it."""
    hangs = threading.Event()

    class Hanging(MemoryShadow):
        def tell(self, event: bytes) -> None:
            hangs.wait(60)
            super().tell(event)

    shadow = Hanging()
    door = MirrorDoor(caller.door, shadow, version=4, most_waiting=2)
    answers = [door(asked(), None)["statusCode"] for _ in range(10)]
    assert answers == [200] * 10
    hangs.set()
    door.drain()
    door(asked(), None)
    door.drain()
    lost = [json.loads(line)["switchyardShadow"]["lost"] for line in shadow.told]
    assert len(lost) + sum(lost) == 11
    assert sum(lost) >= 7


def test_what_lambda_would_not_carry_is_not_sent(caller: Caller) -> None:
    shadow = MemoryShadow()
    door = MirrorDoor(caller.door, shadow, version=4)
    large = {**BODY, "parameters": {"note": "x" * MAX_EVENT_BYTES}}
    assert door(asked(body=large), None)["statusCode"] == 200
    door(asked(), None)
    door.drain()
    (told,) = shadow.told
    assert json.loads(told)["switchyardShadow"]["lost"] == 1


@pytest.mark.parametrize("asked_for", ["", "{}", '{"alias": "shadow_live", "version": "x"}'])
def test_a_setting_that_cannot_be_read_does_not_fail_a_start(
    caller: Caller, asked_for: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    environ = {"SWITCHYARD_SHADOW": asked_for, "AWS_LAMBDA_FUNCTION_NAME": "switchyard-test-digits"}
    assert mirrored(caller.door, environ) is caller.door


def test_a_mirror_is_made_from_what_the_release_says(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    environ = {
        "SWITCHYARD_SHADOW": '{"alias": "shadow_live", "version": 4}',
        "AWS_LAMBDA_FUNCTION_NAME": "switchyard-test-digits",
    }
    assert isinstance(mirrored(caller.door, environ), MirrorDoor)
