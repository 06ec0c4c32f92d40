"""``model_store.adopt``: models that other tools have packed, in the layouts that they write."""

import json
import tarfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.adopt import adopted
from model_store.contract.errors import InvalidArtifactError, InvalidNameError, ModelStoreError, NotFoundError
from model_store.contract.names import ByVersion
from model_store.fetch import fetch
from model_store.publish import Published, publish

from .test_safetensors_file import CONFIG, GOOD, write
from .test_torch_archive import SCRIPT
from .test_torch_archive import save as save_torch

SaveModel = Callable[..., Path]

MLMODEL = """\
artifact_path: model
flavors:
  onnx:
    code: null
    data: {data}
    onnx_version: 1.17.0
    providers:
    - CPUExecutionProvider
  python_function:
    data: {data}
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.onnx
    python_version: 3.11.9
mlflow_version: 3.2.0
model_size_bytes: 1024
model_uuid: e694c68eba484299976b06ab9058f636
run_id: e13da8acb1e645d4a9b26a0a5cfac537
utc_time_created: '2026-01-15 10:11:12.345678'
"""
CARD = """\
---
license: apache-2.0
base_model: google-bert/bert-base-uncased
datasets:
- glue
- sst2
---
# A card
"""


@pytest.fixture
def go(store: MemoryStore, clock: Callable[[], datetime]) -> Callable[..., Published]:
    def go(text: str, **settings: object) -> Published:
        with adopted(text, **settings) as found:  # type: ignore[arg-type]
            return publish(store, "bert", found.source, created_by="ana", clock=clock)

    return go


def kept(done: Published) -> set[str]:
    return {file.path for file in done.manifest.files}


# MLflow


@pytest.fixture
def mlflow(tmp_path: Path, save: SaveModel) -> Path:
    folder = save(name="run/model.onnx").parent
    (folder / "MLmodel").write_text(MLMODEL.format(data="model.onnx"))
    (folder / "conda.yaml").write_text("name: mlflow-env\n")
    (folder / "python_env.yaml").write_text("python: 3.11.9\n")
    (folder / "requirements.txt").write_text("mlflow==3.2.0\nonnx==1.17.0\n")
    (folder / "LICENSE").write_text("Apache")
    return folder


def test_an_mlflow_folder_becomes_a_version_with_its_run(
    mlflow: Path, go: Callable[..., Published], store: MemoryStore, tmp_path: Path
) -> None:
    done = go(f"mlflow:{mlflow}")
    lineage = done.manifest.lineage
    assert (done.manifest.kind, done.manifest.entry) == ("onnx", "model.onnx")
    assert (lineage["imported"], lineage["mlflow"], lineage["licence"]) == ("mlflow", "3.2.0", "LICENSE")
    assert lineage["mlflow_run"] == "e13da8acb1e645d4a9b26a0a5cfac537"
    assert {"MLmodel", "requirements.txt", "LICENSE"} <= kept(done)
    fetch(store, ByVersion("bert", 1), tmp_path / "back")
    assert (tmp_path / "back" / "LICENSE").read_text() == "Apache"


def test_external_data_beside_an_mlflow_graph_travels_along(
    save_external: Callable[..., Path], go: Callable[..., Published]
) -> None:
    folder = save_external(data=b"\0\0\0\x40" * 4)
    (folder / "MLmodel").write_text(MLMODEL.format(data="model.onnx"))
    assert kept(go(f"mlflow:{folder}")) == {"MLmodel", "model.onnx", "weights.bin"}


def test_an_mlflow_model_without_a_flavour_that_can_be_served_is_refused(mlflow: Path) -> None:
    """Law 12: a pickled flavour is no model here."""
    (mlflow / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: model.pkl\n")
    with (
        pytest.raises(InvalidArtifactError, match="names no flavour that can be served: it has `sklearn`"),
        adopted(f"mlflow:{mlflow}"),
    ):
        pass


@pytest.mark.parametrize("data", ["/etc/passwd", "../model.onnx", "gone.onnx"])
def test_an_mlflow_model_outside_its_folder_is_refused(mlflow: Path, data: str) -> None:
    """Law 12: nothing outside the artifact's folder is read."""
    (mlflow / "MLmodel").write_text(MLMODEL.format(data=data))
    with pytest.raises(InvalidArtifactError), adopted(f"mlflow:{mlflow}"):
        pass


@pytest.mark.parametrize("text", ["flavors: [", "- a list", "a: !!python/object/apply:os.system ['id']"])
def test_an_mlmodel_file_that_is_not_plain_yaml_is_refused(mlflow: Path, text: str) -> None:
    """Law 12: YAML can name Python objects; they are not made."""
    (mlflow / "MLmodel").write_text(text)
    with pytest.raises(InvalidArtifactError, match="`MLmodel` is not"), adopted(f"mlflow:{mlflow}"):
        pass


def test_a_folder_without_an_mlmodel_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifactError, match="has no `MLmodel` file"), adopted(f"mlflow:{tmp_path}"):
        pass


# Hugging Face


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "README.md").write_text(CARD)
    (folder / ".gitattributes").write_text("*.bin filter=lfs")
    (folder / "pytorch_model.bin").write_bytes(b"PK\x03\x04 pickled weights")
    (folder / "tf_model.h5").write_bytes(b"\x89HDF")
    return write(folder / "model.safetensors", GOOD).parent


