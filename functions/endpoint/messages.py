"""The protocol's gRPC messages, described here and made into classes at import.

The numbers are the wire format; names and numbers are those of ``inference.GRPCInferenceService`` as the
Open Inference Protocol and Triton have it, which a test compares with Triton's own client. They are put
together from a table because generated code would need a compiler of exactly the runtime's version, and
would claim the names in protobuf's global pool, where a client library in the same process has them too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = "inference.GRPCInferenceService"

_TYPES = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12,
    "uint32": 13,
}  # fmt: skip

Fields = dict[str, tuple[int, str]]

_PARAMETERS = (4, "map InferParameter")

_MESSAGES: dict[str, Fields] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": (1, "bool")},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, "bool")},
    "ModelReadyRequest": {"name": (1, "string"), "version": (2, "string")},
    "ModelReadyResponse": {"ready": (1, "bool")},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {
        "name": (1, "string"), "version": (2, "string"), "extensions": (3, "repeated string"),
    },
    "ModelMetadataRequest": {"name": (1, "string"), "version": (2, "string")},
    "TensorMetadata in ModelMetadataResponse": {
        "name": (1, "string"), "datatype": (2, "string"), "shape": (3, "repeated int64"),
    },
    "ModelMetadataResponse": {
        "name": (1, "string"), "versions": (2, "repeated string"), "platform": (3, "string"),
        "inputs": (4, "repeated ModelMetadataResponse.TensorMetadata"),
        "outputs": (5, "repeated ModelMetadataResponse.TensorMetadata"),
    },
    "InferParameter": {
        "bool_param": (1, "bool or"), "int64_param": (2, "int64 or"), "string_param": (3, "string or"),
        "double_param": (4, "double or"), "uint64_param": (5, "uint64 or"),
    },
    "InferTensorContents": {
        "bool_contents": (1, "repeated bool"), "int_contents": (2, "repeated int32"),
        "int64_contents": (3, "repeated int64"), "uint_contents": (4, "repeated uint32"),
        "uint64_contents": (5, "repeated uint64"), "fp32_contents": (6, "repeated float"),
        "fp64_contents": (7, "repeated double"), "bytes_contents": (8, "repeated bytes"),
    },
    "InferInputTensor in ModelInferRequest": {
        "name": (1, "string"), "datatype": (2, "string"), "shape": (3, "repeated int64"),
        "parameters": _PARAMETERS, "contents": (5, "InferTensorContents"),
    },
    "InferRequestedOutputTensor in ModelInferRequest": {
        "name": (1, "string"), "parameters": (2, "map InferParameter"),
    },
    "ModelInferRequest": {
        "model_name": (1, "string"), "model_version": (2, "string"), "id": (3, "string"),
        "parameters": _PARAMETERS, "inputs": (5, "repeated ModelInferRequest.InferInputTensor"),
        "outputs": (6, "repeated ModelInferRequest.InferRequestedOutputTensor"),
        "raw_input_contents": (7, "repeated bytes"),
    },
    "InferOutputTensor in ModelInferResponse": {
        "name": (1, "string"), "datatype": (2, "string"), "shape": (3, "repeated int64"),
        "parameters": _PARAMETERS, "contents": (5, "InferTensorContents"),
    },
    "ModelInferResponse": {
        "model_name": (1, "string"), "model_version": (2, "string"), "id": (3, "string"),
        "parameters": _PARAMETERS, "outputs": (5, "repeated ModelInferResponse.InferOutputTensor"),
        "raw_output_contents": (6, "repeated bytes"),
    },
    "ModelStreamInferResponse": {"error_message": (1, "string"), "infer_response": (2, "ModelInferResponse")},
}  # fmt: skip
"""``NAME in OWNER`` is nested; ``or`` makes a field one of the message's alternatives."""


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="switchyard/open_inference.proto", package=PACKAGE, syntax="proto3"
    )
    made: dict[str, descriptor_pb2.DescriptorProto] = {}
    for title in sorted(_MESSAGES, key=lambda title: " in " in title):
        name, _, owner = title.partition(" in ")
        message = made[owner].nested_type.add() if owner else file.message_type.add()
        message.name = name
        made[name] = message
        full = f".{PACKAGE}.{owner}.{name}" if owner else f".{PACKAGE}.{name}"
        for field, (number, kind) in _MESSAGES[title].items():
            _add_field(message, full, field, number, kind.split())
    return file


def _add_field(
    message: descriptor_pb2.DescriptorProto, full: str, name: str, number: int, words: list[str]
) -> None:
    field = message.field.add(name=name, number=number)
    repeated = words[0] in ("repeated", "map")
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if words[0] == "map":
        # A map is a list of entries of a nested type: that is how it goes over the wire.
        entry = message.nested_type.add(name="ParametersEntry")
        entry.options.map_entry = True
        _add_field(entry, f"{full}.ParametersEntry", "key", 1, ["string"])
        _add_field(entry, f"{full}.ParametersEntry", "value", 2, [words[1]])
        field.type, field.type_name = field.TYPE_MESSAGE, f"{full}.ParametersEntry"
        return
    kind = words[1] if repeated else words[0]
    if kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    if words[-1] == "or":
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())


def message_class(name: str) -> Any:
    """The class of a message: ``ModelInferRequest``, or ``ModelInferResponse.InferOutputTensor``."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


Parse = Callable[[bytes], Any]

ServerLiveRequest = message_class("ServerLiveRequest")
ServerLiveResponse = message_class("ServerLiveResponse")
ServerReadyRequest = message_class("ServerReadyRequest")
ServerReadyResponse = message_class("ServerReadyResponse")
ModelReadyRequest = message_class("ModelReadyRequest")
ModelReadyResponse = message_class("ModelReadyResponse")
ServerMetadataRequest = message_class("ServerMetadataRequest")
ServerMetadataResponse = message_class("ServerMetadataResponse")
ModelMetadataRequest = message_class("ModelMetadataRequest")
ModelMetadataResponse = message_class("ModelMetadataResponse")
ModelInferRequest = message_class("ModelInferRequest")
ModelInferResponse = message_class("ModelInferResponse")
ModelStreamInferResponse = message_class("ModelStreamInferResponse")
