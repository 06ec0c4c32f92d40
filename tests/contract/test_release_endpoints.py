"""The laws of ``releases.ports.Endpoints``, held against every adapter.

SageMaker's control plane is moto's here; that the adapter fits the embedded cloud's is shown in
``tests/end_to_end``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from releases.adapters.memory_endpoints import MemoryEndpoints
from releases.adapters.sagemaker import SageMakerEndpoints
from releases.errors import ServiceError
from releases.ports import Endpoints

NAME = "switchyard-test-bert-4-abababab-0123abcd"
TOLD = {"SWITCHYARD_MODEL": "bert", "SWITCHYARD_VERSION": "4"}

Make = Callable[[str, dict[str, str]], Endpoints]


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("sagemaker", region_name="eu-west-1")


def make_in_memory() -> Make:
    endpoints = MemoryEndpoints()

    def make(name: str, told: dict[str, str]) -> Endpoints:
        endpoints.make(name, told, instance_type="ml.m5.large", instances=2)
        return endpoints

    return make


def make_on_sagemaker(client: Any) -> Make:
    def make(name: str, told: dict[str, str]) -> Endpoints:
        client.create_model(
            ModelName=f"model-of-{name}",
            ExecutionRoleArn="arn:aws:iam::123456789012:role/endpoint",
            PrimaryContainer={"Image": "switchyard-endpoint", "Environment": told},
        )
        client.create_endpoint_config(
            EndpointConfigName=f"config-of-{name}"[:63],
            ProductionVariants=[
                {
                    "VariantName": "all",
                    "ModelName": f"model-of-{name}",
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": 2,
                }
            ],
        )
        client.create_endpoint(EndpointName=name, EndpointConfigName=f"config-of-{name}"[:63])
        return SageMakerEndpoints(client)

    return make


@pytest.fixture(params=["memory", "sagemaker"])
def make(request: pytest.FixtureRequest, sagemaker: Any) -> Make:
    return make_in_memory() if request.param == "memory" else make_on_sagemaker(sagemaker)


def test_an_endpoint_tells_what_it_was_made_with(make: Make) -> None:
    """Law 9: what is compared is what SageMaker reports, from the endpoint down to its container."""
    state = make(NAME, TOLD).describe(NAME)
    assert state is not None
    assert (state.name, state.status, state.environment) == (NAME, "InService", TOLD)
    assert (state.instance_type, state.instances) == ("ml.m5.large", 2)


def test_an_endpoint_that_is_not_there_is_none(make: Make) -> None:
    assert make(NAME, TOLD).describe("switchyard-test-bert-5-abababab-0123abcd") is None


def test_endpoints_are_listed_by_what_their_names_begin_with(make: Make) -> None:
    for name in ("zz-switchyard-test-bert-1", "switchyard-test-bert-9", NAME, "switchyard-test-other-1"):
        endpoints = make(name, TOLD)
    assert endpoints.names("switchyard-test-bert-") == [NAME, "switchyard-test-bert-9"]


def test_what_sagemaker_cannot_say_may_work_later(sagemaker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoints = SageMakerEndpoints(sagemaker)
    sagemaker.meta.events.register_first("before-send.sagemaker", _refuse)
    with pytest.raises(ServiceError, match="ValidationException"):
        endpoints.describe(NAME)


def _refuse(request: Any, **_: Any) -> Any:
    """An error of the same name that does not mean "not there"."""
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
            yield b'{"__type": "ValidationException", "message": "1 validation error detected"}'

    return AWSResponse(request.url, 400, HTTPHeaders(), Raw())
