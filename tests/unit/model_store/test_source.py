"""``model_store.source``: what lies on disk, and whether it stays as it is."""

import os
from pathlib import Path

import pytest

from model_store.contract.errors import IntegrityError, InvalidArtifactError
from model_store.source import Source, marked, regular_files


def test_a_file_changed_and_put_back_is_still_noticed(tmp_path: Path) -> None:
    """Law 2: what was checked is what is stored, also when the digest is right again at the end."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"checked")
    source = marked(Source("model.onnx", {"model.onnx": path}))
    source.must_be_unchanged()
    before = path.stat()
    path.write_bytes(b"served!")
    path.write_bytes(b"checked")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(IntegrityError, match="changed while it was being published"):
        source.must_be_unchanged()


def test_a_file_replaced_by_another_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"checked")
    source = marked(Source("model.onnx", {"model.onnx": path}))
    (tmp_path / "other").write_bytes(b"checked")
    (tmp_path / "other").replace(path)
    with pytest.raises(IntegrityError, match="changed"):
        source.must_be_unchanged()


@pytest.mark.parametrize("name", ["a\nb.txt", "a\\b.txt", "\u202egpj.exe"])
def test_a_name_that_is_not_a_name_is_refused(tmp_path: Path, name: str) -> None:
    """Law 12: names that are not names."""
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InvalidArtifactError, match="has a character that a path may not have"):
        list(regular_files(tmp_path))


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
    with pytest.raises(InvalidArtifactError, match="has a character that a path may not have"):
        list(regular_files(tmp_path))
