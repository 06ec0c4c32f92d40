"""Cut a layer down to what a function can reach.

Every rule has its reason beside it. What a rule removes must never be imported by numpy, onnxruntime,
FastAPI, Mangum, pydantic or orjson while they serve: ``layers.check`` runs them after each build.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from layers.elf import read_elf, without_symbols

_FOLDERS = (
    "bin",  # console scripts: nobody has a console in Lambda
    "numpy/f2py",  # a Fortran compiler front end
    "numpy/distutils",
    "numpy/testing",
    "numpy/_pyinstaller",
    "numpy/_core/include",  # C headers
    "numpy/_core/lib",  # static libraries to link against
    "numpy/random/lib",
    "numpy/random/_examples",
    "onnxruntime/transformers",  # conversion and optimisation tools: they run at publish, elsewhere
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/datasets",
    "onnxruntime/backend",  # needs the onnx package, which the layer does not carry
    "pydantic/v1",  # the old API, of which FastAPI asks nothing
    "fastapi/.agents",
    "onnxruntime_extensions/onnxprocess",  # of this package the library alone is used
    "onnxruntime_extensions/pnp",
    "onnxruntime_extensions/tools",
)

_FOLDER_NAMES = frozenset({"tests", "test", "__pycache__"})

_FILES = (
    "numpy/conftest.py",
    "numpy/_core/_simd*.so",  # probes of numpy's own tests
    "numpy/_core/_*_tests*.so",
    "anyio/pytest_plugin.py",
    "pydantic/mypy.py",
    "onnxruntime/capi/convert_npz_to_onnx_adapter.py",
    "onnxruntime_extensions/*.py",  # it would import onnx; nobody imports it
)

_PILLOW = frozenset(
    {
        *("__init__", "_binary", "_deprecate", "_imaging", "_util", "_version"),
        *("Image", "ImageFile", "ImageMode", "JpegImagePlugin", "JpegPresets", "PngImagePlugin"),
        *("ImageChops", "ImageColor", "ImagePalette", "ImageSequence"),  # the PNG plugin's
        *("GimpGradientFile", "GimpPaletteFile", "PaletteFile"),  # and its palettes'
        *("ExifTags", "ImageOps", "TiffImagePlugin", "TiffTags"),  # EXIF is read as a TIFF
    }
)
"""Of Pillow what reads JPEG and PNG: other formats, fonts, colour management, screens and windows are not."""

_SUFFIXES = frozenset({".pyi", ".pxd", ".pyx", ".h", ".hpp", ".c", ".cpp", ".a", ".pyc"})

_WORTH_CUTTING = 1_000_000
"""Bytes of symbols for debuggers. pysimdjson ships seven million of them around half a million of code."""

# importlib.metadata needs METADATA (onnxruntime, fastapi ask for versions) and entry_points.txt
# (opentelemetry finds its context there, and FastAPI imports opentelemetry); licences travel with
# what they license. The rest says how pip came by the package, and differs between machines.
_METADATA_FILES = frozenset({"METADATA", "entry_points.txt"})
_LICENCES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS")


def prune(root: Path) -> int:
    """Remove from ``root`` what no function reaches; return how many bytes that was.

    Safe to repeat: a second time finds nothing.
    """
    before = size_of(root)
    for name in _FOLDERS:
        shutil.rmtree(root / name, ignore_errors=True)
    for pattern in _FILES:
        for path in root.glob(pattern):
            path.unlink()
    for folder, names, files in os.walk(root):
        for name in [name for name in names if name in _FOLDER_NAMES]:
            shutil.rmtree(Path(folder, name))
            names.remove(name)
        for name in files:
            if Path(name).suffix in _SUFFIXES:
                Path(folder, name).unlink()
    for metadata in root.glob("*.dist-info"):
        _prune_metadata(metadata)
    for library in unneeded_copies(root):
        library.unlink()
    _prune_pillow(root)
    _cut_symbols(root)
    return before - size_of(root)


def size_of(root: Path) -> int:
    """The bytes Lambda counts: the sum of all files, unzipped."""
    return sum(Path(folder, name).stat().st_size for folder, _, names in os.walk(root) for name in names)


def _cut_symbols(root: Path) -> None:
    for path in root.rglob("*.so"):
        if path.stat().st_size > _WORTH_CUTTING:
            whole = path.read_bytes()
            cut = without_symbols(whole)
            if len(whole) - len(cut) > _WORTH_CUTTING:
                path.write_bytes(cut)


def _prune_pillow(root: Path) -> None:
    """Leave ``_PILLOW``, and of the libraries that come with it those that these load."""
    for path in (root / "PIL").glob("*"):
        if path.is_file() and path.name.partition(".")[0] not in _PILLOW:
            path.unlink()
    needed: set[str] = set()
    waiting = list((root / "PIL").glob("*.so"))
    while waiting:
        library = read_elf(waiting.pop().read_bytes())
        for name in set(library.needed if library else ()) - needed:
            needed.add(name)
            waiting.extend((root / "pillow.libs").glob(name))
    for path in (root / "pillow.libs").glob("*"):
        if path.name not in needed:
            path.unlink()


def unneeded_copies(root: Path) -> list[Path]:
    """Find the copies of onnxruntime's engine that its Python extension does not load.

    The wheel holds the engine twice (28 MB each): inside the extension module, and as
    ``libonnxruntime.so.*`` for C programs. A build of onnxruntime that links the extension to the
    library keeps both.
    """
    folder = root / "onnxruntime" / "capi"
    needed: set[str] = set()
    for module in folder.glob("onnxruntime_pybind11_state*.so"):
        library = read_elf(module.read_bytes())
        if library is None:
            return []
        needed.update(library.needed)
    if not needed:
        return []
    return [path for path in folder.glob("libonnxruntime.so*") if not _provides(path, needed)]


def _provides(path: Path, needed: set[str]) -> bool:
    return any(path.name == name or path.name.startswith(name + ".") for name in needed)


def _prune_metadata(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif not _stays(path, folder):
            path.unlink()


def _stays(path: Path, folder: Path) -> bool:
    is_licence = path.name.upper().startswith(_LICENCES) or "licenses" in path.relative_to(folder).parts
    return is_licence or path.name in _METADATA_FILES
