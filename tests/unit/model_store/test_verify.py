"""``model_store.verify``: every stored byte is read again, and what is wrong is said."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_store import transfer
from model_store.adapters.directory import DirectoryStore
from model_store.contract.errors import InvalidNameError, NotFoundError, StoreUnavailableError
from model_store.contract.keys import blob_key, manifest_key, tombstone_key
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.contract.parts import Part
from model_store.publish import publish
from model_store.verify import verify

WEIGHTS = b"\0\0\0\x40" * 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def disk(root: Path) -> DirectoryStore:
    return DirectoryStore(root)


@pytest.fixture
def manifest(
    disk: DirectoryStore, save_external: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Manifest:
    """``digits:1``: a small graph and weights that are cut into parts of eight bytes."""
    folder = save_external(data=WEIGHTS)
    (folder / "labels.txt").write_text("zero\n")
    with monkeypatch.context() as cut:
        cut.setattr(transfer, "part_size_for", lambda size: 8 if size == len(WEIGHTS) else size + 1)
        cut.setattr(transfer, "_PIECE_BYTES", 4)
        made = publish(disk, "digits", folder, created_by="ana").manifest
    assert [file.path for file in made.files if file.parts] == ["weights.bin"]
    return made


def blob(root: Path, manifest: Manifest, name: str) -> Path:
    (digest,) = (file.digest for file in manifest.files if file.path == name)
    return root / blob_key(digest)


def test_what_is_as_it_was_published_has_no_findings(disk: DirectoryStore, manifest: Manifest) -> None:
    told: list[tuple[str, int, int]] = []
    done = verify(disk, on_progress=lambda *step: told.append(step))
    assert (done.versions, done.files, done.size, done.findings) == (1, 3, manifest.size, [])
    assert told[-1] == ("verified", manifest.size, manifest.size)


@pytest.mark.parametrize("name", ["labels.txt", "model.onnx", "weights.bin"])
def test_one_flipped_bit_anywhere_is_found(
    disk: DirectoryStore, manifest: Manifest, root: Path, name: str
) -> None:
    """Law 2: every stored byte is covered."""
    path = blob(root, manifest, name)
    whole = path.read_bytes()
    for at in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        (finding,) = verify(disk).findings
        assert finding.ref == ByVersion("digits", 1)
        assert str(finding).startswith(f"digits:1: its file `{name}` is not what was published")


@pytest.mark.parametrize("name", ["labels.txt", "weights.bin"])
@pytest.mark.parametrize("size", [0, -1])
def test_a_file_that_is_cut_off_is_found(
    disk: DirectoryStore, manifest: Manifest, root: Path, name: str, size: int
) -> None:
    path = blob(root, manifest, name)
    path.write_bytes(path.read_bytes()[:size])
    (finding,) = verify(disk).findings
    assert "is not what was published" in finding.what


def test_the_part_that_is_wrong_is_named(disk: DirectoryStore, manifest: Manifest, root: Path) -> None:
    blob(root, manifest, "weights.bin").write_bytes(WEIGHTS[:8] + b"X" * 8)
    (finding,) = verify(disk).findings
    assert "part 2 of" in finding.what


def test_a_lost_file_is_found_for_every_version_that_has_it(
    disk: DirectoryStore, manifest: Manifest, root: Path, save_external: Callable[..., Path]
) -> None:
    folder = save_external(data=WEIGHTS)
    (folder / "labels.txt").write_text("one\n")
    publish(disk, "digits", folder, created_by="ana")
    publish(disk, "other", folder, created_by="ana")
    blob(root, manifest, "model.onnx").unlink()
    done = verify(disk)
    assert [str(finding) for finding in done.findings] == [
        f"{ref}: its file `model.onnx` is lost: the store holds nothing under its digest"
        for ref in ("digits:1", "digits:2", "other:1")
    ]
    assert [str(finding.ref) for finding in verify(disk, model="other").findings] == ["other:1"]
    assert [str(finding.ref) for finding in verify(disk, model="digits", version=2).findings] == ["digits:2"]


def test_a_manifest_that_cannot_be_read_is_found_and_hides_nothing(
    disk: DirectoryStore, manifest: Manifest, root: Path
) -> None:
    disk.put_once(manifest_key("digits", 2), b"{}")
    disk.put_once(manifest_key("digits", 3), manifest.to_json())
    blob(root, manifest, "labels.txt").unlink()
    said = [str(finding) for finding in verify(disk).findings]
    assert said[0].startswith("digits:2: the manifest cannot be read")
    assert said[1] == "digits:3: the manifest stored as `digits:3` is that of `digits:1`"
    assert said[2].startswith("digits:1: its file `labels.txt` is lost")
    for number in (2, 3):
        assert len(verify(disk, model="digits", version=number).findings) == 1


def test_identical_bytes_are_read_once(disk: DirectoryStore, manifest: Manifest) -> None:
    for number in (2, 3):
        copy = Manifest.from_json(manifest.to_json().replace(b'"version":1', f'"version":{number}'.encode()))
        disk.put_once(manifest_key("digits", number), copy.to_json())
    done = verify(disk)
    assert (done.versions, done.files, done.size) == (3, 3, manifest.size)


def test_a_version_that_was_taken_away_is_no_version(
    disk: DirectoryStore, manifest: Manifest, root: Path
) -> None:
    """Law 10: what a collection removed is gone, not broken."""
    disk.put_once(tombstone_key("digits", 1), b"{}")
    blob(root, manifest, "labels.txt").unlink()
    assert verify(disk).findings == []


def test_what_was_never_published_is_not_found(disk: DirectoryStore, manifest: Manifest) -> None:
    with pytest.raises(NotFoundError, match="`digits:2` does not exist"):
        verify(disk, model="digits", version=2)
    with pytest.raises(NotFoundError, match="no version of `nothing`"):
        verify(disk, model="nothing")
    with pytest.raises(InvalidNameError):
        verify(disk, model="../digits")


def test_an_empty_store_is_right(disk: DirectoryStore) -> None:
    assert verify(disk).findings == []


class Silent(DirectoryStore):
    """Answers for manifests and breaks off at every blob."""

    def chunks(self, key: str, part: Part | None = None) -> Iterator[bytes]:
        yield b""
        raise StoreUnavailableError("no answer")


def test_a_store_that_does_not_answer_is_no_finding(
    disk: DirectoryStore, manifest: Manifest, root: Path
) -> None:
    with pytest.raises(StoreUnavailableError):
        verify(Silent(root))


def test_nothing_is_changed(disk: DirectoryStore, manifest: Manifest, root: Path) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    verify(disk)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
