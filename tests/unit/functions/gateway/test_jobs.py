"""``functions.gateway.jobs``: who asks may go, and finds what came of it; who knows nothing of that waits."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest

from functions.gateway.adapters.memory import MemoryEndpoint
from functions.gateway.jobs import Jobs
from functions.gateway.later import INLINE_BYTES, Later
from functions.gateway.pin import Pin
from functions.gateway.ports import Patience, Said
from functions.gateway.service import GatewayService
from functions.inference.adapters.memory import MemoryObjects
from functions.inference.capture import CaptureDoor
from functions.inference.door import Handler, HttpDoor
from functions.inference.handoff import KEPT_S
from functions.inference.limits import Limits
from functions.inference.ports import Stored
from functions.inference.request_log import RequestLog
from functions.protocol.errors import DeadlineError
from model_store.contract.events import http_event, read_answer
from tests.unit.functions.conftest import Kept, Layer, Reply
from tests.unit.functions.gateway.conftest import computing, pin_of

BUCKET = "handoff"
PATH = "/v2/models/digits"
X = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
REQUEST = json.dumps({"inputs": [X | {"data": [0, 0, 0, 1]}]}).encode()
ANNA = {"iam": {"accountId": "123456789012", "userId": "AROAX:anna"}}
BEN = {"iam": {"accountId": "123456789012", "userId": "AROAX:ben"}}
LATER = "respond-async"


@dataclass
class Office:
    """A gateway before an endpoint with a queue. Its clock runs while it waits, and only then."""

    pin: Pin
    endpoint: MemoryEndpoint
    objects: MemoryObjects
    limits: Limits = field(default_factory=Limits)
    now: float = 1_000.0
    lines: list[str] = field(default_factory=list)
    kept: Kept | None = None

    def __post_init__(self) -> None:
        self.later = Later(
            self.pin,
            self.objects,
            bucket=BUCKET,
            connect=lambda: self.endpoint,
            patience=Patience(timeout_s=60, expires_s=600),
            now=lambda: self.now,
        )
        self.service = GatewayService(
            self.pin,
            self.limits,
            connect=lambda: self.endpoint,
            later=lambda: self.later,
            sleep=self._sleep,
            clock=lambda: self.now,
        )
        recorder = self.kept.recorder if self.kept else None
        routes = Jobs(self.service, self.objects, bucket=BUCKET, recorder=recorder).routes
        self.door: Handler = HttpDoor(self.service, RequestLog(self.pin.labels, self.lines.append), routes)
        if recorder is not None:
            self.door = CaptureDoor(self.door, recorder)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask(
        self, body: bytes = REQUEST, path: str = f"{PATH}/infer", *, by: Any = None, **headers: str
    ) -> Reply:
        return self._call(http_event("POST", path, body), by, headers)

    def result(self, path: str, *, by: Any = None) -> Reply:
        return self._call(http_event("GET", path), by, {})

    def _call(self, event: dict[str, Any], by: Any, headers: dict[str, str]) -> Reply:
        event["headers"] |= headers
        event["requestContext"]["apiId"] = "a1b2c3"
        if by:
            event["requestContext"]["authorizer"] = by
        return Reply(*read_answer(self.door(event, None)))


def office_of(layer: Layer, limits: Limits | None = None) -> Office:
    objects = MemoryObjects()
    endpoint = MemoryEndpoint(computing(layer.load()), objects, f"s3://{BUCKET}/digits")
    return Office(pin_of(layer), endpoint, objects, limits or Limits())


@pytest.fixture
def office(linear_layer: Layer) -> Office:
    return office_of(linear_layer)


def where(reply: Reply, path: str = f"{PATH}/infer") -> str:
    """The path that a 202 leads to from the address that was called."""
    assert reply.status == 202, reply.body
    return urljoin(path, reply.headers["location"])


def test_who_says_nothing_is_answered_as_by_any_model(office: Office) -> None:
    """Law 7: a standard client knows nothing of queues."""
    reply = office.ask()
    assert (reply.status, reply.json["outputs"][1]["data"]) == (200, [2])
    assert reply.headers["x-switchyard-model"] == "digits:2"
    assert reply.headers["x-switchyard-digest"] == str(office.pin.manifest.digest)


def test_who_prefers_it_hears_at_once_where_to_ask_later(office: Office) -> None:
    office.endpoint.asleep = True
    before = office.now
    begun = office.ask(prefer=LATER)
    assert (begun.status, office.now) == (202, before)
    assert begun.json["status"] == "waiting"
    assert where(begun) == f"{PATH}/results/{begun.json['id']}"
    waiting = office.result(where(begun))
    assert (waiting.status, waiting.headers["retry-after"]) == (202, "2")
    assert urljoin(where(begun), waiting.headers["location"]) == where(begun)
    office.endpoint.wake()
    done = office.result(where(begun))
    assert (done.status, done.json["outputs"][1]["data"]) == (200, [2])


def test_the_endpoint_is_told_how_long_a_request_may_wait_and_take(office: Office) -> None:
    office.endpoint.asleep = True
    begun = office.ask(prefer=LATER)
    ((name, payload, length, patience),) = office.endpoint.queued
    assert (name, payload, length) == (begun.json["id"], REQUEST, None)
    assert patience == Patience(timeout_s=60, expires_s=600)


@pytest.mark.parametrize(
    ("prefer", "waited"), [("respond-async, wait=7", 7.0), ('Respond-Async;wait="3"', 3.0), ("wait=2", 28.0)]
)
def test_a_caller_may_wait_a_while_first(office: Office, prefer: str, waited: float) -> None:
    """RFC 7240: without ``respond-async`` a preferred wait allows no 202 before the time is over anyway."""
    office.endpoint.asleep = True
    before = office.now
    assert office.ask(prefer=prefer).status == 202
    assert waited - 1.5 < office.now - before <= waited + 0.6


def test_what_is_not_answered_in_time_is_not_lost_and_no_fault(office: Office) -> None:
    """A queue that is long would otherwise fire the alarms that undo a release."""
    office.endpoint.asleep = True
    begun = office.ask()
    office.endpoint.wake()
    assert office.result(where(begun)).status == 200
    assert [json.loads(line)["status"] for line in office.lines] == [202, 200]


def test_an_alias_and_a_version_in_the_path_lead_to_the_same_result(office: Office) -> None:
    for path in (f"/candidate{PATH}/infer", f"{PATH}/versions/2/infer"):
        begun = office.ask(path=path, prefer=LATER)
        prefix = "/candidate" if path.startswith("/candidate") else ""
        assert where(begun, path) == f"{prefix}{PATH}/results/{begun.json['id']}"
        assert office.result(where(begun, path)).status == 200


def test_results_are_their_callers_own(office: Office) -> None:
    begun = office.ask(by=ANNA, prefer=LATER)
    assert office.result(where(begun), by=ANNA).status == 200
    for stranger in (BEN, None):
        refused = office.result(where(begun), by=stranger)
        assert (refused.status, refused.json["error"]) == (404, "there is no such request, or it is gone")


@pytest.mark.parametrize("id_", ["x", "A" * 43, "..%2Fother", "A" * 42 + "/"])
def test_nobody_finds_what_nobody_was_given(office: Office, id_: str) -> None:
    assert office.result(f"{PATH}/results/{id_}").status == 404


def test_binary_data_go_through_though_objects_know_no_lengths(office: Office) -> None:
    tensor = X | {"parameters": {"binary_data_size": 16}}
    asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    text, data = json.dumps(asked).encode(), np.array([0, 0, 0, 1], np.float32).tobytes()
    begun = office.ask(text + data, prefer=LATER, **{"inference-header-content-length": str(len(text))})
    done = office.result(where(begun))
    assert (done.status, done.headers["content-type"]) == (200, "application/octet-stream")
    assert np.frombuffer(done.data[-8:], "<i8").tolist() == [2]


def test_what_the_model_refuses_is_a_400_with_its_sentence(office: Office) -> None:
    body = json.dumps({"inputs": [X | {"shape": [1, 3], "data": [1, 2, 3]}]}).encode()
    now, later = office.ask(body), office.result(where(office.ask(body, prefer=LATER)))
    assert now.status == later.status == 400
    assert "shape" in now.json["error"]
    assert now.json == later.json


def test_what_the_endpoint_got_wrong_is_a_500_without_its_words(office: Office) -> None:
    def failing(body: bytes, length: int | None) -> Any:
        return Said(500, b"Traceback: private")

    office.endpoint = MemoryEndpoint(failing, office.objects, f"s3://{BUCKET}/digits")
    reply = office.ask()
    assert (reply.status, b"private" in reply.body) == (500, False)


def test_what_expired_without_a_word_is_a_failure_in_the_end(office: Office) -> None:
    office.endpoint.asleep = True
    begun = office.ask(prefer=LATER)
    office.now += 600 + 60 + 60
    assert office.result(where(begun)).status == 202
    office.now += 100
    assert office.result(where(begun)).status == 500


def test_a_long_request_lies_in_the_bucket_and_an_upload_stays_where_it_is(office: Office) -> None:
    long = REQUEST.replace(b'"inputs"', b'"id": "' + b"x" * INLINE_BYTES + b'", "inputs"')
    office.endpoint.asleep = True
    begun = office.ask(long, prefer=LATER)
    (_, payload, _, _) = office.endpoint.queued[-1]
    assert isinstance(payload, str)
    assert payload.startswith(f"s3://{BUCKET}/digits/")
    assert payload.endswith(f"/in/{begun.json['id']}")
    told = office.ask(json.dumps({"bytes": len(REQUEST)}).encode(), f"{PATH}/uploads").json
    assert office.objects.upload(told["url"], REQUEST)
    reference = json.dumps({"parameters": {"input_ref": told["input_ref"]}}).encode()
    by_name = office.ask(reference, prefer=LATER)
    assert str(office.endpoint.queued[-1][1]).endswith(f"/in/{told['input_ref']}")
    office.endpoint.wake()
    for one in (begun, by_name):
        assert office.result(where(one)).json["outputs"][1]["data"] == [2]


def test_an_upload_that_is_not_there_or_too_old_is_refused_before_anything_is_queued(office: Office) -> None:
    told = office.ask(json.dumps({"bytes": 7}).encode(), f"{PATH}/uploads").json
    reference = json.dumps({"parameters": {"input_ref": told["input_ref"]}}).encode()
    assert office.ask(reference, prefer=LATER).status == 404
    key = told["url"].removeprefix(f"memory://{BUCKET}/").partition("?")[0]
    office.objects.write(BUCKET, key, Stored(b"x", age_s=KEPT_S + 1))
    assert office.ask(reference, prefer=LATER).status == 404
    assert not office.endpoint.queued
    assert not office.endpoint.asked


def test_an_upload_may_be_as_large_as_sagemaker_reads_and_no_larger(office: Office) -> None:
    for size, status in ((1 << 30, 200), ((1 << 30) + 1, 413)):
        assert office.ask(json.dumps({"bytes": size}).encode(), f"{PATH}/uploads").status == status


def test_a_result_that_is_too_large_is_an_address_for_who_knows_what_that_is(linear_layer: Layer) -> None:
    office = office_of(linear_layer, Limits(max_payload_bytes=120, handoff_max_bytes=1))
    assert office.ask(json.dumps({"inputs": [X | {"data": [0, 0, 0, 1]}]}).encode()).status == 413
    small = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[0,0,0,1]}]}'
    assert office.ask(small).status == 413
    pointer = office.result(where(office.ask(small, prefer=LATER)))
    said = pointer.json
    assert (pointer.status, said["outputs"], said["model_version"]) == (200, [], "2")
    whole = office.objects.download(said["parameters"]["output_url"])
    assert whole is not None
    assert json.loads(whole)["outputs"][1]["data"] == [2]
    assert said["parameters"]["output_bytes"] == len(whole)


def test_an_answer_after_a_flip_names_the_version_that_gave_it(linear_layer: Layer) -> None:
    """Law 2: the header is the ticket's, whichever version is asked for the result."""
    office = office_of(linear_layer)
    begun = office.ask(prefer=LATER)
    manifest = office.pin.manifest
    other = office.pin._replace(manifest=replace(manifest, version=3))
    flipped = Office(other, office.endpoint, office.objects)
    done = flipped.result(where(begun))
    assert (done.status, done.headers["x-switchyard-model"]) == (200, "digits:2")
    assert done.headers["x-switchyard-digest"] == str(manifest.digest)


