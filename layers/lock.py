"""Renew ``runtime.txt``: every package of the layer, with the sha256 of every wheel a target may need.

``python -m layers.lock`` resolves ``runtime.in`` for each interpreter and machine the project runs on, and
``runtime-text.in``, ``runtime-image.in`` and ``runtime-floats.in`` for those that have their wheels, and
writes one file of each. It refuses when the targets do not agree on a version: one layer, one set of
versions, whatever machine builds it. Nothing is installed; a failure leaves the files alone.

The endpoint's container is locked the same way, what every image has and what one for processors has besides.
Its lists name every package already, so nothing is resolved for them but the bytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from layers.facts import LayerError
from layers.targets import Target, glibc_platforms

ROOM = Path(__file__).parent
WANTED = ROOM / "runtime.in"
LOCK = ROOM / "runtime.txt"
TEXT_WANTED = ROOM / "runtime-text.in"
TEXT_LOCK = ROOM / "runtime-text.txt"

PYTHONS = ("3.11", "3.12", "3.13", "3.14")

TEXT_PYTHONS = ("3.11", "3.12", "3.13")
"""onnxruntime-extensions has no wheel for a later one yet."""

IMAGE_WANTED = ROOM / "runtime-image.in"
IMAGE_LOCK = ROOM / "runtime-image.txt"

FLOATS_WANTED = ROOM / "runtime-floats.in"
FLOATS_LOCK = ROOM / "runtime-floats.txt"
FLOATS_PYTHONS = ("3.11", "3.12", "3.13")
"""Nor has pysimdjson."""

# macOS from 14 on: onnxruntime has no wheel for an older one. Some wheels are for both of its processors.
_PLATFORMS = {
    "x86_64": glibc_platforms("x86_64"),
    "aarch64": glibc_platforms("aarch64"),
    "macos-arm64": (
        *(f"macosx_{major}_0_arm64" for major in (14, 13, 12, 11)),
        *(f"macosx_10_{minor}_universal2" for minor in (13, 9)),
    ),
}

ENDPOINT = ROOM.parent / "functions" / "endpoint"
CONTAINER = {
    ENDPOINT / "requirements.txt": ENDPOINT / "locked.txt",
    ENDPOINT / "requirements-cpu.txt": ENDPOINT / "locked-cpu.txt",
}
CONTAINER_PYTHON = "3.12"
"""The interpreter of the Dockerfile."""

_BOOKWORM_GLIBC_MINOR = 36

_CONTAINER_HEADER = """\
# Written by `python -m layers.lock` from {source}: do not edit.
# Every package of that file, and the sha256 of each wheel that CPython {python} chooses on x86_64, aarch64.
"""

_HEADER = """\
# Written by `python -m layers.lock` from {source}: do not edit.
# Every package of the runtime layer, and the sha256 of each wheel that CPython {pythons}
# on {platforms} may choose.
"""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file that pip chose for one target."""

    name: str
    version: str
    file: str
    sha256: str


def read_wanted(text: str) -> tuple[list[str], set[str]]:
    """Split ``runtime.in`` into requirements and the names that are left out (``!name``)."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    wanted = [line for line in lines if not line.startswith("!")]
    return wanted, {line[1:].strip() for line in lines if line.startswith("!")}


def wheels_in(report: str) -> list[Wheel]:
    """Read pip's installation report: what it would install, and from which bytes."""
    wheels = []
    for item in json.loads(report)["install"]:
        source = item["download_info"]
        wheels.append(
            Wheel(
                name=item["metadata"]["name"].lower().replace("_", "-"),
                version=item["metadata"]["version"],
                file=unquote(PurePosixPath(urlsplit(source["url"]).path).name),
                sha256=source["archive_info"]["hashes"]["sha256"],
            )
        )
    return wheels


def lock_text(
    wheels: Iterable[Wheel],
    source: str = WANTED.name,
    pythons: tuple[str, ...] = PYTHONS,
    header: str | None = None,
) -> str:
    """Write the pins, sorted, one requirement with all its hashes, below ``header``.

    Raises ``LayerError`` when two targets resolved the same package to different versions.
    """
    found: dict[str, dict[str, set[Wheel]]] = {}
    for wheel in wheels:
        found.setdefault(wheel.name, {}).setdefault(wheel.version, set()).add(wheel)
    span = " to ".join((pythons[0], pythons[-1]))
    text = header or _HEADER.format(source=source, pythons=span, platforms=", ".join(_PLATFORMS))
    for name, versions in sorted(found.items()):
        if len(versions) > 1:
            raise LayerError(
                f"targets disagree on `{name}`: {', '.join(sorted(versions))}",
                hint=f"Pin `{name}` in {source} to a version that has a wheel for every target.",
            )
        ((version, files),) = versions.items()
        text += "\n" + "".join(f"# {file}\n" for file in sorted({wheel.file for wheel in files}))
        hashes = sorted({wheel.sha256 for wheel in files})
        text += (
            f"{name}=={version} " + " ".join(f"\\\n    --hash=sha256:{digest}" for digest in hashes) + "\n"
        )
    return text


def _targets(pythons: tuple[str, ...]) -> Iterator[Target]:
    for python in pythons:
        for name, platforms in _PLATFORMS.items():
            yield Target(f"cp{python} {name}", python, name, platforms)


def _resolve(target: Target, wanted: list[str], *more: str) -> list[Wheel]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        command += ["--only-binary=:all:", "--target", folder, "--report", str(report)]
        done = subprocess.run(
            [*command, *more, *target.pip_options, *wanted], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise LayerError(f"pip finds no wheels for {target.name}: {done.stderr.strip()[-600:]}")
        return wheels_in(report.read_text("utf-8"))


def main() -> int:
    """Write all files, or none."""
    try:
        texts = {
            LOCK: _locked(WANTED, PYTHONS),
            TEXT_LOCK: _locked(TEXT_WANTED, TEXT_PYTHONS),
            IMAGE_LOCK: _locked(IMAGE_WANTED, PYTHONS),
            FLOATS_LOCK: _locked(FLOATS_WANTED, FLOATS_PYTHONS),
            **{lock: container_locked(source) for source, lock in CONTAINER.items()},
        }
    except LayerError as error:
        sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return 1
    for lock, text in texts.items():
        lock.write_text(text, "utf-8")
        sys.stderr.write(f"{lock.name}: {text.count('==')} packages\n")
    return 0


def _locked(source: Path, pythons: tuple[str, ...]) -> str:
    wanted, left_out = read_wanted(source.read_text("utf-8"))
    wheels: list[Wheel] = []
    for target in _targets(pythons):
        sys.stderr.write(f"resolving {source.name} for {target.name}\n")
        wheels += [wheel for wheel in _resolve(target, wanted) if wheel.name not in left_out]
    return lock_text(wheels, source.name, pythons)


def container_locked(source: Path) -> str:
    """The packages of one list of the container, with their bytes for both processors."""
    wanted, _ = read_wanted(source.read_text("utf-8"))
    wheels: list[Wheel] = []
    for machine in ("x86_64", "aarch64"):
        sys.stderr.write(f"resolving {source.name} of the container for {machine}\n")
        platforms = glibc_platforms(machine, _BOOKWORM_GLIBC_MINOR)
        target = Target(f"container {machine}", CONTAINER_PYTHON, machine, platforms)
        wheels += _resolve(target, wanted, "--no-deps")
    header = _CONTAINER_HEADER.format(source=source.name, python=CONTAINER_PYTHON)
    return lock_text(wheels, source.name, header=header)


if __name__ == "__main__":
    sys.exit(main())
