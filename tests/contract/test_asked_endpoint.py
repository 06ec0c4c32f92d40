"""The laws of ``releases.adoption.AskedEndpoint``, held against memory and against the adapter of SageMaker.

The adapter meets a played client that fails as botocore's does; moto answers every endpoint alike.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from releases.adapters.memory_asked import MemoryAskedEndpoint
from releases.adapters.sagemaker_runtime import AskedSageMakerEndpoint
from releases.adoption import AskedEndpoint
from releases.errors import NotDeployedError, UnfitVersionError


def shouting(body: bytes) -> bytes:
    """Their container."""
    if body == b"bad":
        raise ValueError("no such tensor")
    return body.upper()


class SageMaker:
    """Runtime and control plane as far as the adapter calls them."""

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, str]:  # noqa: N803
        self._must_be(EndpointName, "ValidationException")
        return {"EndpointConfigName": "theirs-config"}

    def invoke_endpoint(self, **asked: Any) -> dict[str, Any]:
        self._must_be(asked["EndpointName"], "ValidationError")
        assert asked["ContentType"] == asked["Accept"] == "application/json"
        try:
            return {"Body": io.BytesIO(shouting(asked["Body"]))}
        except ValueError as error:
            message = f"Received client error (400): {error}"
            raise ClientError({"Error": {"Code": "ModelError", "Message": message}}, "Invoke") from error

    @staticmethod
    def _must_be(name: str, code: str) -> None:
        if name != "theirs":
            raise ClientError({"Error": {"Code": code, "Message": "Could not find it"}}, "Endpoint")


def _in_memory(name: str) -> AskedEndpoint:
    return MemoryAskedEndpoint(name, shouting if name == "theirs" else None)


def _on_sagemaker(name: str) -> AskedEndpoint:
    return AskedSageMakerEndpoint(name, runtime=SageMaker(), control=SageMaker())


Make = Callable[[str], AskedEndpoint]


@pytest.fixture(params=[_in_memory, _on_sagemaker], ids=["memory", "sagemaker"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def test_it_answers_what_its_container_answers_and_names_its_configuration(make: Make) -> None:
    endpoint = make("theirs")
    assert endpoint.ask(b"hello") == b"HELLO"
    assert endpoint.configuration() == "theirs-config"


def test_one_that_is_not_there_is_said_to_be_not_there(make: Make) -> None:
    with pytest.raises(NotDeployedError, match="`nobody`"):
        make("nobody").configuration()
    with pytest.raises(NotDeployedError, match="`nobody`"):
        make("nobody").ask(b"hello")


def test_what_its_container_refuses_is_refused_with_its_words(make: Make) -> None:
    with pytest.raises(UnfitVersionError, match="no such tensor"):
        make("theirs").ask(b"bad")
