"""What a layer loses, and what it must keep."""

from collections.abc import Callable
from pathlib import Path

import pytest

from layers.prune import prune, size_of, unneeded_copies


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def put(name: str, data: bytes = b"x" * 10) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return put


@pytest.mark.parametrize(
    "name",
    [
        "bin/fastapi",
        "numpy/f2py/crackfortran.py",
        "numpy/_core/tests/test_dtype.py",
        "numpy/__init__.pyi",
        "numpy/_core/include/numpy/arrayobject.h",
        "numpy/_core/_simd.cpython-313-x86_64-linux-gnu.so",
        "numpy/_core/_umath_tests.cpython-313-x86_64-linux-gnu.so",
        "onnxruntime/transformers/optimizer.py",
        "onnxruntime/quantization/quantize.py",
        "pydantic/v1/main.py",
        "numpy-2.4.6.dist-info/RECORD",
        "numpy-2.4.6.dist-info/direct_url.json",
        "PIL/GifImagePlugin.py",
        "PIL/_avif.cpython-313-x86_64-linux-gnu.so",
        "pillow.libs/libavif-c6062d5f.so.16.4.2",
        "fastapi/__pycache__/app.cpython-311.pyc",
    ],
)
def test_what_no_function_reaches_is_cut(write: Callable[..., Path], tmp_path: Path, name: str) -> None:
    path = write(name)
    assert prune(tmp_path) == 10
    assert not path.exists()


@pytest.mark.parametrize(
    "name",
    [
        "numpy/_core/_multiarray_umath.cpython-313-x86_64-linux-gnu.so",
        "numpy/_pytesttester.py",
        "numpy.libs/libscipy_openblas64_.so",
        "onnxruntime/capi/_pybind_state.py",
        "fastapi/testclient.py",
        "opentelemetry_api-1.45.2.dist-info/entry_points.txt",
        "numpy-2.4.6.dist-info/METADATA",
        "numpy-2.4.6.dist-info/licenses/numpy/random/LICENSE.md",
        "mangum-0.22.0.dist-info/LICENSE",
        "PIL/PngImagePlugin.py",
        "PIL/_imaging.cpython-313-x86_64-linux-gnu.so",
        "pillow-13.0.0.dist-info/licenses/LICENSE",
    ],
)
def test_what_serving_needs_stays(write: Callable[..., Path], tmp_path: Path, name: str) -> None:
    path = write(name)
    assert prune(tmp_path) == 0
    assert path.exists()


def test_pruning_again_finds_nothing(write: Callable[..., Path], tmp_path: Path) -> None:
    write("numpy/tests/a.py")
    write("numpy/b.py")
    assert prune(tmp_path) == 10
    assert prune(tmp_path) == 0
    assert size_of(tmp_path) == 10


def test_the_engine_that_nothing_loads_is_an_unneeded_copy(
    write: Callable[..., Path], make_elf: Callable[..., bytes], tmp_path: Path
) -> None:
    write("onnxruntime/capi/onnxruntime_pybind11_state.cpython-313.so", make_elf(needed=("libm.so.6",)))
    copy = write("onnxruntime/capi/libonnxruntime.so.1.31.1")
    providers = write("onnxruntime/capi/libonnxruntime_providers_shared.so")
    assert unneeded_copies(tmp_path) == [copy]
    prune(tmp_path)
    assert providers.exists()


def test_of_pillow_s_libraries_those_stay_that_are_loaded_also_by_each_other(
    write: Callable[..., Path], make_elf: Callable[..., bytes], tmp_path: Path
) -> None:
    write("PIL/_imaging.cpython-313.so", make_elf(needed=("libtiff-1.so.6", "libc.so.6")))
    write("PIL/_webp.cpython-313.so", make_elf(needed=("libwebp-1.so.7",)))
    kept = [
        write("pillow.libs/libtiff-1.so.6", make_elf(needed=("libjpeg-1.so.62",))),
        write("pillow.libs/libjpeg-1.so.62", make_elf(needed=("libtiff-1.so.6",))),
    ]
    write("pillow.libs/libwebp-1.so.7", make_elf(needed=()))
    prune(tmp_path)
    assert sorted((tmp_path / "pillow.libs").iterdir()) == sorted(kept)


@pytest.fixture
def library(make_elf: Callable[..., bytes]) -> bytes:
    return make_elf(needed=("libc.so.6",))


def test_symbols_are_cut_where_they_are_most_of_a_library_and_left_where_they_are_few(
    write: Callable[..., Path], tmp_path: Path, library: bytes
) -> None:
    heavy = write("csimdjson.abi3.so", library + bytes(2_000_000))
    light = write("orjson/orjson.so", library + bytes(1_000))
    prune(tmp_path)
    assert heavy.stat().st_size <= len(library)
    assert light.stat().st_size == len(library) + 1_000


@pytest.mark.parametrize("needed", ["libonnxruntime.so.1", "libonnxruntime.so.1.31.1", "libonnxruntime.so"])
def test_the_engine_that_the_extension_loads_stays(
    write: Callable[..., Path], make_elf: Callable[..., bytes], tmp_path: Path, needed: str
) -> None:
    write("onnxruntime/capi/onnxruntime_pybind11_state.cpython-313.so", make_elf(needed=(needed,)))
    copy = write("onnxruntime/capi/libonnxruntime.so.1.31.1")
    prune(tmp_path)
    assert copy.exists()


def test_an_extension_that_cannot_be_read_keeps_every_copy(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write("onnxruntime/capi/onnxruntime_pybind11_state.so", b"\xcf\xfa\xed\xfe of macOS")
    write("onnxruntime/capi/libonnxruntime.so.1.31.1")
    assert unneeded_copies(tmp_path) == []