def test_a_hugging_face_folder_becomes_a_version_with_its_card(
    hub: Path, go: Callable[..., Published]
) -> None:
    done = go(f"hf:{hub}")
    lineage = done.manifest.lineage
    assert done.manifest.kind == "safetensors"
    assert kept(done) == {"config.json", "tokenizer.json", "README.md", "model.safetensors"}
    assert (lineage["card"], lineage["licence_name"]) == ("README.md", "apache-2.0")
    assert lineage["base_model"] == "google-bert/bert-base-uncased"
    assert lineage["datasets"] == "glue, sst2"
    assert lineage["architecture"] == "BertModel"


def test_what_is_left_out_is_said(hub: Path) -> None:
    with adopted(f"hf:{hub}") as found:
        assert found.remarks == ("left out: `pytorch_model.bin`, `tf_model.h5`",)


def test_onnx_is_preferred_and_its_variants_are_left_out(
    hub: Path, save: SaveModel, go: Callable[..., Published]
) -> None:
    for name in ("model", "model_quantized", "model_fp16"):
        save(name=f"bert/onnx/{name}.onnx")
    (hub / "onnx" / "model_fp16.onnx_data").write_bytes(b"data of another variant")
    done = go(f"hf:{hub}")
    assert (done.manifest.kind, done.manifest.entry) == ("onnx", "onnx/model.onnx")
    assert kept(done) == {"config.json", "tokenizer.json", "README.md", "onnx/model.onnx"}
    assert go(f"hf:{hub}", kind="safetensors").manifest.kind == "safetensors"


def test_a_snapshot_of_the_cache_is_read_through_its_links(
    tmp_path: Path, save_external: Callable[..., Path], go: Callable[..., Published]
) -> None:
    real = save_external("model.onnx_data", data=b"\0\0\0\x40" * 4)
    (real / "weights.bin").rename(real / "model.onnx_data")
    snapshot = tmp_path / "models--org--bert" / "snapshots" / "abc"
    blobs = tmp_path / "models--org--bert" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for at, name in enumerate(("model.onnx", "model.onnx_data")):
        (real / name).rename(blobs / str(at))
        (snapshot / name).symlink_to(f"../../blobs/{at}")
    assert kept(go(f"hf:{snapshot}")) == {"model.onnx", "model.onnx_data"}


def test_a_link_to_anywhere_else_is_refused(hub: Path, tmp_path: Path) -> None:
    """Law 12: a model does not carry other files of this machine away."""
    (tmp_path / "secret").write_text("key")
    (hub / "vocab.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidArtifactError, match="a link that leads out"), adopted(f"hf:{hub}"):
        pass


def test_a_card_whose_front_matter_is_broken_still_travels(hub: Path, go: Callable[..., Published]) -> None:
    (hub / "README.md").write_text("---\nlicense: [\n---\n")
    lineage = go(f"hf:{hub}").manifest.lineage
    assert lineage["card"] == "README.md"
    assert "licence_name" not in lineage


# SageMaker


def tarred(path: Path, folder: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, ".")
    return path


def test_a_sagemaker_archive_becomes_a_version_without_its_handler(
    mlflow: Path, tmp_path: Path, go: Callable[..., Published]
) -> None:
    (mlflow / "code").mkdir()
    (mlflow / "code" / "inference.py").write_text("import os")
    path = tarred(tmp_path / "model.tar.gz", mlflow)
    done = go(f"sagemaker:{path}")
    assert (done.manifest.kind, done.manifest.lineage["imported"]) == ("onnx", "sagemaker")
    assert "code/inference.py" not in kept(done)
    with adopted(f"sagemaker:{path}") as found:
        assert found.remarks == ("left out: `code/inference.py`",)
        unpacked = found.source.graph
        assert unpacked.is_file()
    assert not unpacked.exists()


def test_a_script_in_a_sagemaker_archive_is_published_knowingly(
    tmp_path: Path, go: Callable[..., Published]
) -> None:
    """Law 12: by explicit choice, whoever packed it."""
    (tmp_path / "in").mkdir()
    save_torch(tmp_path / "in", SCRIPT, "model.pth")
    path = tarred(tmp_path / "model.tar.gz", tmp_path / "in")
    with pytest.raises(InvalidArtifactError, match="a TorchScript archive, which is a program"):
        go(f"sagemaker:{path}")
    assert go(f"sagemaker:{path}", kind="torchscript").manifest.kind == "torchscript"


def test_a_pickle_in_a_sagemaker_archive_is_refused(
    mlflow: Path, tmp_path: Path, go: Callable[..., Published], store: MemoryStore
) -> None:
    """Law 12: no pickle, in whatever it is packed."""
    (mlflow / "xgboost-model").write_bytes(b"\x80\x04\x95 pickle")
    with pytest.raises(InvalidArtifactError, match="`xgboost-model` is or holds a Python pickle"):
        go(f"sagemaker:{tarred(tmp_path / 'model.tar.gz', mlflow)}")
    assert list(store.keys("")) == []


# What names nothing


@pytest.mark.parametrize("text", ["", "hf", "hf:", "docker:image", "/a/path"])
def test_what_names_no_tool_is_misspelled(text: str) -> None:
    with pytest.raises(InvalidNameError) as refused, adopted(text):
        pass
    assert "mlflow:DIR" in str(refused.value.hint)


@pytest.mark.parametrize("tool", ["mlflow", "hf", "sagemaker"])
def test_what_is_not_there_or_of_another_shape_is_refused(tool: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError), adopted(f"{tool}:{tmp_path / 'none'}"):
        pass
    (tmp_path / "file").write_text("x")
    wrong = tmp_path if tool == "sagemaker" else tmp_path / "file"
    with pytest.raises(ModelStoreError), adopted(f"{tool}:{wrong}"):
        pass
