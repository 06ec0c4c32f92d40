"""A folder that is the same bytes wherever it is built: fixed times and modes, one digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

# The first moment a zip file can name. Whatever zips the layer writes the same times.
_FIXED_TIME = 315_532_800


def files_of(root: Path) -> Iterator[tuple[str, Path]]:
    """Every file below ``root`` with its path inside it, in the byte order of those paths."""
    found = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    named = [(path.relative_to(root).as_posix(), path) for path in found]
    yield from sorted(named, key=lambda pair: pair[0].encode())


def settle(root: Path) -> None:
    """Give every file and folder below ``root`` the same time and plain modes.

    Lambda runs a layer as another user than the one who built it, so everybody may read.
    """
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(folder, name)
            path.chmod(0o755 if ".so" in path.suffixes else 0o644)
            os.utime(path, (_FIXED_TIME, _FIXED_TIME))
        Path(folder).chmod(0o755)
        os.utime(folder, (_FIXED_TIME, _FIXED_TIME))


def digest_of(root: Path) -> str:
    """The sha256 of what ``sha256sum`` prints for every file below ``root``, in path order."""
    listing = hashlib.sha256()
    for name, path in files_of(root):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        listing.update(f"{digest}  {name}\n".encode())
    return listing.hexdigest()


def largest_folders(root: Path, count: int = 8) -> list[tuple[str, int]]:
    """The folders directly below ``root``, and one deeper, that take the most bytes."""
    sizes: dict[str, int] = {}
    for name, path in files_of(root):
        top = "/".join(Path(name).parts[:-1][:2]) or "."
        sizes[top] = sizes.get(top, 0) + path.stat().st_size
    return sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))[:count]
