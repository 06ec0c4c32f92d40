"""Reading what a library is made for, from its bytes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from layers.elf import read_elf, without_symbols


@pytest.mark.parametrize(("number", "name"), [(62, "x86_64"), (183, "aarch64"), (243, "machine 243")])
def test_the_machine_is_named(make_elf: Callable[..., bytes], number: int, name: str) -> None:
    library = read_elf(make_elf(machine=number))
    assert library is not None
    assert library.machine == name


def test_the_libraries_it_needs_are_listed_up_to_the_end_of_the_section(
    make_elf: Callable[..., bytes],
) -> None:
    library = read_elf(make_elf(needed=("libm.so.6", "libonnxruntime.so.1")))
    assert library is not None
    assert library.needed == ("libm.so.6", "libonnxruntime.so.1")


@pytest.mark.parametrize(("asked", "minor"), [("2.17", 17), ("2.2.5", 2), ("2.34", 34)])
def test_the_oldest_glibc_that_will_do_is_read(
    make_elf: Callable[..., bytes], asked: str, minor: int
) -> None:
    library = read_elf(make_elf(glibc=asked))
    assert library is not None
    assert library.glibc_minor == minor


def test_what_lies_behind_the_last_segment_is_cut_off_and_no_section_promised(
    make_elf: Callable[..., bytes],
) -> None:
    library = make_elf(needed=("libm.so.6",))
    cut = without_symbols(library + b"symbols" * 100)
    assert len(cut) <= len(library)
    assert read_elf(cut) == read_elf(library)
    assert cut[40:48] == bytes(8)
    assert cut[60:64] == bytes(4)
    assert without_symbols(cut) == cut


def test_what_is_no_library_is_not_cut() -> None:
    assert without_symbols(b"PK\x03\x04 and more") == b"PK\x03\x04 and more"


@pytest.mark.skipif(sys.platform != "linux", reason="ELF is Linux's format")
def test_a_library_without_its_symbols_loads_and_throws_as_before(tmp_path: Path) -> None:
    import csimdjson

    (tmp_path / "csimdjson.so").write_bytes(without_symbols(Path(csimdjson.__file__).read_bytes()))
    program = (
        "import csimdjson as c; print(c.Parser().parse(b'[1.5]').as_list(), c.__file__)\n"
        "try: c.Parser().parse(b'[')\nexcept ValueError: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout == f"[1.5] {tmp_path / 'csimdjson.so'}\nrefused\n", done.stderr


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF\x01\x01" + bytes(64), b"PK\x03\x04" + bytes(64)])
def test_anything_else_is_no_library(data: bytes) -> None:
    assert read_elf(data) is None


@pytest.mark.skipif(sys.platform != "linux", reason="ELF is Linux's format")
def test_a_real_library_is_read() -> None:
    import _ctypes

    library = read_elf(Path(_ctypes.__file__).read_bytes())
    assert library is not None
    assert any(name.startswith("libc.so") for name in library.needed)
    assert library.glibc_minor > 0
