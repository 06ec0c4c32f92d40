"""``functions.gateway.openai``: what a language model's clients ask, passed through."""

from __future__ import annotations

import pytest

from functions.gateway.adapters.memory import MemoryEndpoint
from functions.gateway.openai import openai_routes, own_paths
from functions.gateway.pin import Pin
from functions.gateway.ports import Said
from functions.inference.capture import CaptureDoor
from functions.inference.door import HttpDoor
from functions.inference.released import Unreleased
from functions.inference.request_log import RequestLog
from model_store.contract.environment import OWN_IMAGE
from model_store.contract.events import http_event
from tests.unit.functions.conftest import Kept, Layer
from tests.unit.functions.gateway.conftest import GatewayCaller, computing, pin_of

BASE = "/v2/models/digits/openai/v1"
CHAT = b'{"model": "digits", "messages": [{"role": "user", "content": "hello"}]}'
ANSWER = b'{"choices": [{"message": {"role": "assistant", "content": "hello"}}]}'


@pytest.fixture
def asked() -> list[bytes]:
    return []


@pytest.fixture
def chat(linear_layer: Layer, asked: list[bytes]) -> GatewayCaller:
    """A gateway in front of a container that says nothing of versions."""

    def answer(body: bytes, _: int | None) -> Said:
        asked.append(body)
        return Said(200, ANSWER)

    caller = GatewayCaller(pin_of(linear_layer, **{OWN_IMAGE: "on"}), MemoryEndpoint(answer))
    log = RequestLog(caller.pin.labels, caller.lines.append)
    caller.door = HttpDoor(caller.service, log, openai_routes(caller.service))
    return caller


@pytest.mark.parametrize("what", ["chat/completions", "completions", "embeddings", "responses"])
def test_the_body_goes_on_and_the_answer_comes_back_as_they_are(
    chat: GatewayCaller, asked: list[bytes], what: str
) -> None:
    reply = chat.post(f"{BASE}/{what}", CHAT)
    assert (reply.status, reply.body) == (200, ANSWER)
    assert asked == [CHAT]
    assert reply.headers["x-switchyard-model"] == "digits:2"
    (line,) = chat.log
    assert line["route"] == "/v2/models/{model}/openai/v1/" + what


def test_clients_are_told_which_version_is_there(chat: GatewayCaller) -> None:
    (model,) = chat.get(f"{BASE}/models").json["data"]
    assert model["id"] == "digits:2"


@pytest.mark.parametrize(
    ("body", "said"), [(b'{"stream": true}', "answers come whole"), (b"hello", "not JSON")]
)
def test_what_cannot_be_answered_is_refused_before_the_container_is_asked(
    chat: GatewayCaller, asked: list[bytes], body: bytes, said: str
) -> None:
    reply = chat.post(f"{BASE}/chat/completions", body)
    assert reply.status == 400
    assert said in reply.json["error"]
    assert asked == []


def test_v2_requests_reach_such_a_container_too(chat: GatewayCaller) -> None:
    """Triton's answers V2, and names no version as ours does."""
    assert chat.infer([1.0, 2.0, 3.0, 4.0]).body == ANSWER


def test_our_own_container_has_no_such_paths_and_must_name_what_it_serves(gateway: GatewayCaller) -> None:
    """Law 2."""
    assert openai_routes(gateway.service) == {}
    gateway.endpoint = MemoryEndpoint(lambda *_: Said(200, ANSWER))
    assert gateway.infer([1.0, 2.0, 3.0, 4.0]).status == 500


def test_before_the_first_release_there_are_none(gateway: GatewayCaller) -> None:
    unreleased = GatewayCaller(Unreleased("digits"), gateway.endpoint)
    assert openai_routes(unreleased.service) == {}


def test_what_a_language_model_was_asked_and_answered_is_kept_as_it_was(chat: GatewayCaller) -> None:
    assert isinstance(chat.pin, Pin)
    kept = Kept(chat.pin, own_paths=own_paths(chat.service))
    door = CaptureDoor(chat.door, kept.recorder)
    for path in (f"{BASE}/chat/completions", f"{BASE}/unheard-of"):
        event = http_event("POST", path, CHAT)
        event["requestContext"]["apiId"] = "a1b2c3"
        door(event, None)
    (row,) = kept.rows
    assert (row["input.request"], row["output.answer"]) == ([CHAT.decode()], [ANSWER.decode()])


def test_a_model_of_ours_has_no_paths_of_its_own(linear_layer: Layer) -> None:
    caller = GatewayCaller(pin_of(linear_layer), MemoryEndpoint(computing(linear_layer.load())))
    assert own_paths(caller.service) == ()
