"""A model that takes files of pictures, asked in every form that carries bytes."""

from __future__ import annotations

import json
import random
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.digits.steps import WORDS
from functions.inference.limits import Limits
from functions.inference.pictures import library
from model_store.contract.errors import IntegrityError
from tests.unit.functions.conftest import Caller, Layer
from tests.unit.pictures import digit, drawn, held_out, text

DIGITS = Path(__file__).parents[4] / "examples" / "digits"
INFER = "/v2/models/digits/infer"
RAW = {"inference-header-content-length": "0"}


@pytest.fixture
def caller(picture_layer: Layer) -> Caller:
    return Caller(picture_layer.load())


def asked(*files: str) -> dict[str, Any]:
    return {"name": "file", "datatype": "BYTES", "shape": [len(files)], "data": list(files)}


def test_files_as_base64_in_json_come_back_as_words(caller: Caller) -> None:
    """ADR 64."""
    reply = caller.infer(asked(text(digit(0)), text(digit(3, "JPEG"))), outputs=[{"name": "digit"}])
    assert reply.json["outputs"] == [
        {"name": "digit", "datatype": "BYTES", "shape": [2], "data": ["zero", "three"]}
    ]


def test_files_as_binary_data_are_the_files_themselves(caller: Caller) -> None:
    files = [digit(3), digit(0, "JPEG")]
    data = b"".join(struct.pack("<I", len(file)) + file for file in files)
    tensor = {
        "name": "file",
        "datatype": "BYTES",
        "shape": [2],
        "parameters": {"binary_data_size": len(data)},
    }
    reply = caller.binary({"inputs": [tensor], "outputs": [{"name": "digit"}]}, data)
    assert reply.json["outputs"][0]["data"] == ["three", "zero"]


def test_a_body_that_is_the_file_and_nothing_else_is_answered(caller: Caller) -> None:
    """``curl --data-binary @seven.jpg -H "Inference-Header-Content-Length: 0"``."""
    reply = caller.post(INFER, digit(0), content_type="application/octet-stream", headers=RAW)
    (word,) = [output["data"] for output in reply.json["outputs"] if output["name"] == "digit"]
    assert (reply.status, word) == (200, ["zero"])


def test_files_are_told_as_well_as_the_pixels_that_the_model_was_measured_with(caller: Caller) -> None:
    pixels, label = held_out()
    files = [text(drawn(each)) for each in pixels]
    said = caller.infer(asked(*files), outputs=[{"name": "digit"}]).json["outputs"][0]["data"]
    accuracy = np.mean([WORDS.index(word) for word in said] == label)
    recorded = json.loads((DIGITS / "metrics.json").read_text())["versions"]["1"]["accuracy"]
    assert accuracy >= recorded - 0.02


def test_metadata_say_that_it_is_bytes_and_which_files(caller: Caller) -> None:
    (described,) = caller.get("/v2/models/digits").json["inputs"]
    assert described == {
        "name": "file",
        "datatype": "BYTES",
        "shape": [-1],
        "parameters": {"symbolic_shape": "batch", "content_type": "image/jpeg, image/png"},
    }


def test_the_openapi_page_shows_a_file_that_works(caller: Caller) -> None:
    page = caller.get("/v2/models/digits/openapi.json").json
    content = page["paths"]["/v2/models/{model}/infer"]["post"]["requestBody"]["content"]["application/json"]
    (described,) = content["schema"]["properties"]["inputs"]["items"]["oneOf"]
    assert described["properties"]["data"]["items"]["contentEncoding"] == "base64"
    assert caller.post(INFER, content["example"]).status == 200


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("a cat", "picture 0 is a text and not base64"),
        (text(b"GIF89a and more"), "picture 0 is neither JPEG nor PNG"),
        (text(digit(3)[:-40]), "picture 0 cannot be read"),
        ("", "picture 0 is neither JPEG nor PNG: its 0 bytes begin otherwise"),
    ],
    ids=["text", "gif", "cut-off", "nothing"],
)
def test_what_is_no_picture_is_400_with_a_sentence(caller: Caller, file: str, says: str) -> None:
    reply = caller.infer(asked(file))
    assert (reply.status, set(reply.json)) == (400, {"error"})
    assert reply.json["error"].startswith(says)


def test_odd_files_are_400_and_the_next_is_answered(caller: Caller) -> None:
    dice = random.Random(7)
    for seed in (digit(3), digit(3, "JPEG")):
        for _ in range(200):
            file = bytearray(seed)
            for _ in range(dice.randint(1, 5)):
                file[dice.randrange(len(file))] = dice.randrange(256)
            reply = caller.post(INFER, bytes(file), content_type="application/octet-stream", headers=RAW)
            assert reply.status in (200, 400), reply.body
    assert caller.infer(asked(text(digit(0)))).status == 200


def test_more_pictures_than_rows_go_through_at_once_are_refused(picture_layer: Layer) -> None:
    limited = Caller(picture_layer.load(), Limits(max_batch=2))
    assert limited.infer(asked(*[text(digit(3))] * 3)).status == 413
    assert limited.infer(asked(*[text(digit(3))] * 2)).status == 200


def test_only_inputs_that_are_pictures_take_bytes_that_are_no_text(
    caller: Caller, linear_layer: Layer
) -> None:
    assert caller.post(INFER, b"\xff", content_type="application/octet-stream", headers=RAW).status == 400
    assert Caller(linear_layer.load()).infer(asked(text(digit(3)))).status == 400


def test_explanations_say_that_a_file_is_no_number(picture_layer: Layer) -> None:
    from functions.inference.explain import Explainer
    from functions.inference.service import ModelService
    from functions.protocol.errors import BadRequestError
    from model_store.contract.events import http_event

    service = ModelService(picture_layer.load(), Limits(explain_max_parts=256))
    (route,) = [
        route for (_, path), route in Explainer(service).routes.items() if path == "/v2/models/digits/explain"
    ]
    body = json.dumps({"inputs": [asked(text(digit(3)))]}).encode()
    with pytest.raises(BadRequestError, match="none of the inputs holds numbers"):
        route.answer(http_event("POST", "/v2/models/digits/explain", body), None)


def test_without_the_layer_that_reads_pictures_the_version_does_not_start(
    picture_layer: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL.PngImagePlugin", None)
    with pytest.raises(IntegrityError, match="nothing here reads them") as refused:
        picture_layer.load()
    assert 'runtime = "image"' in (refused.value.hint or "")


def test_two_formats_are_opened_and_no_other_is_imported_for_it() -> None:
    assert [opener.format for opener in (library().jpeg, library().png)] == ["JPEG", "PNG"]
