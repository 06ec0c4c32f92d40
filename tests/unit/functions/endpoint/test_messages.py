"""``functions.endpoint.messages``: the wire format, compared with Triton's own client."""

from __future__ import annotations

from typing import Any

import pytest
from tritonclient.grpc import service_pb2

from functions.endpoint import messages

NAMES = [title.partition(" in ")[::-2] for title in messages._MESSAGES]


def fields(descriptor: Any) -> dict[str, tuple[int, int, bool, str, str]]:
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.message_type.full_name if field.message_type else "",
            field.containing_oneof.name if field.containing_oneof else "",
        )
        for field in descriptor.fields
    }


@pytest.mark.parametrize("name", [".".join(filter(None, name)) for name in NAMES])
def test_every_message_has_the_fields_of_the_protocol(name: str) -> None:
    theirs = service_pb2.DESCRIPTOR
    descriptor: Any = None
    for part in name.split("."):
        kinds = theirs.message_types_by_name if descriptor is None else descriptor.nested_types_by_name
        descriptor = kinds[part]
    assert fields(messages.message_class(name).DESCRIPTOR) == fields(descriptor)


def test_bytes_that_a_client_wrote_are_read_back() -> None:
    theirs = service_pb2.ModelInferRequest(model_name="digits", id="7", raw_input_contents=[b"ab"])
    theirs.inputs.add(name="x", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([1.5, 2])
    theirs.parameters["priority"].int64_param = 3
    ours = messages.ModelInferRequest.FromString(theirs.SerializeToString())
    assert (ours.model_name, ours.id, list(ours.inputs[0].shape)) == ("digits", "7", [1, 2])
    assert list(ours.inputs[0].contents.fp32_contents) == [1.5, 2]
    assert ours.parameters["priority"].int64_param == 3
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)
