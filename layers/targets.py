"""For whom a layer is built: an interpreter version and a machine."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, replace

LAMBDA_PYTHON = "3.13"
"""The Lambda runtime the stacks declare (python3.13)."""

LAMBDA_GLIBC_MINOR = 34
"""Lambda's python3.13 runs on Amazon Linux 2023, which has glibc 2.34."""

_OLDEST_GLIBC_MINOR = 17


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of layer. ``platforms`` is empty when the running interpreter decides."""

    name: str
    python: str
    machine: str
    platforms: tuple[str, ...] = ()
    text: bool = False
    """With the operators of onnxruntime-extensions: tokenisers, and what goes with them."""
    image: bool = False
    """With what reads files of pictures."""

    @property
    def pip_options(self) -> list[str]:
        """What tells pip to choose wheels for this target instead of for its own interpreter."""
        if not self.platforms:
            return []
        options = ["--implementation", "cp", "--python-version", self.python]
        for tag in self.platforms:
            options += ["--platform", tag]
        return options


def running_python() -> str:
    """Name the version of the interpreter that runs this, as in ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def glibc_platforms(machine: str, newest_minor: int = LAMBDA_GLIBC_MINOR) -> tuple[str, ...]:
    """Every wheel tag that a Linux with glibc 2.``newest_minor`` accepts, best first."""
    minors = range(newest_minor, _OLDEST_GLIBC_MINOR - 1, -1)
    return (*(f"manylinux_2_{minor}_{machine}" for minor in minors), f"manylinux2014_{machine}")


def local() -> Target:
    """The layer for the embedded cloud, which runs functions on the interpreter that runs it."""
    return Target("local", running_python(), platform.machine())


def with_text(target: Target) -> Target:
    """The same layer with the text operators."""
    return replace(target, name=f"{target.name}-text", text=True)


def with_image(target: Target) -> Target:
    """The same layer with what reads files of pictures."""
    return replace(target, name=f"{target.name}-image", image=True)


TARGETS = {
    "local": local(),
    "x86_64": Target("x86_64", LAMBDA_PYTHON, "x86_64", glibc_platforms("x86_64")),
    "arm64": Target("arm64", LAMBDA_PYTHON, "aarch64", glibc_platforms("aarch64")),
}
TARGETS |= {
    made.name: made for target in list(TARGETS.values()) for made in (with_text(target), with_image(target))
}
