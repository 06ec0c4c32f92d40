"""Large payloads through S3: whose they are, how large, how long, and that nobody is surprised by one."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from functions.inference import handoff as room
from functions.inference.adapters.memory import MemoryObjects
from functions.inference.capture import CaptureDoor
from functions.inference.door import Handler, HttpDoor
from functions.inference.handoff import Handoff, caller_of
from functions.inference.limits import Limits
from functions.inference.ports import Stored
from functions.inference.request_log import RequestLog
from functions.inference.served import Served, Unreleased
from functions.inference.service import ModelService
from functions.protocol.errors import CloudUnavailableError
from model_store.contract.events import http_event, read_answer
from tests.unit.functions.conftest import Kept, Layer, Reply

BUCKET = "handoff"
PATH = "/v2/models/digits"
ANNA = {"iam": {"accountId": "123456789012", "userId": "AROAX:anna", "userArn": "arn:…/anna"}}
BEN = {"iam": {"accountId": "123456789012", "userId": "AROAX:ben", "userArn": "arn:…/ben"}}
JWT = {"jwt": {"claims": {"iss": "https://issuer", "sub": "carla"}, "scopes": []}}
X = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 1]}
REQUEST = json.dumps({"id": "seven", "inputs": [X]}).encode()


@dataclass
class Shop:
    """A function that hands off, with callers who are known by name or not at all."""

    served: Served | Unreleased
    limits: Limits = field(default_factory=lambda: Limits(memory_mb=512))
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    lines: list[str] = field(default_factory=list)
    kept: Kept | None = None

    def __post_init__(self) -> None:
        service = ModelService(self.served, self.limits)
        recorder = self.kept.recorder if self.kept else None
        routes = Handoff(service, self.objects, bucket=BUCKET, recorder=recorder).routes
        self.door: Handler = HttpDoor(service, RequestLog(self.served.labels, self.lines.append), routes)
        if recorder is not None:
            self.door = CaptureDoor(self.door, recorder)

    def post(
        self,
        path: str,
        body: Any,
        *,
        by: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        event = http_event("POST", path, content)
        if by:
            event["requestContext"]["authorizer"] = by
        event["headers"] |= headers or {}
        event["requestContext"]["apiId"] = "a1b2c3"
        return Reply(*read_answer(self.door(event, None)))

    def upload(self, body: bytes, *, by: dict[str, Any] | None = None) -> str:
        told = self.post(f"{PATH}/uploads", {"bytes": len(body)}, by=by).json
        assert self.objects.upload(told["url"], body)
        ref: str = told["input_ref"]
        return ref

    def infer(self, ref: object, *, by: dict[str, Any] | None = None, **parameters: Any) -> Reply:
        return self.post(f"{PATH}/infer", {"parameters": {"input_ref": ref, **parameters}}, by=by)


@pytest.fixture
def shop(linear_layer: Layer) -> Shop:
    return Shop(linear_layer.load())


def test_an_upload_is_inferred_from_by_its_name(shop: Shop) -> None:
    reply = shop.infer(shop.upload(REQUEST))
    assert (reply.status, reply.json["id"], reply.json["outputs"][1]["data"]) == (200, "seven", [2])
    assert reply.headers["x-switchyard-model"] == "digits:2"


def test_an_upload_with_binary_data_is_read_as_such(shop: Shop) -> None:
    raw = np.array([[0, 0, 0, 1]], "<f4").tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    reply = shop.infer(shop.upload(head + raw), input_header_length=len(head))
    assert reply.status == 200
    assert np.frombuffer(reply.data[-8:], "<i8").tolist() == [2]


def test_the_same_upload_may_be_asked_about_twice(shop: Shop) -> None:
    ref = shop.upload(REQUEST)
    assert [shop.infer(ref).status for _ in range(2)] == [200, 200]


def test_the_version_may_be_named(shop: Shop) -> None:
    ref = shop.upload(REQUEST)
    named = {"parameters": {"input_ref": ref}}
    assert shop.post(f"{PATH}/versions/2/infer", named).status == 200
    assert shop.post(f"{PATH}/versions/9/infer", named).status == 404
    assert shop.post(f"{PATH}/versions/2/uploads", {"bytes": 1}).status == 200


@pytest.mark.parametrize("other", [BEN, JWT, None])
def test_nobody_infers_from_another_caller_s_upload(shop: Shop, other: dict[str, Any] | None) -> None:
    ref = shop.upload(REQUEST, by=ANNA)
    assert shop.infer(ref, by=ANNA).status == 200
    refused = shop.infer(ref, by=other)
    assert (refused.status, refused.json) == (404, {"error": "there is no such upload, or it is gone"})


@pytest.mark.parametrize("by", [ANNA, JWT, None])
def test_every_upload_lies_under_its_caller_and_model_at_a_name_nobody_guesses(
    shop: Shop, by: dict[str, Any] | None
) -> None:
    refs = {shop.upload(REQUEST, by=by) for _ in range(3)}
    event: dict[str, Any] = {"requestContext": {"authorizer": by} if by else {}}
    assert shop.objects.keys(BUCKET) == sorted(f"digits/{caller_of(event)}/in/{ref}" for ref in refs)
    assert len(refs) == 3
    assert all(len(ref) == 43 for ref in refs)


def test_a_caller_s_folder_tells_nothing_about_them() -> None:
    assert "anna" not in caller_of({"requestContext": {"authorizer": ANNA}})


@pytest.mark.parametrize(
    "ref", ["../" + "a" * 40, "a" * 42, "a" * 44, "a/" + "b" * 41, "", None, 7, ["x"], "é" * 43, "a" * 43]
)
def test_a_name_that_no_upload_has_is_refused(shop: Shop, ref: object) -> None:
    assert shop.infer(ref).status in (400, 404)


@pytest.mark.parametrize("length", [-1, "4", True, 1.5])
def test_a_length_that_is_none_is_refused(shop: Shop, length: object) -> None:
    reply = shop.infer(shop.upload(REQUEST), input_header_length=length)
    assert (reply.status, "input_header_length" in reply.json["error"]) == (400, True)


@pytest.mark.parametrize(
    "body", [b"", b"7", b"{}", b"not json", {"bytes": 0}, {"bytes": "4"}, {"bytes": True}]
)
def test_an_upload_is_announced_with_its_size(shop: Shop, body: Any) -> None:
    reply = shop.post(f"{PATH}/uploads", body)
    assert (reply.status, "with the size of the upload" in reply.json["error"]) == (400, True)


def test_an_upload_is_as_large_as_announced_and_no_larger_than_the_cap(shop: Shop) -> None:
    most = 512 * 1024 * 1024 // 8
    assert shop.post(f"{PATH}/uploads", {"bytes": most}).status == 200
    refused = shop.post(f"{PATH}/uploads", {"bytes": most + 1})
    assert (refused.status, str(most) in refused.json["error"]) == (413, True)
    told = shop.post(f"{PATH}/uploads", {"bytes": 4}).json
    assert (told["method"], told["headers"]) == ("PUT", {"content-length": "4"})
    assert not shop.objects.upload(told["url"], b"12345")


def test_an_upload_that_came_too_large_all_the_same_is_not_read(linear_layer: Layer) -> None:
    shop = Shop(linear_layer.load(), Limits(memory_mb=8))  # a cap of 1 MB
    ref = shop.upload(REQUEST)
    (key,) = shop.objects.keys(BUCKET)
    shop.objects.write(BUCKET, key, Stored(bytes((1 << 20) + 1)))
    assert shop.infer(ref).status == 413


def test_an_upload_is_taken_for_an_hour(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = shop.upload(REQUEST)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + room.KEPT_S - 5)
    assert shop.infer(ref).status == 200
    monkeypatch.setattr(time, "time", lambda: now + room.KEPT_S + 5)
    assert (shop.infer(ref).status, shop.infer(ref).json["error"]) == (
        404,
        "there is no such upload, or it is gone",
    )


def large(rows: int, **parameters: Any) -> tuple[bytes, dict[str, str]]:
    tensor = {
        "name": "x",
        "datatype": "FP32",
        "shape": [rows, 4],
        "parameters": {"binary_data_size": rows * 16},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True, **parameters}}).encode()
    length = {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}
    return head + bytes(rows * 16), length


ROWS = 240_000
"""3.84 MB in, 4.8 MB out: the request goes through Lambda and its answer does not."""


def send(shop: Shop, **parameters: Any) -> Reply:
    body, headers = large(ROWS, **parameters)
    event = http_event("POST", f"{PATH}/infer", body, content_type="application/octet-stream")
    event["headers"] |= headers
    return Reply(*read_answer(shop.door(event, None)))


def test_who_does_not_ask_for_it_is_never_answered_with_a_pointer(shop: Shop) -> None:
    """Law 7: a client that knows nothing of this hears 413, as ever."""
    reply = send(shop)
    assert (reply.status, "go through here" in reply.json["error"]) == (413, True)
    assert shop.objects.keys(BUCKET) == []


def test_who_asks_for_it_finds_a_large_answer_at_an_address(shop: Shop) -> None:
    reply = send(shop, accept_output_url=True)
    assert reply.status == 200
    assert (reply.json["model_name"], reply.json["model_version"], reply.json["outputs"]) == (
        "digits",
        "2",
        [],
    )
    pointer = reply.json["parameters"]
    answer = shop.objects.download(pointer["output_url"])
    assert answer is not None
    assert len(answer) == pointer["output_bytes"]
    described = json.loads(answer[: pointer["output_header_length"]])
    assert [output["shape"] for output in described["outputs"]] == [[ROWS, 3], [ROWS]]


def test_an_answer_that_fits_comes_itself_even_to_who_would_take_a_pointer(shop: Shop) -> None:
    reply = shop.post(f"{PATH}/infer", {"inputs": [X], "parameters": {"accept_output_url": True}})
    assert reply.json["outputs"][1]["data"] == [2]
    assert shop.objects.keys(BUCKET) == []


def test_both_ways_may_be_large(shop: Shop) -> None:
    rows = 400_000
    body, headers = large(rows)
    length = int(headers["inference-header-content-length"])
    ref = shop.upload(body, by=ANNA)
    refused = shop.infer(ref, by=ANNA, input_header_length=length)
    assert refused.status == 413
    reply = shop.infer(ref, by=ANNA, input_header_length=length, accept_output_url=True)
    answer = shop.objects.download(reply.json["parameters"]["output_url"])
    assert answer is not None
    assert len(answer) > rows * 20
    (written,) = [key for key in shop.objects.keys(BUCKET) if "/out/" in key]
    assert written.startswith(f"digits/{caller_of({'requestContext': {'authorizer': ANNA}})}/out/")


def test_an_answer_beyond_the_cap_is_not_handed_off(linear_layer: Layer) -> None:
    shop = Shop(linear_layer.load(), Limits(memory_mb=32))  # a cap of 4 MB
    reply = send(shop, accept_output_url=True)
    assert (reply.status, "at most 4194304" in reply.json["error"]) == (413, True)
    assert shop.objects.keys(BUCKET) == []


def test_words_of_the_hand_off_inside_a_request_change_nothing(shop: Shop) -> None:
    for body in (
        {"inputs": [X], "note": "accept_output_url"},
        {"inputs": [X], "parameters": {"note": "input_ref"}},
        {"inputs": [X], "parameters": {"accept_output_url": "yes"}},
    ):
        assert shop.post(f"{PATH}/infer", body).json["outputs"][1]["data"] == [2]
    for broken in (b"input_ref", b'["input_ref"]', b'{"parameters": ["input_ref"]}'):
        assert shop.post(f"{PATH}/infer", broken).status == 400


def test_an_upload_does_not_lead_to_another(shop: Shop) -> None:
    first = shop.upload(REQUEST)
    second = shop.upload(json.dumps({"parameters": {"input_ref": first}}).encode())
    assert shop.infer(second).status == 400


def test_a_bucket_that_does_not_answer_is_a_503(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = shop.upload(REQUEST)

    def down(*_: object, **__: object) -> None:
        raise CloudUnavailableError("AWS answered SlowDown for an upload")

    monkeypatch.setattr(shop.objects, "read", down)
    assert shop.infer(ref).status == 503


def test_before_a_release_an_upload_is_not_taken() -> None:
    shop = Shop(Unreleased("digits"))
    assert shop.post(f"{PATH}/uploads", {"bytes": 4}).status == 503


def test_the_log_says_which_way_and_nothing_of_the_payload(shop: Shop) -> None:
    ref = shop.upload(REQUEST)
    shop.infer(ref)
    assert [json.loads(line)["route"] for line in shop.lines] == [
        "/v2/models/{model}/uploads",
        "/v2/models/{model}/infer",
    ]
    assert not any(ref in line for line in shop.lines)


def test_what_was_really_asked_and_answered_is_kept_and_no_reference(linear_layer: Layer) -> None:
    """Of a request by name, and of an answer by address; once each, and nothing of what was refused."""
    served = linear_layer.load()
    kept = Kept(served)
    shop = Shop(served, Limits(memory_mb=512, max_payload_bytes=700), kept=kept)
    rows = 40
    x = {"name": "x", "datatype": "FP32", "shape": [rows, 4], "data": [0, 0, 0, 1] * rows}
    large = json.dumps({"id": "many", "inputs": [x]}).encode()
    assert shop.infer(shop.upload(REQUEST)).status == 200
    assert shop.infer(shop.upload(large)).status == 413, (
        "its answer does not fit, and no address was asked for"
    )
    pointer = shop.infer(shop.upload(large), accept_output_url=True)
    assert pointer.json["outputs"] == []
    found = kept.rows
    assert [row["id"] for row in found] == ["seven"] + ["many"] * rows
    assert {tuple(row["input.x"]) for row in found} == {(0, 0, 0, 1)}
    assert {tuple(row["output.label"]) for row in found} == {(2,)}
    assert len({row["request_id"] for row in found}) == 2
