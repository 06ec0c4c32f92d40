"""Building the layer: the same inputs give the same files, and a failure leaves the old layer."""

import fcntl
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from layers.build import BUDGET_BYTES, Built, build, main
from layers.elf import read_elf
from layers.facts import LayerError, facts_path, read_facts
from layers.targets import LAMBDA_GLIBC_MINOR, TARGETS, local
from layers.tree import digest_of

LAMBDA_LIMIT_BYTES = 262_144_000


def test_the_budget_leaves_most_of_lambdas_limit_to_the_model() -> None:
    assert LAMBDA_LIMIT_BYTES - BUDGET_BYTES >= 130_000_000


def test_the_local_layer_fits_the_budget_and_was_run(local_layer: Built) -> None:
    assert local_layer.facts.unzipped_bytes < BUDGET_BYTES
    assert (local_layer.facts.checked, local_layer.facts.bytecode) == ("ran", True)
    assert {
        "numpy",
        "onnxruntime",
        "fastapi",
        "mangum",
        "pydantic",
        "orjson",
    } <= local_layer.facts.packages.keys()


def test_every_module_has_bytecode_that_no_time_can_spoil(local_layer: Built) -> None:
    tag = sys.implementation.cache_tag
    modules = sorted(local_layer.folder.rglob("*.py"))
    assert modules
    for module in modules:
        compiled = (module.parent / "__pycache__" / f"{module.stem}.{tag}.pyc").read_bytes()
        flags = int.from_bytes(compiled[4:8], "little")
        assert flags == 0b01, module  # PEP 552: hash-based, source never checked


def test_a_second_build_with_the_same_inputs_builds_nothing(
    local_layer: Built, capsys: pytest.CaptureFixture[str]
) -> None:
    before = facts_path(local_layer.folder).stat().st_mtime_ns
    again = build(local(), local_layer.folder)
    assert (again.fresh, again.facts) == (False, local_layer.facts)
    assert facts_path(local_layer.folder).stat().st_mtime_ns == before
    assert "nothing to do" in capsys.readouterr().err


def test_a_rebuild_elsewhere_gives_identical_bytes(local_layer: Built, tmp_path: Path) -> None:
    rebuilt = build(local(), tmp_path / "again")
    assert rebuilt.fresh
    assert rebuilt.facts == local_layer.facts
    assert digest_of(rebuilt.folder) == local_layer.facts.sha256
    damaged = next(rebuilt.folder.rglob("fastapi/__init__.py"))
    damaged.write_text("raise SystemExit\n")
    assert build(local(), rebuilt.folder).fresh, "a layer that was changed by hand is built again"
    assert digest_of(rebuilt.folder) == local_layer.facts.sha256


def test_the_text_layer_is_the_plain_one_and_a_library(local_layer: Built, text_layer: Path) -> None:
    facts = read_facts(text_layer.parent)
    assert facts.packages.keys() - local_layer.facts.packages.keys() == {"onnxruntime-extensions"}
    assert (facts.target, facts.checked) == ("local-text", "ran")
    assert facts.unzipped_bytes < BUDGET_BYTES
    held = sorted(path.name for path in (text_layer / "onnxruntime_extensions").iterdir())
    assert len(held) == 1
    assert held[0].startswith("_extensions_pydll")


def test_the_image_layer_is_the_plain_one_and_what_reads_pictures(
    local_layer: Built, image_layer: Path
) -> None:
    facts = read_facts(image_layer.parent)
    assert facts.packages.keys() - local_layer.facts.packages.keys() == {"pillow"}
    assert (facts.target, facts.checked) == ("local-image", "ran")
    assert facts.unzipped_bytes - local_layer.facts.unzipped_bytes < 12_000_000
    assert facts.unzipped_bytes < BUDGET_BYTES


@pytest.mark.parametrize("name", ["x86_64", "arm64", "x86_64-text", "arm64-text"])
def test_a_layer_for_lambda_is_the_same_bytes_wherever_it_is_built(name: str, tmp_path: Path) -> None:
    first = build(TARGETS[name], tmp_path / "one" / name)
    second = build(TARGETS[name], tmp_path / "two" / "elsewhere")
    assert first.fresh
    assert second.fresh
    assert first.facts == second.facts
    assert digest_of(first.folder) == digest_of(second.folder) == first.facts.sha256
    assert first.facts.unzipped_bytes < BUDGET_BYTES


@pytest.fixture
def old_layer(tmp_path: Path) -> Path:
    """A layer of former days: whatever fails must leave it."""
    folder = tmp_path / "layers" / "local"
    (folder / "python" / "onnxruntime").mkdir(parents=True)
    (folder / "python" / "old.py").write_text("old\n")
    facts_path(folder).write_text("{}")
    return folder


def is_untouched(folder: Path) -> bool:
    names = sorted(path.name for path in folder.parent.iterdir())
    return (folder / "python" / "old.py").read_text() == "old\n" and names == [
        "local",
        "local.json",
        "local.lock",
    ]


def test_over_budget_is_refused_with_the_largest_folders(
    old_layer: Path, make_lock: Callable[..., Path]
) -> None:
    with pytest.raises(LayerError, match=r"takes \d+ bytes, the budget is 10; largest: .*tiny") as caught:
        build(local(), old_layer, lock=make_lock(), budget_bytes=10)
    assert caught.value.hint is not None
    assert is_untouched(old_layer)