def test_a_busy_endpoint_is_asked_once_more(office: Office) -> None:
    office.endpoint.throttled = 1
    assert office.ask(prefer=LATER).status == 202
    office.endpoint.throttled = 2
    refused = office.ask(prefer=LATER)
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")


def test_other_doors_wait_for_the_queue_too(office: Office) -> None:
    encoded = office.service.infer(REQUEST, "digits")
    assert json.loads(encoded.body)["outputs"][1]["data"] == [2]
    office.endpoint.asleep = True
    with pytest.raises(DeadlineError, match="answers later"):
        office.service.infer(REQUEST, "digits", remaining_s=3)


def test_the_metadata_say_that_answers_may_come_later(office: Office) -> None:
    assert office.result(PATH).json["parameters"]["asynchronous_timeout_s"] == 60


# What is kept of them


def keeping(layer: Layer, version: int = 2) -> tuple[Office, Kept]:
    office = office_of(layer)
    pin = office.pin._replace(manifest=replace(office.pin.manifest, version=version))
    kept = Kept(pin)
    return Office(pin, office.endpoint, office.objects, kept=kept), kept


def test_a_request_that_was_waited_for_is_kept_whole(linear_layer: Layer) -> None:
    office, kept = keeping(linear_layer)
    assert office.ask().status == 200
    (row,) = kept.rows
    assert (row["input.x"], row["output.label"]) == ([0, 0, 0, 1], [2])


