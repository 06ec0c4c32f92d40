"""``releases.adapters.aws``: every foreign error arrives as one of ours, with a way out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from model_store.adapters.memory import MemoryStore
from model_store.contract.errors import AccessDeniedError, SwitchyardError
from releases.adapters.aws import DIRECT_ARCHIVE_BYTES, LambdaFunctions
from releases.errors import DisagreementError, LostRaceError, NotDeployedError, ServiceError

CONFIG = {
    "FunctionName": "f",
    "Version": "$LATEST",
    "RevisionId": "r",
    "CodeSha256": "c",
    "Role": "arn:aws:iam::000000000000:role/r",
    "MemorySize": 512,
    "Timeout": 10,
    "Runtime": "python3.13",
    "Handler": "h.handler",
}


@pytest.fixture
def stubbed() -> Iterator[tuple[LambdaFunctions, Stubber, MemoryStore]]:
    """The adapter on a client that checks requests and answers against the service's own model."""
    client = boto3.client(
        "lambda", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    store = MemoryStore()
    with Stubber(client) as stub:
        yield LambdaFunctions(store, bucket="store", client=client), stub, store
        stub.assert_no_pending_responses()


Stubbed = tuple[LambdaFunctions, Stubber, MemoryStore]

MEANINGS = {
    "ResourceNotFoundException": NotDeployedError,
    "PreconditionFailedException": LostRaceError,
    "ResourceConflictException": LostRaceError,
    "AccessDeniedException": AccessDeniedError,
    "ExpiredTokenException": AccessDeniedError,
    "InvalidParameterValueException": DisagreementError,
    "CodeStorageExceededException": DisagreementError,
    "TooManyRequestsException": ServiceError,
    "ServiceException": ServiceError,
    "SomethingNewException": ServiceError,
}


@pytest.mark.parametrize("code", MEANINGS)
def test_every_answer_of_lambda_has_a_meaning(stubbed: Stubbed, code: str) -> None:
    functions, stub, _ = stubbed
    stub.add_client_error("update_alias", code, "said so")
    with pytest.raises(SwitchyardError, match=r"said so|does not exist") as refused:
        functions.move_alias("f", "live", version="2", note="n", revision="r")
    assert type(refused.value) is MEANINGS[code]


def test_a_network_that_is_down_is_said_so(monkeypatch: pytest.MonkeyPatch, stubbed: Stubbed) -> None:
    functions, _, _ = stubbed

    def down(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://lambda")

    monkeypatch.setattr(functions._lambda, "get_alias", down)
    with pytest.raises(ServiceError, match="did not answer"):
        functions.alias("f", "live")


def test_a_move_sends_the_revision_and_no_weights(stubbed: Stubbed) -> None:
    """Law 3."""
    functions, stub, _ = stubbed
    stub.add_response(
        "update_alias",
        {"Name": "live", "FunctionVersion": "2", "RevisionId": "s", "Description": "n"},
        {
            "FunctionName": "f",
            "Name": "live",
            "FunctionVersion": "2",
            "Description": "n",
            "RoutingConfig": {"AdditionalVersionWeights": {}},
            "RevisionId": "r",
        },
    )
    assert functions.move_alias("f", "live", version="2", note="n", revision="r").revision == "s"


def test_weights_of_zero_are_no_weights(stubbed: Stubbed) -> None:
    functions, stub, _ = stubbed
    weights = {"AdditionalVersionWeights": {"3": 0.0, "4": 0.25}}
    answer = {"Name": "live", "FunctionVersion": "2", "RevisionId": "s", "RoutingConfig": weights}
    stub.add_response("get_alias", answer, {"FunctionName": "f", "Name": "live"})
    state = functions.alias("f", "live")
    assert state is not None
    assert state.weights == {"4": 0.25}


def test_a_configuration_is_read_with_all_that_is_missing(stubbed: Stubbed) -> None:
    functions, stub, _ = stubbed
    stub.add_response("get_function_configuration", CONFIG, {"FunctionName": "f", "Qualifier": "7"})
    config = functions.config("f", "7")
    assert config is not None
    assert (config.layers, config.environment, config.snap_start, config.state) == ((), {}, "None", "Active")


def test_the_tmp_of_a_function_is_read_and_512_mb_where_nothing_is_said(stubbed: Stubbed) -> None:
    functions, stub, _ = stubbed
    asked = {"FunctionName": "f"}
    for answer, size in (({}, 512), ({"EphemeralStorage": {"Size": 2048}}, 2048)):
        stub.add_response("get_function_configuration", {**CONFIG, **answer}, asked)
        config = functions.config("f")
        assert config is not None
        assert config.ephemeral_mb == size


def test_a_small_layer_travels_in_the_request_and_a_large_one_through_the_store(stubbed: Stubbed) -> None:
    functions, stub, store = stubbed
    arn = "arn:aws:lambda:eu-central-1:000000000000:layer:f-model:1"
    common = {"LayerName": "f-model", "Description": "digits:1", "CompatibleArchitectures": ["x86_64"]}
    stub.add_response(
        "publish_layer_version", {"LayerVersionArn": arn}, {**common, "Content": {"ZipFile": b"zip"}}
    )
    large = bytes(DIRECT_ARCHIVE_BYTES + 1)
    made = functions.publish_layer("f-model", b"zip", description="digits:1", architecture="x86_64")
    assert made == arn

    stub.add_client_error("publish_layer_version", "TooManyRequestsException", "later")
    with pytest.raises(ServiceError):
        functions.publish_layer("f-model", large, description="digits:1", architecture="x86_64")
    (key,) = store.keys("layers/")
    assert store.get(key) == large


def test_an_invocation_brings_its_error_and_its_log(stubbed: Stubbed) -> None:
    functions, stub, _ = stubbed
    said = json.dumps({"errorType": "MemoryError", "errorMessage": "no room"}).encode()
    answer = {
        "StatusCode": 200,
        "FunctionError": "Unhandled",
        "ExecutedVersion": "7",
        "LogResult": "b25lCgp0d28K",
        "Payload": StreamingBody(io.BytesIO(said), len(said)),
    }
    request = {"FunctionName": "f", "Qualifier": "7", "Payload": b'{"a": 1}', "LogType": "Tail"}
    stub.add_response("invoke", answer, request)
    ran = functions.invoke("f", "7", {"a": 1})
    assert (ran.error, ran.executed_version, ran.log) == ("MemoryError: no room", "7", ("one", "two"))
