"""``functions.inference.captured_rows``: both halves of a request, read as the protocol says, without arrays."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from functions.inference.captured_rows import MOST_ELEMENTS, About, Half, Rows, TooMuchError
from functions.protocol.tensors import DTYPES
from model_store.contract.capture import MOST_ROWS, CaptureSettings, hashed
from model_store.contract.events import http_event
from model_store.contract.manifest import Manifest
from model_store.contract.parquet import FLOAT, INTEGER, TEXT
from model_store.contract.tensors import TensorSpec
from tests.unit.functions.conftest import SAMPLES, Caller, Layer
from tests.unit.pictures import digit, text

ALL = CaptureSettings(1.0, 1_000)
INFER = "/v2/models/digits/infer"


def answered(caller: Caller, body: object, **headers: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The event of a request, and the answer as Lambda carries it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/octet-stream" if headers else "application/json"
    event = http_event("POST", INFER, content, content_type=kind)
    event["headers"] |= headers
    answer = caller.door(event, None)
    assert answer["statusCode"] == 200, answer["body"]
    return event, answer


def rows_of(manifest: Manifest, halves: tuple[Any, Any], settings: CaptureSettings = ALL) -> list[Any]:
    made = Rows(manifest, settings)
    names = [column.name for column in made.columns]
    rows = made.of(*halves, About("r1", 17))
    return [dict(zip(names, row, strict=True)) for row in rows]


def json_tensor(name: str, datatype: str, values: list[Any], shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": values}


def test_a_row_has_its_own_elements_and_the_request_s_ids(linear_layer: Layer) -> None:
    caller = Caller(linear_layer.load())
    x = json_tensor("x", "FP32", [[1, 2, 3, 4], [5, 6, 7, 8]], [2, 4])
    rows = rows_of(linear_layer.manifest, answered(caller, {"id": "mine", "inputs": [x]}))
    assert [(row["request_id"], row["id"], row["row"], row["at"]) for row in rows] == [
        ("r1", "mine", 0, 17),
        ("r1", "mine", 1, 17),
    ]
    assert rows[1]["input.x"] == [5, 6, 7, 8]
    assert len(rows[1]["output.scores"]) == 3
    assert rows[0]["output.label"] == [2]


@pytest.mark.parametrize("form", ["json", "binary", "the file alone"])
def test_of_a_picture_its_digest_is_kept_and_never_the_picture(picture_layer: Layer, form: str) -> None:
    """ADR 64: pictures are of people."""
    caller, file = Caller(picture_layer.load()), digit(3, "JPEG")
    if form == "json":
        halves = answered(caller, {"inputs": [json_tensor("file", "BYTES", [text(file)], [1])]})
    elif form == "binary":
        data = len(file).to_bytes(4, "little") + file
        tensor = {"name": "file", "datatype": "BYTES", "shape": [1]}
        head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(data)}}]}).encode()
        halves = answered(caller, head + data, **{"inference-header-content-length": str(len(head))})
    else:
        halves = answered(caller, file, **{"inference-header-content-length": "0"})
    (row,) = rows_of(picture_layer.manifest, halves)
    assert row["input.file"] == [hashlib.sha256(file).hexdigest()]
    assert row["output.digit"] == ["three"]


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_every_datatype_is_read_as_numpy_reads_it(every_datatype_layer: Layer, binary: bool) -> None:
    served = every_datatype_layer.load()
    caller, data, tensors = Caller(served), [], []
    for spec in served.manifest.inputs:
        values = SAMPLES[spec.datatype]
        tensor = json_tensor(spec.name, spec.datatype, values, [1, 2])
        if binary:
            if spec.datatype == "BYTES":
                texts = [value.encode() for value in values]
                raw = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
            else:
                raw = np.array(values, DTYPES[spec.datatype]).tobytes()
            data.append(raw)
            del tensor["data"]
            tensor["parameters"] = {"binary_data_size": len(raw)}
        tensors.append(tensor)
    document: dict[str, Any] = {"inputs": tensors}
    if binary:
        document["parameters"] = {"binary_data_output": True}
    text = json.dumps(document).encode()
    headers = {"inference-header-content-length": str(len(text))} if binary else {}
    (row,) = rows_of(served.manifest, answered(caller, b"".join([text, *data]), **headers))
    for spec in served.manifest.inputs:
        largest = 2**63 - 1 if spec.datatype == "UINT64" else None
        sample = SAMPLES[spec.datatype]
        wanted: Any = [min(value, largest) for value in sample] if largest else sample
        if spec.datatype not in ("BYTES", "BOOL"):
            wanted = pytest.approx(wanted)
        assert row[f"input.in_{spec.datatype.lower()}"] == wanted
        assert row[f"output.out_{spec.datatype.lower()}"] == wanted


def test_brain_floats_are_read_too(linear_layer: Layer) -> None:
    manifest = replace(linear_layer.manifest, inputs=(TensorSpec("x", "BF16", ("n", 2)),), outputs=())
    raw = np.array([1.5, -2.0], np.float32).view(np.uint32) >> 16
    data = raw.astype(np.uint16).tobytes()
    x = {"name": "x", "datatype": "BF16", "shape": [1, 2], "parameters": {"binary_data_size": 4}}
    text = json.dumps({"inputs": [x]}).encode()
    event = http_event("POST", INFER, text + data, content_type="application/octet-stream")
    event["headers"]["Inference-Header-Content-Length"] = str(len(text))
    (row,) = rows_of(manifest, (event, {"body": '{"outputs": []}', "statusCode": 200}))
    assert row["input.x"] == [1.5, -2.0]


def test_of_a_large_request_rows_are_kept_that_are_spread_over_it(linear_layer: Layer) -> None:
    caller = Caller(linear_layer.load())
    count = 10 * MOST_ROWS
    x = json_tensor("x", "FP32", [[at, 0, 0, 0] for at in range(count)], [count, 4])
    rows = rows_of(linear_layer.manifest, answered(caller, {"inputs": [x]}))
    assert [row["row"] for row in rows] == list(range(0, count, 10))
    assert [row["input.x"][0] for row in rows] == list(range(0, count, 10))


def test_an_output_that_was_not_asked_for_is_an_empty_list(linear_layer: Layer) -> None:
    caller = Caller(linear_layer.load())
    x = json_tensor("x", "FP32", [1, 2, 3, 4], [1, 4])
    halves = answered(caller, {"inputs": [x], "outputs": [{"name": "label"}]})
    (row,) = rows_of(linear_layer.manifest, halves)
    assert (row["output.scores"], row["output.label"]) == ([], [2])


def test_what_the_catalog_drops_is_in_no_column_and_what_it_hashes_is_in_none_as_it_was(
    linear_layer: Layer,
) -> None:
    caller = Caller(linear_layer.load())
    x = json_tensor("x", "FP32", [1, 2, 3, 4], [1, 4])
    settings = CaptureSettings(1.0, 10, drop=("scores", "id"), hash=("x",))
    made = Rows(linear_layer.manifest, settings)
    assert {column.name: column.kind for column in made.columns}["input.x"] == TEXT
    halves = answered(caller, {"id": "private", "inputs": [x]})
    (row,) = rows_of(linear_layer.manifest, halves, settings)
    assert "output.scores" not in row
    assert row["id"] == ""
    assert row["input.x"] == [hashed("digits", value) for value in (1.0, 2.0, 3.0, 4.0)]


def test_a_name_to_drop_that_the_version_has_not_stops_everything(linear_layer: Layer) -> None:
    """Law: what was to be left out is never kept because of a typing error."""
    with pytest.raises(ValueError, match="'scoers'"):
        Rows(linear_layer.manifest, CaptureSettings(1.0, 10, drop=("scoers",)))


def test_columns_have_the_narrowest_kind_that_holds_the_datatype(linear_layer: Layer) -> None:
    kinds = {column.name: column.kind for column in Rows(linear_layer.manifest, ALL).columns}
    assert (kinds["input.x"], kinds["output.label"]) == (FLOAT, INTEGER)


def test_a_tensor_that_is_not_by_row_stands_in_the_first(linear_layer: Layer) -> None:
    inputs = (TensorSpec("x", "FP32", ("n", 2)), TensorSpec("scale", "FP32", (1,)))
    manifest = replace(linear_layer.manifest, inputs=inputs, outputs=())
    tensors = [json_tensor("x", "FP32", [1, 2, 3, 4], [2, 2]), json_tensor("scale", "FP32", [None], [1])]
    event = http_event("POST", INFER, json.dumps({"inputs": tensors}).encode())
    rows = rows_of(manifest, (event, {"body": '{"outputs": []}'}))
    assert math.isnan(rows[0]["input.scale"][0])
    assert rows[1]["input.scale"] == []


def binary(values: Any) -> Half:
    """A request with ``x`` as binary data."""
    array = np.asarray(values, np.float32)
    x = {"name": "x", "datatype": "FP32", "shape": list(array.shape)}
    head = json.dumps({"inputs": [{**x, "parameters": {"binary_data_size": array.nbytes}}]}).encode()
    return Half(head + array.tobytes(), len(head))


def test_of_twenty_megabytes_only_the_rows_that_are_kept_are_unpacked(linear_layer: Layer) -> None:
    inputs = (TensorSpec("x", "FP32", ("n", 1024)),)
    manifest = replace(linear_layer.manifest, inputs=inputs, outputs=())
    count = 20 * 1024 * 1024 // 4096
    x = np.repeat(np.arange(count, dtype=np.float32)[:, None], 1024, axis=1)
    rows = rows_of(manifest, (binary(x), Half(b'{"outputs": []}')))
    assert [row["row"] for row in rows] == [at * count // MOST_ROWS for at in range(MOST_ROWS)]
    assert [set(row["input.x"]) for row in rows] == [{float(row["row"])} for row in rows]


def test_of_rows_that_are_large_there_are_fewer_and_none_of_one_that_is_too_large(
    linear_layer: Layer,
) -> None:
    for width, most in ((MOST_ELEMENTS // 3, 3), (MOST_ELEMENTS + 1, 0)):
        inputs = (TensorSpec("x", "FP32", ("n", width)),)
        manifest = replace(linear_layer.manifest, inputs=inputs, outputs=())
        halves = binary(np.zeros((5, width))), Half(b'{"outputs": []}')
        if most:
            assert [row["row"] for row in rows_of(manifest, halves)] == [0, 1, 3]
        else:
            with pytest.raises(TooMuchError):
                rows_of(manifest, halves)


def test_a_half_may_be_missing_and_one_may_be_fetched(linear_layer: Layer) -> None:
    caller = Caller(linear_layer.load())
    x = json_tensor("x", "FP32", [[1, 2, 3, 4], [5, 6, 7, 8]], [2, 4])
    request, answer = answered(caller, {"id": "mine", "inputs": [x]})
    asked = rows_of(linear_layer.manifest, (lambda: Half(request["body"]), None))
    said = rows_of(linear_layer.manifest, (None, answer))
    assert [(row["row"], row["id"], row["input.x"][0], row["output.label"]) for row in asked] == [
        (0, "mine", 1, []),
        (1, "mine", 5, []),
    ]
    assert [(row["row"], row["id"], row["input.x"], row["output.label"]) for row in said] == [
        (0, "", [], [2]),
        (1, "", [], [2]),
    ]


def test_what_names_a_request_from_outside_stands_where_it_has_no_id_of_its_own(linear_layer: Layer) -> None:
    caller = Caller(linear_layer.load())
    made = Rows(linear_layer.manifest, CaptureSettings(1.0, 10, drop=("scores",)))
    dropping = Rows(linear_layer.manifest, CaptureSettings(1.0, 10, drop=("id",)))
    about = About("r1", 17, "live", "monday/7.json")
    for id_, own in ((None, "monday/7.json"), ("mine", "mine")):
        x = json_tensor("x", "FP32", [1, 2, 3, 4], [1, 4])
        halves = answered(caller, {"inputs": [x], **({"id": id_} if id_ else {})})
        assert made.of(*halves, about)[0][:5] == ("r1", own, 0, 17, "live")
        assert dropping.of(*halves, about)[0][1] == ""


@pytest.mark.parametrize(
    ("drop", "hash_"), [((), ()), (("request",), ()), ((), ("answer",))], ids=["kept", "dropped", "hashed"]
)
def test_bodies_of_a_team_s_own_container_are_kept_whole_dropped_or_hashed(
    linear_layer: Layer, drop: tuple[str, ...], hash_: tuple[str, ...]
) -> None:
    manifest = replace(linear_layer.manifest, inputs=(), outputs=())
    settings = CaptureSettings(1.0, 10, drop=drop, hash=hash_)
    made = Rows(manifest, settings, whole=True)
    (row,) = made.of(Half('{"messages": []}'), Half(b'{"choices": []}'), About("r1", 17))
    values = dict(zip((column.name for column in made.columns), row, strict=True))
    assert values.get("input.request") == (None if drop else ['{"messages": []}'])
    said = '{"choices": []}'
    assert values["output.answer"] == [hashed("digits", said) if hash_ else said]


@pytest.mark.parametrize("kept", ["drop", "hash"])
def test_a_tensor_that_must_not_be_kept_is_not_kept_as_text_either(linear_layer: Layer, kept: str) -> None:
    """An answer that is none of the protocol's makes nobody read the tensors: then nothing is kept at all."""
    settings = CaptureSettings(1.0, 10, **{kept: ("x",)})
    asked = json.dumps({"inputs": [json_tensor("x", "FP32", [1, 2, 3, 4], [1, 4])]})
    with pytest.raises(KeyError):
        Rows(linear_layer.manifest, settings, whole=True).of(Half(asked), Half("{}"), About("r1", 17))


def test_a_container_that_speaks_the_protocol_has_tensors_and_beside_them_whole_bodies(
    linear_layer: Layer,
) -> None:
    caller = Caller(linear_layer.load())
    made = Rows(linear_layer.manifest, ALL, whole=True)
    x = json_tensor("x", "FP32", [1, 2, 3, 4], [1, 4])
    names = [column.name for column in made.columns]
    (spoken,) = made.of(*answered(caller, {"inputs": [x]}), About("r1", 17))
    (other,) = made.of(Half('{"messages": []}'), Half("{}"), About("r1", 17))
    row = dict(zip(names, spoken, strict=True))
    assert (row["input.x"], row["input.request"]) == ([1, 2, 3, 4], [])
    row = dict(zip(names, other, strict=True))
    assert (row["input.x"], row["input.request"]) == ([], ['{"messages": []}'])
