"""``model_store.contract.extensions``: who needs the library, and where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_store.contract.extensions import DOMAIN, PACKAGE, find_library, needs_extensions


@pytest.mark.parametrize(
    ("operators", "needed"),
    [("", False), (DOMAIN, True), (f"other, {DOMAIN}", True), ("ai.onnx.contribX", False)],
)
def test_the_lineage_says_whether_a_version_needs_it(operators: str, needed: bool) -> None:
    assert needs_extensions({"operators": operators}) is needed
    assert not needs_extensions({})


def test_it_is_looked_for_along_the_import_path_and_never_imported(tmp_path: Path) -> None:
    """Law 12: the package would run code of its own."""
    package = tmp_path / "second" / PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit\n")
    places = [str(tmp_path / "first"), str(tmp_path / "second")]
    assert find_library(places) is None
    for name in ("_extensions_pydll.pyi", "_extensions_pydll.cpython-313-x86_64-linux-gnu.so"):
        (package / name).write_text("")
    assert find_library(places) == str(package / "_extensions_pydll.cpython-313-x86_64-linux-gnu.so")
