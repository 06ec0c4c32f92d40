"""``functions.inference.pinned``: a pinned version is answered by the version that was asked for, or by a 404."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from functions.inference.pinned import GRACE_S, LIST_SECONDS, MARK, NoAnswerError, NoSuchPinError, PinnedDoor
from functions.inference.served import Served, Unreleased
from model_store.contract.events import http_event, read_answer
from tests.unit.functions.conftest import Caller

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Layer

VERSION_OF_THE_LAYER = 2


@dataclass
class Sibling:
    """A sibling that plays another version of the same function."""

    pinned: dict[int, Callable[[dict[str, Any]], Any]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    listed: int = 0

    def ask(self, qualifier: str, event: dict[str, Any]) -> Any:
        self.asked.append(event)
        try:
            answer = self.pinned[int(qualifier.removeprefix("v"))]
        except KeyError:
            raise NoSuchPinError(qualifier) from None
        return answer(event)

    def pins(self) -> list[int]:
        self.listed += 1
        return sorted(self.pinned)


def answering(version: int, status: int = 200, **headers: str) -> Callable[[dict[str, Any]], Any]:
    named = {"x-switchyard-model": f"digits:{version}", "x-switchyard-digest": "sha256:00", **headers}
    body = json.dumps({"model_version": str(version)})
    return lambda _: {"statusCode": status, "headers": named, "body": body, "isBase64Encoded": False}


@dataclass
class Door:
    """A pinned door around a real one, and what it wrote and asked."""

    door: PinnedDoor
    sibling: Sibling
    lines: list[str]
    clock: list[float]

    def get(self, path: str, context: Any = None, **marks: Any) -> tuple[int, dict[str, str], Any]:
        event = {**http_event("GET", path), **marks}
        status, headers, body = read_answer(self.door(event, context))
        return status, headers, json.loads(body)


@pytest.fixture
def make(linear_layer: Layer) -> Callable[..., Door]:
    def make(served: Served | Unreleased | None = None) -> Door:
        sibling, clock = Sibling(), [0.0]
        lines: list[str] = []
        caller = Caller(served or linear_layer.load())
        door = PinnedDoor(
            caller.door,
            caller.served,
            connect=lambda: sibling,
            write_log=lines.append,
            clock=lambda: clock[0],
        )
        return Door(door, sibling, lines, clock)

    return make


@pytest.mark.parametrize(
    "path",
    [
        "/v2",
        "/v2/models/digits",
        "/v2/models/digits/ready",
        f"/v2/models/digits/versions/{VERSION_OF_THE_LAYER}",
        f"/candidate/v2/models/digits/versions/{VERSION_OF_THE_LAYER}/ready",
    ],
)
def test_what_is_served_here_is_answered_here(make: Callable[..., Door], path: str) -> None:
    door = make()
    assert door.get(path)[0] == 200
    assert door.sibling.asked == []


@pytest.mark.parametrize("prefix", ["", "/candidate"])
@pytest.mark.parametrize("rest", ["", "/ready", "/infer"])
def test_a_pin_on_another_version_is_answered_by_it(
    make: Callable[..., Door], prefix: str, rest: str
) -> None:
    door = make()
    door.sibling.pinned[7] = answering(7)
    path = f"{prefix}/v2/models/digits/versions/7{rest}"
    status, headers, body = door.get(path)
    assert (status, headers["x-switchyard-model"], body) == (200, "digits:7", {"model_version": "7"})
    (asked,) = door.sibling.asked
    assert asked["requestContext"]["http"]["path"] == path
    line = json.loads(door.lines[0])
    assert (line["version"], line["pinned"], line["status"], line["route"]) == ("2", "7", 200, "pinned")


def test_the_sibling_s_refusal_is_the_answer(make: Callable[..., Door]) -> None:
    door = make()
    door.sibling.pinned[7] = answering(7, status=400)
    assert door.get("/v2/models/digits/versions/7/infer")[:1] == (400,)


def test_a_call_is_handed_on_once(make: Callable[..., Door]) -> None:
    """A marked event is answered here, so a pin that leads in a circle ends after one step."""
    door = make()
    door.sibling.pinned[7] = answering(7)
    status, _, body = door.get("/v2/models/digits/versions/7", **{MARK: True})
    assert status == 404
    assert "version 2 is" in body["error"]
    assert door.sibling.asked == []
    door.get("/v2/models/digits/versions/7")
    assert door.sibling.asked[0][MARK] is True


def test_a_caller_cannot_forge_the_mark(make: Callable[..., Door]) -> None:
    """The mark stands beside the request: what a caller writes into headers or query changes nothing."""
    door = make()
    door.sibling.pinned[7] = answering(7)
    event = http_event("GET", f"/v2/models/digits/versions/7?{MARK}=true")
    event["headers"][MARK] = "true"
    assert read_answer(door.door(event, None))[0] == 200
    assert len(door.sibling.asked) == 1


def test_a_version_released_nowhere_is_a_404_that_says_what_there_is(make: Callable[..., Door]) -> None:
    door = make()
    door.sibling.pinned |= {number: answering(number) for number in (1, 2, 5)}
    status, _, body = door.get("/v2/models/digits/versions/7")
    assert (status, body) == (
        404,
        {
            "error": "version `7` of digits is not released, version 2 is; by number there are also: 1, 5",
        },
    )


def test_a_parked_pin_is_a_version_released_nowhere(make: Callable[..., Door]) -> None:
    """Law 2: whoever asks for version 7 is never answered by another one."""
    door = make()
    door.sibling.pinned[7] = answering(5, status=404)
    assert door.get("/v2/models/digits/versions/7")[0] == 404


def test_before_the_first_release_a_pin_is_a_404_too(make: Callable[..., Door]) -> None:
    door = make(Unreleased("digits"))
    status, _, body = door.get("/v2/models/digits/versions/7")
    assert status == 404
    assert body["error"] == "version `7` of digits is not released, no version of digits is served here"


def test_an_alias_without_a_release_still_answers_pins(make: Callable[..., Door]) -> None:
    door = make(Unreleased("digits"))
    door.sibling.pinned[7] = answering(7)
    assert door.get("/candidate/v2/models/digits/versions/7")[0] == 200
    assert door.get("/candidate/v2/models/digits/ready")[0] == 503


def test_which_pins_there_are_is_asked_at_most_once_a_minute(make: Callable[..., Door]) -> None:
    """Callers of a version that is not there must not use up the calls that a rollback needs."""
    door = make()
    for _ in range(5):
        door.get("/v2/models/digits/versions/7")
    assert door.sibling.listed == 1
    door.clock[0] += LIST_SECONDS
    door.get("/v2/models/digits/versions/7")
    assert door.sibling.listed == 2


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/digits/versions/0",
        "/v2/models/digits/versions/007",
        "/v2/models/digits/versions/seven",
        "/v2/models/digits/versions/9999999999",
        "/v2/models/letters/versions/7",
    ],
)
def test_what_names_no_version_of_this_model_is_asked_of_nobody(make: Callable[..., Door], path: str) -> None:
    door = make()
    assert door.get(path)[0] == 404
    assert door.sibling.asked == []


@pytest.mark.parametrize("event", [{}, {"requestContext": None}, {"requestContext": {"http": {}}}, [], None])
def test_what_is_no_http_call_goes_to_the_door_inside(make: Callable[..., Door], event: Any) -> None:
    assert make().door(event, None)["statusCode"] == 400


def test_a_failure_of_the_sibling_is_told_with_its_status(make: Callable[..., Door]) -> None:
    door = make()

    def throttled(_: dict[str, Any]) -> Any:
        raise NoAnswerError("is throttled", status=503)

    door.sibling.pinned[7] = throttled
    status, _, body = door.get("/v2/models/digits/versions/7")
    assert (status, body) == (503, {"error": "version 7 of digits is throttled"})


@pytest.mark.parametrize("returned", [None, [], {}, {"statusCode": 200}, {"errorMessage": "no"}])
def test_an_answer_that_is_no_http_answer_is_a_500(make: Callable[..., Door], returned: Any) -> None:
    door = make()
    door.sibling.pinned[7] = lambda _: returned
    status, _, body = door.get("/v2/models/digits/versions/7")
    assert (status, body["error"]) == (500, "version 7 of digits did not answer an HTTP call")


def test_a_sibling_that_is_late_is_given_up_while_there_is_time_to_say_so(make: Callable[..., Door]) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return int(GRACE_S * 2000)

    door = make()
    answered = threading.Event()
    door.sibling.pinned[7] = lambda _: answered.wait(10)
    status, _, body = door.get("/v2/models/digits/versions/7", Context())
    answered.set()
    assert (status, body["error"]) == (504, "version 7 of digits did not answer in time")
