"""``model_store.artifact``: the one door that bytes come in by."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.artifact import examine, find_source
from model_store.contract.digest import Digest
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.names import ByVersion
from model_store.publish import publish
from model_store.versions import load_manifest

from .test_safetensors_file import CONFIG, GOOD, write
from .test_torch_archive import SCRIPT, WHOLE, save

DIGEST = Digest.of(b"")
SAMPLE = {
    "inputs": [{"name": "ids", "datatype": "INT64", "shape": [1, 2], "data": [5, 6]}],
    "outputs": [{"name": "score", "datatype": "FP32", "shape": [1], "data": [0.25]}],
}


def bert(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    return write(folder / "model.safetensors", GOOD).parent


def sample(folder: Path, body: Any = SAMPLE) -> Path:
    path = folder / "sample.json"
    path.write_text(json.dumps(body))
    return path


def test_a_folder_with_an_onnx_file_is_onnx_whatever_lies_beside_it(
    tmp_path: Path, save: Callable[..., Path]
) -> None:
    bert(tmp_path / "both")
    save(name="both/model.onnx")
    assert find_source(tmp_path / "both").kind == "onnx"
    assert find_source(tmp_path / "both", kind="safetensors").kind == "safetensors"


def test_a_kind_that_the_folder_does_not_hold_is_refused(tmp_path: Path, save: Callable[..., Path]) -> None:
    folder = bert(tmp_path / "bert")
    with pytest.raises(InvalidArtifactError, match="holds no torchscript file"):
        find_source(folder, kind="torchscript")
    with pytest.raises(InvalidArtifactError, match=r"holds no `\.onnx` file"):
        find_source(folder, kind="onnx")
    with pytest.raises(InvalidArtifactError, match="is onnx and was called safetensors"):
        find_source(save(), kind="safetensors")


def test_a_kind_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifactError, match="`tflite` is not a kind of artifact") as refused:
        find_source(tmp_path, kind="tflite")
    assert "safetensors" in str(refused.value.hint)


def test_what_cannot_be_run_here_has_no_golden_sample_unless_one_is_given(tmp_path: Path) -> None:
    source = find_source(bert(tmp_path / "bert"))
    assert not examine(source, DIGEST, None).golden.is_there
    examined = examine(source, DIGEST, sample(tmp_path))
    assert [spec.as_json() for spec in (*examined.inputs, *examined.outputs)] == [
        {"name": "ids", "datatype": "INT64", "shape": [1, 2]},
        {"name": "score", "datatype": "FP32", "shape": [1]},
    ]
    assert examined.golden.outputs[0].data == (0.25,)


@pytest.mark.parametrize(
    "body", [{"inputs": SAMPLE["inputs"]}, {**SAMPLE, "outputs": []}, {**SAMPLE, "outputs": [{"name": "y"}]}]
)
def test_a_golden_sample_of_one_side_is_refused(tmp_path: Path, body: Any) -> None:
    source = find_source(bert(tmp_path / "bert"))
    with pytest.raises(InvalidArtifactError) as refused:
        examine(source, DIGEST, sample(tmp_path, body))
    assert '"outputs"' in str(refused.value.hint)


@pytest.mark.parametrize("name", ["training_args.bin", "optimizer.pt", "notes.pkl"])
def test_pickles_beside_safe_weights_are_refused(tmp_path: Path, name: str) -> None:
    """Law 12: no pickle, also not as a companion."""
    folder = bert(tmp_path / "bert")
    (folder / name).write_bytes(b"\x80\x04\x95 pickle")
    with pytest.raises(InvalidArtifactError, match=f"`{name}` is or holds a Python pickle"):
        examine(find_source(folder), DIGEST, None)


def test_a_version_of_another_kind_says_what_it_is_and_what_it_lacks(
    store: MemoryStore, clock: Callable[[], datetime], tmp_path: Path
) -> None:
    done = publish(store, "bert", bert(tmp_path / "bert"), created_by="ana", clock=clock)
    kept = load_manifest(store, ByVersion("bert", 1))
    assert (kept.kind, kept.entry) == ("safetensors", "model.safetensors")
    assert kept.lineage["architecture"] == "BertModel"
    assert len(kept.files) == 3
    assert "has no golden sample" in done.remarks[0]


def test_code_is_published_only_when_it_is_allowed(
    store: MemoryStore, clock: Callable[[], datetime], tmp_path: Path
) -> None:
    """Law 12: no pickle, unless somebody says so and the manifest says what it executes."""
    path = save(tmp_path, WHOLE)
    with pytest.raises(InvalidArtifactError, match="executes code"):
        publish(store, "net", path, created_by="ana", clock=clock)
    assert list(store.keys("")) == []
    kept = publish(store, "net", path, allow_code=True, created_by="ana", clock=clock).manifest
    assert (kept.kind, kept.lineage["pickled_code"]) == ("torch-pickle", "__main__.Net")


def test_a_script_is_published_knowingly(
    store: MemoryStore, clock: Callable[[], datetime], tmp_path: Path
) -> None:
    path = save(tmp_path, SCRIPT, "renamed.pt")
    kept = publish(store, "net", path, kind="torchscript", created_by="ana", clock=clock).manifest
    assert (kept.kind, kept.entry) == ("torchscript", "model.pt")
