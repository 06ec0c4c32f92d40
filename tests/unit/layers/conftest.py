"""What the tests of the layers share: libraries and wheels made by hand, and the real local layer."""

import base64
import hashlib
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from layers.build import Built, build
from layers.targets import local

MakeElf = Callable[..., bytes]
MakeWheel = Callable[..., Path]

_BASE = 0x400000


@pytest.fixture
def make_elf() -> MakeElf:
    """Write a shared library by the System V ABI: two program headers, one dynamic section."""

    def make(machine: int = 62, needed: tuple[str, ...] = (), glibc: str = "2.17") -> bytes:
        strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed) + f"GLIBC_{glibc}\0".encode()
        offset, places = 1, []
        for name in needed:
            places.append(offset)
            offset += len(name) + 1
        at_strings = 64 + 2 * 56
        at_dynamic = at_strings + len(strings)
        entries = [(1, place) for place in places] + [(5, _BASE + at_strings), (0, 0), (1, 999)]
        dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
        size = at_dynamic + len(dynamic)
        header = b"\x7fELF\x02\x01\x01" + bytes(9)
        header += struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        load = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 4096)
        segment = struct.pack(
            "<IIQQQQQQ", 2, 6, at_dynamic, _BASE + at_dynamic, 0, len(dynamic), len(dynamic), 8
        )
        return header + load + segment + strings + dynamic

    return make


@pytest.fixture
def make_lock(tmp_path: Path) -> MakeWheel:
    """Write a wheel that holds one small module, and a lock that pins it without any index."""

    def make(*, sha256: str | None = None) -> Path:
        wheel = tmp_path / "wheels" / "tiny-1.0-py3-none-any.whl"
        wheel.parent.mkdir(exist_ok=True)
        files = {
            "tiny/__init__.py": b"ANSWER = 42\n",
            "tiny-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
            "tiny-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{name},sha256={_record(data)},{len(data)}\n" for name, data in files.items())
        files["tiny-1.0.dist-info/RECORD"] = (record + "tiny-1.0.dist-info/RECORD,,\n").encode()
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        digest = sha256 or hashlib.sha256(wheel.read_bytes()).hexdigest()
        lock = tmp_path / "lock.txt"
        lock.write_text(f"--no-index\n--find-links {wheel.parent}\ntiny==1.0 --hash=sha256:{digest}\n")
        return lock

    return make


def _record(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="session")
def local_layer() -> Built:
    """The real layer, where the demo and the embedded cloud look for it; built once, then cached."""
    return build(local(), Path(__file__).parents[3] / "build" / "layers" / "local")
