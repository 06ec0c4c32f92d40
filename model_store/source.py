"""What lies on disk before it is published: the files of an artifact, listed without trusting them."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from model_store.contract.errors import IntegrityError, InvalidArtifactError
from model_store.contract.kinds import ONNX
from model_store.contract.paths import check_artifact_path
from model_store.pickles import looks_like_pickle, promises_pickle
from model_store.place import local_files

ENTRY = "model.onnx"
"""What a single ONNX file is called in an artifact."""

EXPORT = "Export the model to ONNX, for example with `torch.onnx.export`, and publish that file."


@dataclass(frozen=True, slots=True)
class Source:
    """What lies on disk: the artifact's files by their path in the artifact, which one is loaded, its kind.

    ``said`` is what is known of it beyond its bytes; it becomes part of the lineage.
    """

    entry: str
    paths: dict[str, Path]
    kind: str = ONNX
    said: dict[str, str] = field(default_factory=dict)
    marks: dict[str, tuple[int, ...]] = field(default_factory=dict, compare=False)

    @property
    def graph(self) -> Path:
        return self.paths[self.entry]

    def must_be_unchanged(self) -> None:
        """Refuse files that were written to since ``marked`` looked at them.

        Their digests alone would not show a file that was changed while it was examined and put back
        before it was uploaded: what was checked would not be what is stored.
        """
        for name, mark in self.marks.items():
            with local_files(self.paths[name]):
                now = _mark(self.paths[name])
            if now != mark:
                raise IntegrityError(
                    f"`{name}` changed while it was being published",
                    hint="Wait until nothing writes to it, then publish again.",
                )


def marked(source: Source) -> Source:
    """``source`` with a note of how every file looks now: its size, its inode and when it was changed."""
    marks = {}
    for name, path in source.paths.items():
        with local_files(path):
            marks[name] = _mark(path)
    return Source(source.entry, source.paths, source.kind, source.said, marks)


def _mark(path: Path) -> tuple[int, ...]:
    facts = path.stat()
    # The time of change (ctime) is the kernel's own; the time of modification can be set back by anybody.
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_ctime_ns


def regular_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below ``folder`` by its path in there; a link, a hidden or a special file is refused."""
    with local_files(folder):
        found = sorted(folder.rglob("*"))
    for path in found:
        name = path.relative_to(folder).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise InvalidArtifactError(
                f"`{name}` is a symbolic link", hint="Put the file itself into the folder."
            )
        if any(part.startswith(".") for part in PurePosixPath(name).parts):
            raise InvalidArtifactError(
                f"`{name}` is hidden", hint="Remove it from the folder: everything in it would be published."
            )
        if stat.S_ISREG(mode):
            yield check_artifact_path(name), path
        elif not stat.S_ISDIR(mode):
            raise InvalidArtifactError(f"`{name}` is neither a file nor a folder", hint="Remove it.")


def must_not_carry_pickles(source: Source, *, sparing: frozenset[str]) -> None:
    """Law 12, for the files that travel along. Those of ``sparing`` were looked at, or are bare weights."""
    for name, path in source.paths.items():
        if name != source.entry and name not in sparing and holds_pickle(path):
            raise InvalidArtifactError(
                f"`{name}` is or holds a Python pickle, and those execute code when they are loaded",
                hint="Take it out of the folder: serving needs the model and its own files only.",
            )


def holds_pickle(path: Path) -> bool:
    """Whether the file is a pickle, by its name or its first bytes, or a zip archive with one in it."""
    if promises_pickle(path.name):
        return True
    with local_files(path), path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                return any(promises_pickle(name) for name in archive.namelist())
        except (zipfile.BadZipFile, OSError, ValueError):
            return False
    return looks_like_pickle(head)


def followed(path: Path) -> Path:
    """``path`` with the links resolved that the caller named himself."""
    return Path(os.path.realpath(path)) if path.exists() else path