def test_of_a_request_that_is_answered_later_both_halves_are_kept_under_one_id(linear_layer: Layer) -> None:
    office, kept = keeping(linear_layer)
    office.endpoint.asleep = True
    begun = office.ask(prefer=LATER)
    assert office.result(where(begun)).status == 202
    (asked,) = kept.rows
    assert (asked["input.x"], asked["output.label"]) == ([0, 0, 0, 1], [])
    office.endpoint.wake()
    assert office.result(where(begun)).status == 200
    assert [row["output.label"] for row in kept.rows] == [[], [2]]
    assert {row["request_id"] for row in kept.rows} == {asked["request_id"]}


def test_an_upload_is_read_by_the_thread_that_keeps_it(linear_layer: Layer) -> None:
    office, kept = keeping(linear_layer)
    told = office.ask(json.dumps({"bytes": len(REQUEST)}).encode(), f"{PATH}/uploads").json
    assert office.objects.upload(told["url"], REQUEST)
    reference = json.dumps({"parameters": {"input_ref": told["input_ref"]}}).encode()
    assert office.ask(reference).status == 200
    (row,) = kept.rows
    assert (row["input.x"], row["output.label"]) == ([0, 0, 0, 1], [2])


def test_an_answer_of_the_version_before_a_flip_is_nobody_s_row(linear_layer: Layer) -> None:
    office, _ = keeping(linear_layer)
    begun = office.ask(prefer=LATER)
    other, kept = keeping(linear_layer, 3)
    flipped = Office(other.pin, office.endpoint, office.objects, kept=kept)
    assert flipped.result(where(begun)).status == 200
    assert kept.rows == []
