"""Read what a Linux shared library is made for: machine, libraries it needs, oldest glibc.

And cut off what is not needed to load it. Only as much of the ELF format (64-bit, little-endian) as that asks
for. Source of the constants: the System V ABI and ``elf(5)``.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_MACHINES = {62: "x86_64", 183: "aarch64"}
_PT_LOAD, _PT_DYNAMIC = 1, 2
_SECTIONS_AT, _SECTIONS_COUNT = 40, 60
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5
_GLIBC = re.compile(rb"GLIBC_2\.([0-9]{1,3})(?:\.[0-9]+)?\0")


@dataclass(frozen=True, slots=True)
class Elf:
    """One shared library. ``glibc_minor`` is the n of the newest ``GLIBC_2.n`` it asks for, or 0."""

    machine: str
    needed: tuple[str, ...]
    glibc_minor: int


def read_elf(data: bytes) -> Elf | None:
    """Read the library in ``data``; ``None`` when it is not a 64-bit little-endian ELF file."""
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    (machine,) = struct.unpack_from("<H", data, 18)
    glibc = [int(minor) for minor in _GLIBC.findall(data)]
    return Elf(_MACHINES.get(machine, f"machine {machine}"), _needed(data), max(glibc, default=0))


def without_symbols(data: bytes) -> bytes:
    """The library without what no loader reads: linkers' symbols, debuggers' tables, the index of sections.

    A loader goes by the program headers alone: everything behind the last segment goes, and the header then
    says that there are no sections. Data that is no such library comes back as it is.
    """
    if read_elf(data) is None:
        return data
    ends = [offset + size for kind, offset, _, size in _segments(data) if kind == _PT_LOAD]
    end = max(ends, default=len(data))
    cut = bytearray(data[:end])
    struct.pack_into("<Q", cut, _SECTIONS_AT, 0)
    struct.pack_into("<HH", cut, _SECTIONS_COUNT, 0, 0)
    return bytes(cut)


def _needed(data: bytes) -> tuple[str, ...]:
    segments = _segments(data)
    dynamic = next((entry for entry in segments if entry[0] == _PT_DYNAMIC), None)
    if dynamic is None:
        return ()
    _, start, _, size = dynamic
    entries = [struct.unpack_from("<qQ", data, at) for at in range(start, start + size, 16)]
    entries = entries[: next((i for i, (tag, _) in enumerate(entries) if tag == _DT_NULL), len(entries))]
    strings = next((value for tag, value in entries if tag == _DT_STRTAB), None)
    if strings is None:
        return ()
    table = _file_offset(segments, strings)
    return tuple(_text(data, table + value) for tag, value in entries if tag == _DT_NEEDED)


def _segments(data: bytes) -> list[tuple[int, int, int, int]]:
    """Every program header as (type, offset in the file, address in memory, size in the file)."""
    (table,) = struct.unpack_from("<Q", data, 32)
    step, count = struct.unpack_from("<HH", data, 54)
    found = []
    for at in range(table, table + step * count, step):
        kind, _flags, offset, address, _physical, size = struct.unpack_from("<IIQQQQ", data, at)
        found.append((kind, offset, address, size))
    return found


def _file_offset(segments: list[tuple[int, int, int, int]], address: int) -> int:
    for kind, offset, start, size in segments:
        if kind == _PT_LOAD and start <= address < start + size:
            return offset + address - start
    return address


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode("utf-8", "replace")
