"""``functions.gateway.later``: what is queued is found by its caller, and is what it says it is."""

from __future__ import annotations

import json

import pytest

from functions.gateway.adapters.memory import MemoryEndpoint
from functions.gateway.later import Later
from functions.gateway.pin import Pin
from functions.gateway.ports import Patience, Places, Said
from functions.inference.adapters.memory import MemoryObjects
from functions.protocol.encoded import Encoded
from model_store.contract.errors import IntegrityError
from tests.unit.functions.conftest import Layer
from tests.unit.functions.gateway.conftest import pin_of

BUCKET = "handoff"
ANSWER = json.dumps({"model_name": "digits", "model_version": "2", "outputs": []}).encode()


@pytest.fixture
def pin(linear_layer: Layer) -> Pin:
    return pin_of(linear_layer)


def later_of(pin: Pin, answer: bytes, *, folder: str = f"s3://{BUCKET}/digits") -> Later:
    objects = MemoryObjects()
    endpoint = MemoryEndpoint(lambda *_: Said(200, answer), objects, folder)
    return Later(pin, objects, bucket=BUCKET, connect=lambda: endpoint, patience=Patience())


@pytest.mark.parametrize(
    ("answer", "length"),
    [(ANSWER, None), (ANSWER + b"\x00\xff{", len(ANSWER)), (b'{"model_version": "2", "x": "\xc3\xa9"}!', 33)],
    ids=["JSON alone", "binary data behind it", "a letter of two bytes"],
)
def test_where_the_json_of_an_answer_ends_is_read_from_it(
    pin: Pin, answer: bytes, length: int | None
) -> None:
    later = later_of(pin, answer)
    found = later.look("anna", later.begin("anna", b"{}", None, seconds=9), most=1_000)
    assert found is not None
    assert (found.size, found.json_length, found.encoded) == (len(answer), length, Encoded(answer, length))


def test_an_answer_of_another_version_is_given_to_nobody(pin: Pin) -> None:
    """Law 2."""
    later = later_of(pin, ANSWER.replace(b'"2"', b'"3"'))
    with pytest.raises(IntegrityError, match="names version `3` of digits, expected `2`"):
        later.look("anna", later.begin("anna", b"{}", None, seconds=9), most=1_000)


def test_what_another_s_container_says_is_passed_on_as_it_is(pin: Pin) -> None:
    later = later_of(pin._replace(own_image=True), b'{"model_version": "new"} and more')
    found = later.look("anna", later.begin("anna", b"{}", None, seconds=9), most=1_000)
    assert found is not None
    assert found.encoded == Encoded(b'{"model_version": "new"} and more')


def test_answers_lie_in_the_one_bucket_that_they_are_read_from(pin: Pin) -> None:
    class Elsewhere(MemoryEndpoint):
        def _places(self, name: str) -> Places:
            return Places("s3://elsewhere/a", "s3://elsewhere/b")

    objects = MemoryObjects()
    endpoint = Elsewhere(lambda *_: Said(200, ANSWER), objects)
    later = Later(pin, objects, bucket=BUCKET, connect=lambda: endpoint, patience=Patience())
    with pytest.raises(IntegrityError, match="answers into another bucket"):
        later.begin("anna", b"{}", None, seconds=9)
