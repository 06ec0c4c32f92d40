"""Refusing a layer that its target could not load."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from layers.build import Built
from layers.check import find_interpreter, inspect, serve
from layers.facts import LayerError
from layers.targets import TARGETS, running_python


def test_a_library_for_the_target_is_accepted(make_elf: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "a.cpython-313-x86_64-linux-gnu.so").write_bytes(make_elf(glibc="2.34"))
    (tmp_path / "b.abi3.so").write_bytes(make_elf())
    (tmp_path / "notes.txt").write_text("GLIBC_2.99")
    inspect(tmp_path, TARGETS["x86_64"])


def test_a_library_for_another_machine_is_refused(make_elf: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "libx.so.1").write_bytes(make_elf(machine=183))
    with pytest.raises(LayerError, match=r"`libx\.so\.1` is for aarch64, the layer for x86_64"):
        inspect(tmp_path, TARGETS["x86_64"])


def test_a_library_for_another_python_is_refused(make_elf: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "a.cpython-311-x86_64-linux-gnu.so").write_bytes(make_elf())
    with pytest.raises(LayerError, match=r"is for another Python than 3\.13"):
        inspect(tmp_path, TARGETS["x86_64"])


def test_a_library_newer_than_lambda_is_refused(make_elf: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "libx.so").write_bytes(make_elf(glibc="2.35"))
    with pytest.raises(LayerError, match=r"`libx\.so` needs glibc 2\.35, Lambda has 2\.34"):
        inspect(tmp_path, TARGETS["x86_64"])


def test_the_layer_serves_with_nothing_but_itself(local_layer: Built) -> None:
    serve(local_layer.folder / "python", sys.executable)


def test_a_layer_that_lacks_a_file_cannot_serve(local_layer: Built, tmp_path: Path) -> None:
    """The check must see what pruning took away, even where this very interpreter has it installed."""
    for path in (local_layer.folder / "python").iterdir():
        if path.name != "mangum":
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(LayerError, match="No module named 'mangum'") as caught:
        serve(tmp_path, sys.executable)
    assert caught.value.hint is not None
    assert "layers/prune.py" in caught.value.hint


def test_the_running_interpreter_is_found_without_looking() -> None:
    assert find_interpreter(running_python()) == sys.executable


def test_a_shim_that_names_a_version_without_having_it_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert find_interpreter("3.99") is None
    shim.write_text("#!/bin/sh\necho 3.99\n")
    assert find_interpreter("3.99") == str(shim)


def test_an_interpreter_nobody_has_is_not_found() -> None:
    assert find_interpreter("3.98") is None
