"""``functions.inference.capture``: callers are answered as if nothing were kept, whatever becomes of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from functions.gateway.adapters.memory import MemoryEndpoint
from functions.inference.adapters.memory import MemoryCaptures
from functions.inference.capture import MOST_BUFFERED, CaptureDoor, Recorder, recording
from functions.inference.captured_rows import MOST_TEXT_BYTES, Half
from functions.inference.released import Unreleased
from functions.inference.request_log import RequestLog
from functions.protocol.errors import CloudUnavailableError
from model_store.contract import parquet
from model_store.contract.capture import CaptureSettings
from model_store.contract.environment import CAPTURE, CAPTURE_BUCKET
from model_store.contract.events import http_event
from tests.unit.functions.conftest import Caller, Layer
from tests.unit.functions.gateway.conftest import GatewayCaller, computing, pin_of

NOON = 1_795_348_800.0  # 22 November 2026, 12:00 UTC
INFER = "/v2/models/digits/infer"


class Place:
    """A door that keeps, a clock, and what was kept."""

    def __init__(self, layer: Layer, *errors: Exception, write_every_s: float = 0.0, **settings: Any) -> None:
        self.caller = Caller(layer.load())
        self.captures = MemoryCaptures(*errors)
        self.now = NOON
        self.lines: list[str] = []
        self.recorder = Recorder(
            lambda: self.captures,
            layer.load(),
            CaptureSettings(**{"rate": 1.0, "rows_per_hour": 10_000, **settings}),
            RequestLog({"model": "digits"}, self.lines.append),
            most_held=8_000_000,
            now=lambda: self.now,
            write_every_s=write_every_s,
        )
        self.door = CaptureDoor(self.caller.door, self.recorder)

    def ask(
        self, *rows: list[float], event: dict[str, Any] | None = None, context: object = None
    ) -> dict[str, Any]:
        event = event or asked(*rows)
        answer = self.door(event, context)
        self.recorder.drain()
        return answer

    @property
    def rows(self) -> list[dict[str, Any]]:
        found = []
        for data in self.captures.kept.values():
            columns, _ = parquet.read(data)
            names = [column.name for column in columns]
            found += [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return found

    @property
    def about(self) -> list[dict[str, str]]:
        return [parquet.read(data)[1] for data in self.captures.kept.values()]


def asked(*rows: list[float], path: str = INFER, request_id: str | None = None) -> dict[str, Any]:
    given = list(rows) or [[0.0, 0.0, 0.0, 1.0]]
    x = {"name": "x", "datatype": "FP32", "shape": [len(given), 4], "data": given}
    event = http_event("POST", path, json.dumps({"inputs": [x]}).encode())
    event["requestContext"]["apiId"] = "a1b2c3"
    event["requestContext"]["requestId"] = request_id or event["requestContext"]["requestId"]
    event["headers"]["authorization"] = "private"
    return event


def ids(count: int) -> Iterator[str]:
    return (str(UUID(int=at * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for at in range(count))


def test_the_answer_is_the_one_without_capture_and_the_row_is_kept(linear_layer: Layer) -> None:
    place = Place(linear_layer)
    event = asked([1, 2, 3, 4])
    assert place.ask(event=event) == place.caller.door(event, None)
    (row,) = place.rows
    assert row["input.x"] == [1, 2, 3, 4]
    assert row["request_id"] == event["requestContext"]["requestId"]
    assert row["at"] == NOON * 1000
    (key,) = place.captures.kept
    assert key.startswith("captured/digits/000000002/2026/11/22/12/")


def test_who_asked_is_not_kept(linear_layer: Layer) -> None:
    place = Place(linear_layer)
    place.ask()
    assert b"private" not in b"".join(place.captures.kept.values())
    assert "authorization" not in str(place.rows)


def test_a_file_says_what_answered(linear_layer: Layer) -> None:
    place = Place(linear_layer)
    place.ask()
    (about,) = place.about
    assert about["digest"] == str(linear_layer.manifest.digest)
    assert (about["model"], about["version"], about["lost"], about["format"]) == ("digits", "2", "0", "1")


@pytest.mark.parametrize(
    "event",
    [
        asked([1, 2]),
        asked(path="/v2/models/other/infer"),
        http_event("GET", "/v2/models/digits"),
        http_event("POST", INFER, asked()["body"].encode()),
        {"not": "an HTTP call"},
    ],
    ids=["refused", "another model", "metadata", "a check of the controller", "nonsense"],
)
def test_only_what_a_caller_was_answered_is_kept(linear_layer: Layer, event: dict[str, Any]) -> None:
    place = Place(linear_layer)
    assert place.ask(event=event) == place.caller.door(event, None)
    assert place.captures.kept == {}


def test_the_same_requests_are_sampled_wherever_they_come_by(linear_layer: Layer) -> None:
    first, second = Place(linear_layer, rate=0.3), Place(linear_layer, rate=0.3)
    for request_id in ids(200):
        for place in (first, second):
            place.ask(event=asked(request_id=request_id))
    kept = [row["request_id"] for row in first.rows]
    assert kept == [row["request_id"] for row in second.rows]
    assert 35 < len(kept) < 85


def test_an_hour_has_its_share_and_the_next_one_another(linear_layer: Layer) -> None:
    place = Place(linear_layer, rows_per_hour=3)
    for _ in range(3):
        place.ask([0, 0, 0, 1], [0, 0, 1, 0])
    assert len(place.rows) == 3
    place.now += 3_600
    place.ask()
    assert len(place.rows) == 4
    assert len({key.rsplit("/", 1)[0] for key in place.captures.kept}) == 2


def test_rows_are_written_together_but_for_the_first(linear_layer: Layer) -> None:
    """A function that is asked once in a while keeps what it was asked; a busy one writes few files."""
    place = Place(linear_layer, write_every_s=3_600)
    for _ in range(10):
        place.ask()
    assert len(place.rows) == 1
    rows = [[float(at), 0.0, 0.0, 0.0] for at in range(64)]
    for _ in range(MOST_BUFFERED // 64 + 1):
        place.ask(*rows)
    assert len(place.captures.kept) == 2
    assert len(place.rows) > MOST_BUFFERED


def test_a_file_is_of_one_hour(linear_layer: Layer) -> None:
    place = Place(linear_layer, write_every_s=3_600)
    place.ask()
    place.ask()
    place.now += 3_600
    place.ask()
    assert [key.split("/")[6] for key in place.captures.kept] == ["12", "12"]


def test_a_connection_that_died_in_the_freezer_is_tried_again(linear_layer: Layer) -> None:
    place = Place(linear_layer, CloudUnavailableError("broken"))
    place.ask()
    assert len(place.rows) == 1
    assert place.lines == []


def test_what_could_not_be_written_is_counted_said_once_and_told_in_the_next_file(
    linear_layer: Layer,
) -> None:
    place = Place(linear_layer, *[CloudUnavailableError("AWS answered AccessDenied")] * 4)
    place.ask([0, 0, 0, 1], [0, 0, 1, 0])
    place.ask()
    place.ask()
    assert [about["lost"] for about in place.about] == ["3"]
    (line,) = map(json.loads, place.lines)
    assert (line["capture"], line["why"]) == ("failed", "AWS answered AccessDenied")
    place.ask()
    assert place.about[-1]["lost"] == "0"


def test_a_request_of_megabytes_is_lost_and_not_carried(linear_layer: Layer) -> None:
    place = Place(linear_layer)
    place.ask(*[[0.123456789, 0.0, 0.0, 1.0]] * (MOST_TEXT_BYTES // 20))
    assert place.rows == []
    place.ask()
    assert place.about[0]["lost"] == "1"


def test_what_waits_is_never_more_than_a_share_of_the_memory(linear_layer: Layer) -> None:
    place, release = Place(linear_layer), threading.Event()

    class Slow(MemoryCaptures):
        def keep(self, key: str, data: bytes) -> None:
            assert release.wait(60)
            super().keep(key, data)

    place.captures = Slow()
    place.door(asked(), None)
    for _ in range(4):
        place.recorder.keep("r1", Half(bytes(3_000_000)), Half(b"{}"))
    release.set()
    place.recorder.drain()
    place.ask()
    place.ask()
    assert sum(int(about["lost"]) for about in place.about) == 4, "two did not fit, and two are no JSON"


def test_a_row_says_through_which_alias_it_came(linear_layer: Layer) -> None:
    class Context:
        aws_request_id = "a1"
        invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:digits:canary"

    place = Place(linear_layer)
    place.ask(context=Context())
    place.ask()
    assert [row["alias"] for row in place.rows] == ["canary", ""]


def test_a_caller_never_waits_for_a_bucket(linear_layer: Layer) -> None:
    """Law: a caller is answered as if nothing were kept."""
    place, release = Place(linear_layer), threading.Event()

    class Slow(MemoryCaptures):
        def keep(self, key: str, data: bytes) -> None:
            assert release.wait(60)
            super().keep(key, data)

    place.captures = Slow()
    for _ in range(100):
        assert place.door(asked(), None)["statusCode"] == 200
    assert place.captures.kept == {}
    release.set()
    place.recorder.drain()
    place.ask()
    assert sum(int(about["lost"]) for about in place.about) + len(place.rows) == 101


def test_a_gateway_keeps_what_passes_through_it(linear_layer: Layer) -> None:
    pin = pin_of(linear_layer)
    caller = GatewayCaller(pin, MemoryEndpoint(computing(linear_layer.load())))
    captures = MemoryCaptures()
    recorder = Recorder(lambda: captures, pin, CaptureSettings(1.0, 10), RequestLog({}), write_every_s=0)
    assert CaptureDoor(caller.door, recorder)(asked([1, 2, 3, 4]), None)["statusCode"] == 200
    recorder.drain()
    ((columns, _),) = map(parquet.read, captures.kept.values())
    assert {column.name: values for column, values in columns.items()}["input.x"] == [[1, 2, 3, 4]]


# As a function starts


def started(layer: Layer, lines: list[str], **environ: str) -> object:
    return recording(layer.load(), environ, RequestLog({}, lines.append))


def test_a_rate_of_nothing_keeps_nothing(linear_layer: Layer) -> None:
    settings = CaptureSettings(0.0, 10).to_json()
    assert started(linear_layer, [], **{CAPTURE: settings, CAPTURE_BUCKET: "b"}) is None
    settings = CaptureSettings(0.1, 10).to_json()
    assert started(linear_layer, [], **{CAPTURE: settings, CAPTURE_BUCKET: "b"}) is not None


@pytest.mark.parametrize(
    "environ",
    [
        {CAPTURE: "{", CAPTURE_BUCKET: "b"},
        {CAPTURE: CaptureSettings(1.0, 10).to_json()},
        {CAPTURE: CaptureSettings(1.0, 10, drop=("nmae",)).to_json(), CAPTURE_BUCKET: "b"},
    ],
    ids=["nonsense", "no bucket", "a name that is not there"],
)
def test_what_is_wrong_with_capture_is_said_and_nothing_is_kept(
    linear_layer: Layer, environ: dict[str, str]
) -> None:
    lines: list[str] = []
    assert started(linear_layer, lines, **environ) is None
    assert json.loads(lines[0])["capture"] == "off"


def test_before_the_first_release_there_is_nothing_to_keep(linear_layer: Layer) -> None:
    assert recording(Unreleased("digits"), {}, RequestLog({})) is None
