"""``infra.bytecode``: what Lambda runs is compiled, for the Python it runs on."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from infra.bytecode import compile_for, find_interpreter

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "words.py").write_text("WORDS = {'a', 'b', 'c'}\n")
    return tmp_path


def compiled(folder: Path) -> Path:
    (found,) = (folder / "room" / "__pycache__").glob("words.*.pyc")
    return found


def test_every_module_gets_bytecode_that_no_time_can_spoil(folder: Path) -> None:
    assert compile_for(HERE, folder)
    data = compiled(folder).read_bytes()
    assert int.from_bytes(data[4:8], "little") == 0b01  # PEP 552: hash-based, source never checked
    assert stat.S_IMODE(compiled(folder).stat().st_mode) == 0o644


def test_the_same_source_gives_the_same_bytecode_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    compile_for(HERE, folder)
    first = compiled(folder).read_bytes()
    compiled(folder).unlink()
    elsewhere = folder.rename(tmp_path.with_name(tmp_path.name + "-elsewhere"))
    compile_for(HERE, elsewhere)
    assert compiled(elsewhere).read_bytes() == first


def test_without_such_a_python_nothing_is_compiled(folder: Path) -> None:
    assert not compile_for("2.7", folder)
    assert not list(folder.rglob("*.pyc"))


def test_a_name_on_the_path_that_is_another_python_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    liar = tmp_path / "python3.99"
    liar.write_text("#!/bin/sh\necho 3.1\n")
    liar.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert find_interpreter("3.99") is None
    liar.write_text("#!/bin/sh\necho 3.99\n")
    assert find_interpreter("3.99") == str(liar)
