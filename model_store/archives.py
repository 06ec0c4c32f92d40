"""Look into zip archives, and unpack tar archives, as if whoever made them meant harm (law 12).

Refused: names that leave the folder, links and devices, the same name twice, encrypted members, too
many members, and archives that grow out of proportion when they are unpacked.
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from model_store.contract.digest import CHUNK_BYTES
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.paths import check_artifact_path, shown
from model_store.place import local_files

MAX_MEMBERS = 100_000
"""Most files in one archive; a model has a few, a sharded one with its tokenizer a few hundred."""

MAX_UNPACKED_BYTES = 64 * 1024**3
"""Most bytes that an archive may unpack to."""

MAX_RATIO = 200
"""How many times larger an archive may become. Weights shrink to a half at best; a bomb goes far over."""

FREE_BYTES = 16 * 1024**2
"""What an archive may unpack to whatever its own size: a few kilobytes of text shrink a lot."""

_BOMB_HINT = "Pack the model's own files only; nothing that belongs to a model shrinks that much."


def most_bytes(packed: int) -> int:
    """How much an archive of ``packed`` bytes may unpack to."""
    return min(MAX_UNPACKED_BYTES, FREE_BYTES + MAX_RATIO * packed)


def checked_members(archive: zipfile.ZipFile, name: str, packed: int) -> list[zipfile.ZipInfo]:
    """The files of a zip archive of ``packed`` bytes, or a refusal of the whole of it."""
    members = archive.infolist()
    _must_be_few(len(members), name)
    seen: set[str] = set()
    for member in members:
        _must_be_ordinary(member, name)
        _must_be_new(member.filename, seen, name)
    _must_be_in_proportion(sum(member.file_size for member in members), packed, name)
    return [member for member in members if not member.is_dir()]


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    """The bytes of one member, never more than ``limit`` whatever the archive says of their number."""
    try:
        with archive.open(member) as file:
            data = file.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise InvalidArtifactError(
            f"`{shown(member.filename)}` in the archive cannot be read: {error}",
            hint="The archive is damaged: save it again.",
        ) from error
    if len(data) > limit:
        raise InvalidArtifactError(
            f"`{shown(member.filename)}` in the archive is larger than {limit:,} bytes", hint=_BOMB_HINT
        )
    return data


def unpack_tar(path: Path, folder: Path) -> list[str]:
    """Unpack the tar archive at ``path``, compressed with gzip or not, into ``folder`` and name its files.

    Only plain files and folders are made, with this user's own permissions. On a refusal some files may
    be there already: the caller throws the folder away.
    """
    with local_files(path):
        packed = path.stat().st_size
    names: list[str] = []
    with _reading(path), _opened(path) as stream:
        limited = _Limited(stream, most_bytes(packed), path.name)
        with tarfile.open(fileobj=limited, mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                _must_be_few(len(names), path.name)
                name = _tar_name(member, path.name)
                if name is None:
                    continue
                if name in names:
                    raise _twice(name, path.name)
                names.append(name)
                source = archive.extractfile(member)
                assert source is not None
                _write(source, folder / name)
    return names


class _Limited:
    """A stream that refuses to give more than ``most`` bytes: a bomb ends where it becomes one."""

    def __init__(self, stream: BinaryIO, most: int, name: str) -> None:
        self._stream = stream
        self._left = most
        self._most = most
        self._name = name

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise InvalidArtifactError(
                f"`{self._name}` unpacks to more than {self._most:,} bytes, {MAX_RATIO} times its own size",
                hint=_BOMB_HINT,
            )
        return data


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with local_files(path):
        file = path.open("rb")
    with file:
        head = file.read(2)
        file.seek(0)
        if head == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked  # type: ignore[misc]  # it reads like any binary file
        else:
            yield file


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InvalidArtifactError(
            f"`{path.name}` is not a whole tar archive: {error}",
            hint="Pack it with `tar -czf model.tar.gz -C FOLDER .`.",
        ) from error


def _tar_name(member: tarfile.TarInfo, archive: str) -> str | None:
    """The path of a plain file, ``None`` for a folder; anything else is refused."""
    if member.issym() or member.islnk():
        raise InvalidArtifactError(
            f"`{shown(member.name)}` in `{archive}` is a link", hint="Pack the file itself (`tar -h`)."
        )
    if not (member.isreg() or member.isdir()):
        raise InvalidArtifactError(
            f"`{shown(member.name)}` in `{archive}` is neither a file nor a folder", hint="Leave it out."
        )
    name = member.name.removeprefix("./").rstrip("/")
    if member.isdir() and name in ("", "."):
        return None
    _must_stay_inside(name, archive)
    return name if member.isreg() else None


def _write(source: object, path: Path) -> None:
    with local_files(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while chunk := source.read(CHUNK_BYTES):  # type: ignore[attr-defined]
                file.write(chunk)


def _must_be_ordinary(member: zipfile.ZipInfo, archive: str) -> None:
    name = member.filename
    _must_stay_inside(name.rstrip("/") if member.is_dir() else name, archive)
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InvalidArtifactError(f"`{shown(name)}` in `{archive}` is a link", hint="Pack the file itself.")
    if member.flag_bits & 0x1:
        raise InvalidArtifactError(
            f"`{shown(name)}` in `{archive}` is encrypted", hint="Save it in the open."
        )


def _must_stay_inside(name: str, archive: str) -> None:
    try:
        check_artifact_path(name)
    except InvalidArtifactError as error:
        raise InvalidArtifactError(
            f"`{archive}` holds a file that no folder may take: {error}",
            hint="Pack it again from inside its folder, without `..` and without absolute paths.",
        ) from error


def _must_be_new(name: str, seen: set[str], archive: str) -> None:
    if name in seen:
        raise _twice(name, archive)
    seen.add(name)


def _twice(name: str, archive: str) -> InvalidArtifactError:
    return InvalidArtifactError(
        f"`{shown(name)}` is in `{archive}` twice", hint="Pack it again: readers would see different files."
    )


def _must_be_few(count: int, archive: str) -> None:
    if count > MAX_MEMBERS:
        raise InvalidArtifactError(
            f"`{archive}` holds more than {MAX_MEMBERS:,} files", hint="Pack the model's own files only."
        )


def _must_be_in_proportion(unpacked: int, packed: int, archive: str) -> None:
    if unpacked > most_bytes(packed):
        raise InvalidArtifactError(
            f"`{archive}` has {packed:,} bytes and would unpack to {unpacked:,}", hint=_BOMB_HINT
        )
