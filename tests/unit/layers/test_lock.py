"""Pins: one version for every target, every wheel by its bytes."""

import json
import re
from pathlib import Path

import pytest

from layers.facts import LayerError
from layers.lock import (
    FLOATS_LOCK,
    FLOATS_PYTHONS,
    FLOATS_WANTED,
    IMAGE_LOCK,
    IMAGE_WANTED,
    LOCK,
    PYTHONS,
    TEXT_LOCK,
    TEXT_PYTHONS,
    TEXT_WANTED,
    WANTED,
    Wheel,
    lock_text,
    read_wanted,
    wheels_in,
)


def wheel(name: str, version: str, tag: str, digit: str) -> Wheel:
    return Wheel(name, version, f"{name}-{version}-{tag}.whl", digit * 64)


def test_requirements_and_left_out_names_are_told_apart() -> None:
    text = "# why\nnumpy==2.4.6\n\n!protobuf\n  orjson==3.13.0\n"
    assert read_wanted(text) == (["numpy==2.4.6", "orjson==3.13.0"], {"protobuf"})


def test_a_report_of_pip_names_wheels_by_their_bytes() -> None:
    item = {
        "metadata": {"name": "Pydantic_Core", "version": "2.50.4"},
        "download_info": {
            "url": "https://example.org/files/pydantic_core-2.50.4%2Bx-cp313.whl#egg",
            "archive_info": {"hashes": {"sha256": "ab"}},
        },
    }
    (found,) = wheels_in(json.dumps({"install": [item]}))
    assert found == Wheel("pydantic-core", "2.50.4", "pydantic_core-2.50.4+x-cp313.whl", "ab")


def test_a_package_is_pinned_once_with_every_wheel() -> None:
    text = lock_text(
        [wheel("b", "2", "cp313", "b"), wheel("a", "1", "any", "a"), wheel("b", "2", "cp311", "c")]
    )
    assert "URL" not in text
    assert text.index("a==1") < text.index("b==2")
    assert text.endswith(f"b==2 \\\n    --hash=sha256:{'b' * 64} \\\n    --hash=sha256:{'c' * 64}\n")
    assert "# b-2-cp311.whl\n# b-2-cp313.whl\nb==2" in text


def test_targets_that_disagree_on_a_version_are_refused() -> None:
    with pytest.raises(LayerError, match="targets disagree on `a`: 1, 2") as caught:
        lock_text([wheel("a", "1", "cp311", "a"), wheel("a", "2", "cp313", "b")])
    assert caught.value.hint == "Pin `a` in runtime.in to a version that has a wheel for every target."


def test_the_shipped_lock_holds_what_is_wanted_and_not_what_is_left_out() -> None:
    wanted, left_out = read_wanted(WANTED.read_text())
    pinned = set(re.findall(r"^(\S+==\S+) ", LOCK.read_text(), re.MULTILINE))
    assert set(wanted) <= pinned
    assert not left_out & {pin.partition("==")[0] for pin in pinned}


def test_the_shipped_lock_names_no_place_to_download_from() -> None:
    assert not re.search(r"://|--index|--find-links|--extra", LOCK.read_text())


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("python", ["cp311", "cp312", "cp313"])
@pytest.mark.parametrize(
    "package",
    ["numpy", "onnxruntime", "orjson", "pydantic_core", "onnxruntime_extensions", "pysimdjson", "pillow"],
)
def test_the_shipped_locks_cover_every_linux_target(package: str, python: str, machine: str) -> None:
    locks = (LOCK, TEXT_LOCK, IMAGE_LOCK, FLOATS_LOCK)
    lines = [line for lock in locks for line in lock.read_text().splitlines()]
    files = [line[2:] for line in lines if line.startswith(f"# {package}-")]
    assert any(f"-{python}-{python}-" in file and machine in file for file in files)


@pytest.mark.parametrize(
    ("lock", "wanted", "pythons"),
    [
        (TEXT_LOCK, TEXT_WANTED, TEXT_PYTHONS),
        (IMAGE_LOCK, IMAGE_WANTED, PYTHONS),
        (FLOATS_LOCK, FLOATS_WANTED, FLOATS_PYTHONS),
    ],
    ids=["text", "image", "floats"],
)
def test_the_other_locks_add_one_package_each_and_say_where_it_comes_from(
    lock: Path, wanted: Path, pythons: tuple[str, ...]
) -> None:
    text = lock.read_text()
    assert f"from {wanted.name}: do not edit" in text
    assert read_wanted(wanted.read_text())[0] == re.findall(r"^(\S+==\S+) ", text, re.MULTILINE)
    assert f"CPython {pythons[0]} to {pythons[-1]}\n" in text


@pytest.mark.parametrize("lock", [LOCK, TEXT_LOCK, IMAGE_LOCK, FLOATS_LOCK])
def test_every_listed_wheel_has_its_hash(lock: Path) -> None:
    for block in lock.read_text().split("\n\n")[1:]:
        assert block.count("\n# ") + 1 == block.count("--hash=sha256:"), block
