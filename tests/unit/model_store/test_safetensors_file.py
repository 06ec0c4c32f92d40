"""``model_store.safetensors_file``: headers that lie, and configs that execute."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_store.artifact import find_source
from model_store.contract.errors import InvalidArtifactError
from model_store.safetensors_file import MAX_HEADER_BYTES, inspect_safetensors

Header = dict[str, Any]
CONFIG = {"architectures": ["BertModel"], "model_type": "bert"}


def tensor(start: int, stop: int, shape: list[int], dtype: str = "F32") -> Header:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


GOOD = {"__metadata__": {"format": "pt"}, "w": tensor(0, 16, [2, 2]), "b": tensor(16, 20, [2], "F16")}


def write(path: Path, header: Header | bytes, data: bytes = b"\0" * 20) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bert"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(CONFIG))
    write(made / "model.safetensors", GOOD)
    return made


def test_what_a_whole_artifact_says_of_itself_is_kept(folder: Path) -> None:
    source = find_source(folder)
    assert (source.kind, source.entry) == ("safetensors", "model.safetensors")
    assert inspect_safetensors(source) == {
        "architecture": "BertModel",
        "model_type": "bert",
        "tensors": "2",
        "parameters": "6",
        "dtypes": "F16, F32",
    }


BROKEN: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "a header longer than the file": lambda path: path.write_bytes(struct.pack("<Q", 1 << 40) + b"{}"),
    "not JSON": lambda path: write(path, b"\x80\x04\x95 pickle"),
    "a list": lambda path: write(path, b"[]"),
    "a name twice": lambda path: write(path, b'{"w":{},"w":{}}'),
    "a deep nest": lambda path: write(path, b"[" * 100_000),
    "a gap": lambda path: write(path, {"w": tensor(4, 20, [2, 2])}),
    "an overlap": lambda path: write(path, {"v": tensor(0, 16, [4]), "w": tensor(4, 20, [4])}),
    "beyond the end": lambda path: write(path, {"w": tensor(0, 64, [4, 4])}),
    "bytes left over": lambda path: write(path, {"w": tensor(0, 16, [4])}),
    "another size": lambda path: write(path, {"w": tensor(0, 20, [4])}),
    "a negative size": lambda path: write(path, {"w": tensor(0, 20, [-5])}),
    "an unknown datatype": lambda path: write(path, {"w": tensor(0, 20, [5], "PICKLE")}),
    "no shape": lambda path: write(path, {"w": {"dtype": "F32", "data_offsets": [0, 20]}}),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_header_that_lies_is_refused(folder: Path, how: str) -> None:
    """Law 12: nothing of a file is believed that the file does not hold."""
    BROKEN[how](folder / "model.safetensors")
    with pytest.raises(InvalidArtifactError, match=r"model\.safetensors") as refused:
        inspect_safetensors(find_source(folder))
    assert refused.value.hint


def test_a_header_of_gigabytes_is_not_read(folder: Path) -> None:
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", MAX_HEADER_BYTES + 1))
        file.truncate(MAX_HEADER_BYTES * 3)  # a hole: it takes no disk
    with pytest.raises(InvalidArtifactError, match="not a safetensors file"):
        inspect_safetensors(find_source(folder))


def test_weights_without_a_config_are_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    for path in (folder, folder / "model.safetensors"):
        with pytest.raises(InvalidArtifactError, match="nothing that says what to compute"):
            inspect_safetensors(find_source(path))


def test_a_config_that_brings_code_is_refused(folder: Path) -> None:
    """Law 12: `auto_map` makes a loader execute Python of the model."""
    (folder / "config.json").write_text(json.dumps({**CONFIG, "auto_map": {"AutoModel": "modeling.MyModel"}}))
    with pytest.raises(InvalidArtifactError, match="execute Python that comes with the model"):
        inspect_safetensors(find_source(folder))


def test_a_config_that_is_not_one_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("[1]")
    with pytest.raises(InvalidArtifactError, match=r"`config\.json` is not a JSON object"):
        inspect_safetensors(find_source(folder))


@pytest.fixture
def sharded(folder: Path) -> Path:
    (folder / "model.safetensors").unlink()
    write(folder / "model-00001-of-00002.safetensors", {"w": tensor(0, 20, [5])})
    write(folder / "model-00002-of-00002.safetensors", {"b": tensor(0, 20, [5])})
    return index(folder, {"w": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"})


def index(folder: Path, placed: object) -> Path:
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 40}, "weight_map": placed})
    )
    return folder


def test_weights_in_several_files_are_one_artifact(sharded: Path) -> None:
    source = find_source(sharded)
    assert source.entry == "model.safetensors.index.json"
    assert inspect_safetensors(source)["tensors"] == "2"


@pytest.mark.parametrize(
    "placed",
    [
        {"w": "model-00003-of-00002.safetensors"},
        {"w": "../../etc/passwd"},
        {"v": "model-00001-of-00002.safetensors"},
        {},
        ["w"],
    ],
)
def test_an_index_that_points_elsewhere_is_refused(sharded: Path, placed: object) -> None:
    """Law 12: every tensor lies in a file of the artifact."""
    with pytest.raises(InvalidArtifactError, match=r"index\.json"):
        inspect_safetensors(find_source(index(sharded, placed)))
