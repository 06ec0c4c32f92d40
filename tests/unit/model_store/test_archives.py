"""``model_store.archives``: archives whose makers mean harm."""

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from model_store import archives
from model_store.archives import FREE_BYTES, MAX_RATIO, checked_members, read_member, unpack_tar
from model_store.contract.errors import InvalidArtifactError, LocalFileError

HOSTILE = ["../evil", "/etc/cron.d/evil", "a/../../evil", "a\\..\\evil", "a\nb", "~/\x1b[2Jevil", "n" * 300]


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes], packed: str = "w:gz") -> Path:
    with tarfile.open(path, packed) as archive:  # type: ignore[call-overload]
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def named(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return member


def zip_of(path: Path, *members: tuple[zipfile.ZipInfo | str, bytes]) -> zipfile.ZipFile:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return zipfile.ZipFile(path)


def members_of(archive: zipfile.ZipFile, path: Path) -> list[str]:
    with archive:
        return [item.filename for item in checked_members(archive, path.name, path.stat().st_size)]


# tar


@pytest.mark.parametrize("packed", ["w:gz", "w"])
def test_plain_files_are_unpacked_where_they_belong(tmp_path: Path, packed: str) -> None:
    path = tar_of(
        tmp_path / "model.tar.gz",
        (named("./", tarfile.DIRTYPE), b""),
        (named("./model.onnx"), b"graph"),
        (named("code/", tarfile.DIRTYPE), b""),
        (named("code/labels.txt"), b"zero"),
        packed=packed,
    )
    assert unpack_tar(path, tmp_path / "out") == ["model.onnx", "code/labels.txt"]
    assert (tmp_path / "out" / "code" / "labels.txt").read_bytes() == b"zero"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """Law 12: no archive writes outside its folder."""
    path = tar_of(tmp_path / "model.tar.gz", (named(name), b"evil"))
    with pytest.raises(InvalidArtifactError, match="no folder may take") as refused:
        unpack_tar(path, tmp_path / "deep" / "out")
    assert refused.value.hint
    assert [item.name for item in tmp_path.rglob("*evil*")] == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_is_refused(tmp_path: Path, kind: bytes) -> None:
    """Law 12: a link leads the next file, or a reader, out of the folder."""
    path = tar_of(
        tmp_path / "model.tar.gz", (named("out", kind, "/etc"), b""), (named("out/passwd"), b"evil")
    )
    with pytest.raises(InvalidArtifactError, match=r"`out` in `model\.tar\.gz` is a link"):
        unpack_tar(path, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_device_is_refused(tmp_path: Path, kind: bytes) -> None:
    path = tar_of(tmp_path / "model.tar.gz", (named("pipe", kind), b""))
    with pytest.raises(InvalidArtifactError, match="neither a file nor a folder"):
        unpack_tar(path, tmp_path / "out")


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "model.tar.gz", (named("./a"), b"checked"), (named("a"), b"served"))
    with pytest.raises(InvalidArtifactError, match="twice"):
        unpack_tar(path, tmp_path / "out")


def test_a_bomb_ends_where_it_becomes_one(tmp_path: Path) -> None:
    """Law 12: an archive that grows out of proportion does not fill the disk."""
    path = tar_of(tmp_path / "model.tar.gz", (named("zeros"), b"\0" * (FREE_BYTES * 4)))
    most = FREE_BYTES + MAX_RATIO * path.stat().st_size
    assert most < FREE_BYTES * 4
    with pytest.raises(InvalidArtifactError, match=f"unpacks to more than {most:,} bytes"):
        unpack_tar(path, tmp_path / "out")
    assert sum(item.stat().st_size for item in (tmp_path / "out").rglob("*")) <= most


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    path = tar_of(tmp_path / "model.tar.gz", *((named(str(number)), b"") for number in range(5)))
    with pytest.raises(InvalidArtifactError, match="more than 3 files"):
        unpack_tar(path, tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"hello", gzip.compress(b"hello", mtime=0), b"\x1f\x8b broken"])
def test_what_is_no_tar_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.tar.gz").write_bytes(data)
    with pytest.raises(InvalidArtifactError, match=r"`model\.tar\.gz` is not a whole tar archive"):
        unpack_tar(tmp_path / "model.tar.gz", tmp_path / "out")


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "model.tar.gz", (named("a"), bytes(range(256)) * 200))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InvalidArtifactError, match="not a whole tar archive"):
        unpack_tar(path, tmp_path / "out")


def test_an_archive_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(LocalFileError):
        unpack_tar(tmp_path / "none.tar.gz", tmp_path / "out")


# zip


def test_the_members_of_a_plain_archive_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    assert members_of(zip_of(path, ("a/data.pkl", b"1"), ("a/", b""), ("a/b/c", b"2")), path) == [
        "a/data.pkl",
        "a/b/c",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_member_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """Law 12: zip-slip."""
    path = tmp_path / "a.zip"
    with pytest.raises(InvalidArtifactError, match="no folder may take"):
        members_of(zip_of(path, (name, b"evil")), path)


def test_a_member_that_is_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "a.zip"
    with pytest.raises(InvalidArtifactError, match=r"`link` in `a\.zip` is a link"):
        members_of(zip_of(path, (link, b"/etc/passwd")), path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with pytest.raises(InvalidArtifactError, match="twice"):
        members_of(zip_of(path, ("a", b"checked"), ("a", b"served")), path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """Law 12: decompression bombs."""
    path = tmp_path / "a.zip"
    with pytest.raises(InvalidArtifactError, match="would unpack to"):
        members_of(zip_of(path, *((f"{number}", b"\0" * FREE_BYTES) for number in range(3))), path)


def test_a_member_that_lies_about_its_size_is_read_no_further(tmp_path: Path) -> None:
    with zip_of(tmp_path / "a.zip", ("a", b"\0" * 1000)) as archive:
        with pytest.raises(InvalidArtifactError, match="larger than 999 bytes"):
            read_member(archive, archive.getinfo("a"), 999)
        assert len(read_member(archive, archive.getinfo("a"), 1000)) == 1000


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    zip_of(path, ("a", bytes(range(256)) * 10)).close()
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive, pytest.raises(InvalidArtifactError, match="cannot be read"):
        read_member(archive, archive.getinfo("a"), 10_000)
