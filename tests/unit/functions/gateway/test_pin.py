"""``functions.gateway.pin``: what a published version pins is told by its environment and its layer alike."""

from __future__ import annotations

import shutil

import pytest

from functions.gateway.pin import Pin, find_pin
from functions.inference.released import Unreleased
from model_store.contract import environment
from model_store.contract.errors import IntegrityError
from tests.unit.functions.conftest import Layer

PINNED = {environment.TARGET: "sagemaker", environment.ENDPOINT: "switchyard-test-digits-2"}


def test_a_version_pins_one_endpoint_and_needs_no_files_of_the_model(linear_layer: Layer) -> None:
    shutil.rmtree(linear_layer.package / environment.FILES_FOLDER)
    pin = find_pin(linear_layer.environ | PINNED, package=str(linear_layer.package))
    assert isinstance(pin, Pin)
    assert (pin.target, pin.endpoint) == ("sagemaker", "switchyard-test-digits-2")
    assert pin.headers == {
        "x-switchyard-model": "digits:2",
        "x-switchyard-digest": str(linear_layer.manifest.digest),
    }
    assert pin.golden().inputs[0].data == (1.0,) * 4


def test_before_the_first_release_there_is_nothing_to_pin() -> None:
    assert find_pin({environment.MODEL: "digits", environment.TARGET: "ec2"}) == Unreleased("digits")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (environment.ENDPOINT, "", "`SWITCHYARD_ENDPOINT` is not set"),
        (environment.TARGET, "", "`SWITCHYARD_TARGET` is not set"),
        (environment.TARGET, "lambda", "no gateway stands before that"),
        (environment.VERSION, "3", "the model layer holds `2`"),
        (environment.DIGEST, "sha256:" + "0" * 64, "digits:2"),
    ],
)
def test_what_does_not_fit_together_does_not_start(
    linear_layer: Layer, variable: str, value: str, words: str
) -> None:
    """Law 2: a function that is unsure what it pins does not answer."""
    with pytest.raises(IntegrityError, match=words):
        find_pin(linear_layer.environ | PINNED | {variable: value}, package=str(linear_layer.package))
