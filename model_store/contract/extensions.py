"""Operators that onnxruntime itself does not have: tokenisers and the like, in a library of their own.

A graph that uses them imports the operator set ``ai.onnx.contrib``. Whoever opens one registers the library
of onnxruntime-extensions first; its Python package is never imported. The library holds operators and no way
to run Python from a graph (law 12: a test looks).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

DOMAIN = "ai.onnx.contrib"

FATAL_DOMAIN = "com.microsoft.extensions"
"""The library's other operator set: its ``DecodeImage`` calls libjpeg, whose errors call ``exit``."""

OPERATORS = "operators"
"""In the lineage of a version: the operator sets beyond ONNX's own that its graphs use."""

PACKAGE = "onnxruntime_extensions"
_LIBRARY = "_extensions_pydll"

HINT = 'Set `runtime = "text"` for the model in the catalog, deploy, and release again.'


def needs_extensions(lineage: Mapping[str, str]) -> bool:
    """Whether a version of this lineage runs with the library only."""
    return DOMAIN in lineage.get(OPERATORS, "").split(", ")


def find_library(places: Iterable[str]) -> str | None:
    """The library in the first of ``places`` (folders of Python's import path) that has it.

    Looked for, not imported: the package asks for more than a layer carries.
    """
    for place in places:
        for library in sorted((Path(place) / PACKAGE).glob(f"{_LIBRARY}*")):
            if library.suffix in (".so", ".pyd", ".dylib"):
                return str(library)
    return None