def test_other_bytes_than_the_pinned_ones_are_refused(
    old_layer: Path, make_lock: Callable[..., Path]
) -> None:
    with pytest.raises(LayerError, match="pip cannot install the layer for local") as caught:
        build(local(), old_layer, lock=make_lock(sha256="0" * 64))
    assert caught.value.hint == "Do not install it: a package index serves other bytes than the pinned ones."
    assert is_untouched(old_layer)


def test_a_package_without_a_wheel_for_this_python_is_refused_with_what_would_do(
    old_layer: Path, make_lock: Callable[..., Path]
) -> None:
    lock = make_lock()
    lock.write_text(lock.read_text().replace("tiny==1.0", "tiny==2.0"))
    with pytest.raises(LayerError) as caught:
        build(local(), old_layer, lock=lock)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("Use CPython 3.11 to 3.14")
    assert is_untouched(old_layer)


def test_a_layer_that_cannot_serve_is_refused(old_layer: Path, make_lock: Callable[..., Path]) -> None:
    with pytest.raises(LayerError, match=r"the layer cannot serve: .*No module named"):
        build(local(), old_layer, lock=make_lock())
    assert is_untouched(old_layer)


def test_a_crash_between_the_two_renames_is_mended_by_the_next_build(
    old_layer: Path, make_lock: Callable[..., Path]
) -> None:
    old_layer.rename(old_layer.with_name("local.previous"))
    with pytest.raises(LayerError, match="cannot serve"):
        build(local(), old_layer, lock=make_lock())
    assert is_untouched(old_layer)


def test_leftovers_of_a_crashed_build_are_cleared(old_layer: Path, make_lock: Callable[..., Path]) -> None:
    (old_layer.with_name("local.building") / "python" / "half").mkdir(parents=True)
    (old_layer.with_name("local.previous") / "python").mkdir(parents=True)
    with pytest.raises(LayerError, match="cannot serve"):
        build(local(), old_layer, lock=make_lock())
    assert is_untouched(old_layer)


def test_a_folder_that_is_no_layer_is_never_replaced(tmp_path: Path, make_lock: Callable[..., Path]) -> None:
    precious = tmp_path / "home"
    (precious / "python").mkdir(parents=True)
    (precious / "thesis.txt").write_text("years")
    with pytest.raises(LayerError, match=r"`.*home` exists and is not a layer"):
        build(local(), precious, lock=make_lock())
    assert (precious / "thesis.txt").read_text() == "years"


def test_two_builds_of_one_layer_wait_for_each_other(local_layer: Built) -> None:
    command = [sys.executable, "-m", "layers.build", "--for", "local", "--out", str(local_layer.folder)]
    with local_layer.folder.with_name("local.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=0.7)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 0
    assert "nothing to do" in said


def test_the_command_prints_the_facts_as_json(local_layer: Built, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--for", "local", "--out", str(local_layer.folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["fresh"], printed["folder"]) == (False, str(local_layer.folder))
    assert printed["sha256"] == read_facts(local_layer.folder).sha256


def test_a_refusal_leaves_1_and_a_misspelling_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years")
    assert main(["--for", "local", "--out", str(tmp_path / "home")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: `")
    assert "\nhint: Choose another folder" in said.err
    with pytest.raises(SystemExit) as caught:
        main(["--for", "risc-v"])
    assert caught.value.code == 2


@pytest.mark.parametrize("name", ["arm64", "arm64-text", "arm64-image"])
def test_what_arm64_imports_is_there_for_its_machine(
    name: str, local_layer: Built, text_layer: Path, image_layer: Path, tmp_path: Path
) -> None:
    """All that a machine without that processor can say: same modules, every library for it, none lacking."""
    built = build(TARGETS[name], tmp_path / name)
    assert built.facts.checked == "inspected"
    beside = {"arm64-text": text_layer, "arm64-image": image_layer}
    root, here = built.folder / "python", beside.get(name, local_layer.folder / "python")
    assert python_names(root) == python_names(here), "no module is missing that runs here"
    libraries = [path for path in root.rglob("*.so*") if path.is_file()]
    needed: set[str] = set()
    for library in libraries:
        elf = read_elf(library.read_bytes())
        assert elf is not None
        assert elf.machine == "aarch64", library
        assert elf.glibc_minor <= LAMBDA_GLIBC_MINOR, library
        needed |= set(elf.needed)
    assert needed <= OF_AMAZON_LINUX | {library.name for library in libraries}


OF_AMAZON_LINUX = {
    *("ld-linux-aarch64.so.1", "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1"),
    *("libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"),
}
"""Libraries that Lambda's Amazon Linux 2023 has: glibc's own, gcc's, and zlib, which its Python stands on."""


def python_names(root: Path) -> set[str]:
    """Modules by path, and compiled ones by what they are imported as."""
    sources = {str(path.relative_to(root)) for path in root.rglob("*.py")}
    compiled = {
        str((path.parent / path.name.partition(".")[0]).relative_to(root))
        for path in root.rglob("*.so")
        if ".libs" not in str(path)
    }
    return {name for name in sources if "numpy/__config__" not in name} | compiled
