"""``model_store.lineage``: where a version comes from."""

import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.errors import InvalidArtifactError, InvalidNameError, NotFoundError
from model_store.lineage import origins, papers, surroundings
from model_store.publish import publish

SaveModel = Callable[..., Path]


@pytest.fixture
def published(store: MemoryStore, save: SaveModel, clock: Callable[[], datetime]) -> MemoryStore:
    publish(store, "digits", save(), created_by="ana", clock=clock)
    return store


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=ana", "-c", "user.email=ana@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_parent_is_named_with_what_it_was(published: MemoryStore) -> None:
    found = origins(
        published, parent="digits:1", step="quantised to 8 bits", data_digest="sha256:" + "ab" * 32
    )
    assert found["parent"] == "digits:1"
    assert found["parent_digest"].startswith("sha256:")
    assert (found["step"], found["data"]) == ("quantised to 8 bits", "sha256:" + "ab" * 32)
    assert origins(published) == {}


def test_what_nobody_could_follow_is_refused(published: MemoryStore) -> None:
    with pytest.raises(NotFoundError, match="`digits:2` does not exist"):
        origins(published, parent="digits:2")
    with pytest.raises(InvalidNameError):
        origins(published, parent="digits@live")
    with pytest.raises(InvalidNameError, match="is not a sha256"):
        origins(published, data_digest="md5:abc")
    for step in ("two\nlines", "x" * 501):
        with pytest.raises(InvalidArtifactError, match="not one line"):
            origins(published, step=step)


def test_the_commit_is_told_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    (tmp_path / "model.onnx").write_text("untracked")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert surroundings(tmp_path / "model.onnx")["git"] == commit
    (tmp_path / "train.py").write_text("2")
    assert surroundings(tmp_path)["git"] == f"{commit} (changed)"


def test_where_there_is_no_checkout_no_commit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "git" not in surroundings(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git" not in surroundings(tmp_path)


def test_packages_are_told_by_version(tmp_path: Path) -> None:
    found = surroundings(tmp_path)
    assert "onnxruntime " in found["packages"]
    assert found["python"].count(".") == 2


def test_licence_and_card_are_the_ones_nearest_the_top() -> None:
    assert papers(["model.onnx", "a/LICENSE", "LICENSE.txt", "docs/README.md", "b/readme.md"]) == {
        "licence": "LICENSE.txt",
        "card": "b/readme.md",
    }
    assert papers(["licences_of_fonts.bin"]) == {}
