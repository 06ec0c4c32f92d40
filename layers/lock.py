"""Renew ``runtime.txt``: every package of the layer, with the sha256 of every wheel a target may need.

``python -m layers.lock`` resolves ``runtime.in`` for each interpreter and machine the project runs on
and writes one file. It refuses when the targets do not agree on a version: one layer, one set of
versions, whatever machine builds it. Nothing is installed; a failure leaves ``runtime.txt`` alone.
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

PYTHONS = ("3.11", "3.12", "3.13", "3.14")

# macOS from 14 on: onnxruntime has no wheel for an older one.
_PLATFORMS = {
    "x86_64": glibc_platforms("x86_64"),
    "aarch64": glibc_platforms("aarch64"),
    "macos-arm64": tuple(f"macosx_{major}_0_arm64" for major in (14, 13, 12, 11)),
}

_HEADER = """\
# Written by `python -m layers.lock` from runtime.in: do not edit.
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


def lock_text(wheels: Iterable[Wheel]) -> str:
    """Write the pins, sorted, one requirement with all its hashes.

    Raises ``LayerError`` when two targets resolved the same package to different versions.
    """
    found: dict[str, dict[str, set[Wheel]]] = {}
    for wheel in wheels:
        found.setdefault(wheel.name, {}).setdefault(wheel.version, set()).add(wheel)
    text = _HEADER.format(pythons=" to ".join((PYTHONS[0], PYTHONS[-1])), platforms=", ".join(_PLATFORMS))
    for name, versions in sorted(found.items()):
        if len(versions) > 1:
            raise LayerError(
                f"targets disagree on `{name}`: {', '.join(sorted(versions))}",
                hint=f"Pin `{name}` in runtime.in to a version that has a wheel for every target.",
            )
        ((version, files),) = versions.items()
        text += "\n" + "".join(f"# {file}\n" for file in sorted({wheel.file for wheel in files}))
        hashes = sorted({wheel.sha256 for wheel in files})
        text += (
            f"{name}=={version} " + " ".join(f"\\\n    --hash=sha256:{digest}" for digest in hashes) + "\n"
        )
    return text


def _targets() -> Iterator[Target]:
    for python in PYTHONS:
        for name, platforms in _PLATFORMS.items():
            yield Target(f"cp{python} {name}", python, name, platforms)


def _resolve(target: Target, wanted: list[str]) -> list[Wheel]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        command += ["--only-binary=:all:", "--target", folder, "--report", str(report)]
        done = subprocess.run(
            [*command, *target.pip_options, *wanted], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise LayerError(f"pip finds no wheels for {target.name}: {done.stderr.strip()[-600:]}")
        return wheels_in(report.read_text("utf-8"))


def main() -> int:
    """Write ``runtime.txt`` and say what changed nothing but that."""
    wanted, left_out = read_wanted(WANTED.read_text("utf-8"))
    wheels: list[Wheel] = []
    try:
        for target in _targets():
            sys.stderr.write(f"resolving for {target.name}\n")
            wheels += [wheel for wheel in _resolve(target, wanted) if wheel.name not in left_out]
        text = lock_text(wheels)
    except LayerError as error:
        sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return 1
    LOCK.write_text(text, "utf-8")
    sys.stderr.write(f"{LOCK.name}: {len({wheel.name for wheel in wheels})} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
