"""Publishing a model that takes files of pictures: what it says of itself, and what it is tried with."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from examples.digits.steps import READ, WORDS, build
from model_store.adapters.memory import MemoryStore
from model_store.artifact import inspect
from model_store.contract.digest import Digest
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.manifest import Manifest
from model_store.contract.pictures import PictureStep
from model_store.contract.tensors import TensorSpec
from model_store.pictures import drawn
from model_store.publish import Published, publish
from tests.unit import pictures, text_graphs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build(tmp_path / "digits", files=True)


def go(folder: Path, store: MemoryStore | None = None, **said: Any) -> Published:
    return publish(store or MemoryStore(), "digits", folder, created_by="ana", **said)


def digits_in(manifest: Manifest) -> list[str]:
    return [word for tensor in manifest.golden.outputs if tensor.name == "digit" for word in tensor.data]


def test_the_version_takes_bytes_and_says_that_they_are_pictures(folder: Path) -> None:
    manifest = go(folder).manifest
    assert manifest.inputs == (TensorSpec("file", "BYTES", ("batch",)),)
    assert manifest.pictures == {"file"}
    assert Manifest.from_json(manifest.to_json()).pictures == {"file"}


def test_a_version_without_a_picture_step_has_none_and_says_nothing(tmp_path: Path) -> None:
    manifest = go(build(tmp_path / "pixels")).manifest
    assert manifest.pictures == frozenset()
    assert "pictures" not in manifest.lineage


def test_its_golden_sample_is_drawn_and_run_through_the_whole_chain(folder: Path) -> None:
    """Law 5: what a release sends again is the file, as JSON carries it."""
    golden = go(folder).manifest.golden
    (tensor,) = golden.inputs
    assert (tensor.datatype, tensor.shape) == ("BYTES", (2,))
    for item in tensor.data:
        assert Image.open(io.BytesIO(base64.b64decode(item))).format == "PNG"
    assert set(digits_in(go(folder).manifest)) <= set(WORDS)
    assert go(folder).manifest.golden == golden


def test_the_file_of_a_picture_is_a_sample(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "seven.JPG").write_bytes(pictures.digit(0, "JPEG"))
    store = MemoryStore()
    published = go(folder, store, sample=tmp_path / "seven.JPG")
    assert digits_in(published.manifest) == ["zero"]
    assert go(folder, store, sample=tmp_path / "seven.JPG").remarks == ()


def test_a_request_with_several_is_a_sample(folder: Path, tmp_path: Path) -> None:
    data = [pictures.text(pictures.digit(number)) for number in (3, 0)]
    tensor = {"name": "file", "datatype": "BYTES", "shape": [2], "data": data}
    (tmp_path / "sample.json").write_text(json.dumps({"inputs": [tensor]}))
    assert digits_in(go(folder, sample=tmp_path / "sample.json").manifest) == ["three", "zero"]


def test_a_sample_that_is_no_picture_is_refused_in_the_step_s_words(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"meow")
    with pytest.raises(InvalidArtifactError, match="picture 0 is neither JPEG nor PNG"):
        go(folder, sample=tmp_path / "cat.png")


def test_a_picture_is_no_sample_of_a_model_that_takes_pixels(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(pictures.digit(3))
    with pytest.raises(InvalidArtifactError, match="is not a V2 request"):
        go(build(tmp_path / "pixels"), sample=tmp_path / "cat.png")


def test_a_baseline_of_pictures_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifactError, match="this model takes files of pictures"):
        go(folder, baseline=tmp_path / "rows.npz")


@pytest.fixture
def with_step(folder: Path) -> Callable[..., Path]:
    def change(*more: dict[str, Any], **said: Any) -> Path:
        graphs = ["before.onnx", "model.onnx", "after.onnx"]
        steps = {"steps": [READ | said, *more, *graphs]}
        (folder / "pipeline.json").write_text(json.dumps(steps))
        return folder

    return change


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"size": [9, 8]}, r"`before.onnx` takes `pixels` with shape \['batch', 8, 8, 1\], and its picture"),
        ({"mode": "RGB"}, r"makes \['n', 8, 8, 3\]"),
        ({"layout": "NCHW"}, r"makes \['n', 1, 8, 8\]"),
        ({"gives": "pictures"}, "no graph takes `pictures`"),
        ({"gives": "image"}, "tensor `image` is given by picture file and by `before.onnx` again"),
        ({"sharpen": True}, "has `sharpen`, which it does not know"),
    ],
    ids=["size", "mode", "layout", "nobody", "twice", "unknown"],
)
def test_a_step_that_does_not_fit_its_graph_is_refused(
    with_step: Callable[..., Path], said: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidArtifactError, match=says) as refused:
        inspect(with_step(**said))
    assert refused.value.hint


def test_a_graph_without_a_place_for_colours_takes_no_picture(tmp_path: Path) -> None:
    folder = build(tmp_path / "pixels")
    graphs = json.loads((folder / "pipeline.json").read_text())["steps"]
    (folder / "pipeline.json").write_text(json.dumps({"steps": [READ, *graphs]}))
    with pytest.raises(
        InvalidArtifactError, match=r"takes `pixels` with shape \['batch', 'height', 'width'\]"
    ):
        inspect(folder)


def test_two_pictures_into_one_tensor_are_refused(with_step: Callable[..., Path]) -> None:
    with pytest.raises(
        InvalidArtifactError, match="`pixels` is given by picture file and by `picture other`"
    ):
        inspect(with_step(READ | {"picture": "other"}))


def test_pictures_come_before_every_graph(folder: Path) -> None:
    (folder / "pipeline.json").write_text(json.dumps({"steps": ["before.onnx", READ]}))
    with pytest.raises(InvalidArtifactError, match="reads pictures after a graph, or names no graph"):
        inspect(folder)


@pytest.mark.usefixtures("text_operators")
def test_tokenisers_and_pictures_in_one_model_are_refused_because_no_layer_has_both(folder: Path) -> None:
    """Law 8: a release could not be satisfied."""
    (folder / "tokens.onnx").write_bytes(text_graphs.tokeniser())
    graphs = ["before.onnx", "model.onnx", "after.onnx", "tokens.onnx"]
    (folder / "pipeline.json").write_text(json.dumps({"steps": [READ, *graphs]}))
    with pytest.raises(InvalidArtifactError, match="no runtime layer has both"):
        inspect(folder)


def test_without_pillow_such_an_artifact_is_refused_with_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL.PngImagePlugin", None)
    with pytest.raises(InvalidArtifactError, match="Pillow is not installed here") as refused:
        inspect(folder)
    assert "pip install pillow" in (refused.value.hint or "")


def test_drawn_pictures_follow_from_the_digest_alone() -> None:
    step = PictureStep("file", "pixels", (8, 8))
    first = drawn(step, Digest.of(b"a"), 2)
    assert first == drawn(step, Digest.of(b"a"), 2)
    assert first != drawn(step, Digest.of(b"b"), 2)
    assert len(set(first)) == 2
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(first[0])))).shape == (16, 16, 3)
