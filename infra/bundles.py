"""Stage the code of a function: the named packages and nothing else, the same sources on every machine.

Beside the sources lies their bytecode, where an interpreter of the function's Python is at hand. The digest
names the sources and that Python, so it does not depend on who had one.

A bundle stands at ``build/bundles/<name>/<digest>``, so two synths at once never write one folder, and a
crash leaves no half bundle: the folder appears by a rename, whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.bytecode import compile_for
from infra.errors import PreflightError

INFERENCE = (
    "functions/__init__.py",
    "functions/protocol",
    "functions/inference",
    "model_store/__init__.py",
    "model_store/contract",
)
GATEWAY = (*INFERENCE, "functions/gateway")
ENDPOINT = (
    "functions/__init__.py",
    "functions/protocol",
    "functions/inference",
    "functions/endpoint",
    "model_store/__init__.py",
    "model_store/contract",
)
"""What the Dockerfile of the endpoint copies, and the Dockerfile."""
FRONT = (
    "functions/__init__.py",
    "functions/front",
    "model_store/__init__.py",
    "model_store/contract",
)
AUTHORIZER = (
    "functions/__init__.py",
    "functions/authorizer",
    "model_store/__init__.py",
    "model_store/contract",
)
MESSENGER = (
    "functions/__init__.py",
    "functions/messenger",
    "model_store/__init__.py",
    "model_store/contract",
)
OPERATIONS = ("functions/__init__.py", "functions/operations", "releases", "model_store")
TRAINING = ("training", "drift", "model_store", "requirements-train.txt", "constraints.txt")
MONITOR = ("functions/__init__.py", "functions/monitor", "drift", "model_store")
MARKS = ("functions/__init__.py", "functions/marks", "dashboards", "releases", "model_store")

_LEFT_OUT = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder as AWS will see it: where it is, what it holds, how much it weighs."""

    path: Path
    digest: str
    bytes_by_folder: dict[str, int]

    @property
    def unzipped_bytes(self) -> int:
        return sum(self.bytes_by_folder.values())


def stage_bundle(
    name: str,
    packages: tuple[str, ...],
    *,
    root: Path,
    handler: str,
    python: str | None = None,
    beside: Mapping[str, Path] | None = None,
) -> Tree:
    """Return the bundle ``name`` made of ``packages`` below ``root``; ``handler`` must be in it.

    With ``python``, a version, it is compiled for that. ``beside`` are folders of any files, by the name
    that they get in the bundle. Staging again with unchanged files does nothing.
    """
    files = dict(_files_of_packages(packages, root))
    for folder, source in (beside or {}).items():
        files |= {f"{folder}/{relative}": path for relative, path in _files_below(source, source)}
    _must_hold(handler, files, name)
    home = root / "build" / "bundles" / name
    digest = _digest(files, f"python {python}\n" if python else "")
    bundle = home / digest[:16]
    if not bundle.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=home, prefix=".new-"))
        for relative, source in files.items():
            _copy(source, unfinished / relative)
        if python and not compile_for(python, unfinished):
            sys.stderr.write(
                f"no python{python} is here: the bundle `{name}` carries no bytecode and starts slower\n"
            )
        try:
            unfinished.chmod(0o755)
            unfinished.rename(bundle)
        except OSError:  # another synth staged the same bytes first
            shutil.rmtree(unfinished)
            if not bundle.is_dir():
                raise
    return Tree(bundle, digest, _weigh(dict(_files_below(bundle, bundle, left_out=frozenset()))))


def measure(path: Path) -> Tree:
    """Describe a folder that somebody else built."""
    files = dict(_files_below(path, path))
    return Tree(path, _digest(files), _weigh(files))


def _files_of_packages(packages: tuple[str, ...], root: Path) -> Iterator[tuple[str, Path]]:
    for package in packages:
        source = root / package
        if source.is_file():
            yield package, source
        elif source.is_dir() and any(source.rglob("*.py")):
            yield from _files_below(source, root)
        else:
            raise PreflightError(
                f"the code of a function is missing: there is nothing at `{source}`",
                hint=f"Restore `{package}` from the repository.",
            )


def _files_below(
    folder: Path, root: Path, *, left_out: frozenset[str] = _LEFT_OUT
) -> Iterator[tuple[str, Path]]:
    for here, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in left_out)
        for name in sorted(names):
            path = Path(here, name)
            yield path.relative_to(root).as_posix(), path


def _must_hold(handler: str, files: dict[str, Path], name: str) -> None:
    module = handler.rsplit(".", 1)[0].replace(".", "/") + ".py"
    if module not in files:
        raise PreflightError(
            f"the bundle `{name}` does not hold `{module}`, which its handler `{handler}` names",
            hint=f"Restore `{module}` from the repository.",
        )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    # Lambda runs the code as another user than the one whose umask made the checkout.
    target.chmod(0o644)


def _digest(files: dict[str, Path], beside: str = "") -> str:
    listing = hashlib.sha256(beside.encode())
    for relative in sorted(files):
        with files[relative].open("rb") as stream:
            listing.update(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {relative}\n".encode())
    return listing.hexdigest()


def _weigh(files: dict[str, Path]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for relative, path in files.items():
        folder = "/".join(relative.split("/")[:-1][:2]) or "."
        sizes[folder] = sizes.get(folder, 0) + path.stat().st_size
    return sizes
