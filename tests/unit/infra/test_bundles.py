"""``infra.bundles``: the code of a function, the same bytes everywhere."""

from __future__ import annotations

import ast
import shutil
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra import bundles
from infra.bundles import measure, stage_bundle
from infra.constructs import marks
from infra.errors import PreflightError
from infra.stacks import api, model, operations

ROOT = Path(__file__).parents[3]
HANDLER = "functions.answer.handler.handler"
PACKAGES = ("functions/__init__.py", "functions/answer")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    package = tmp_path / "functions" / "answer"
    package.mkdir(parents=True)
    (tmp_path / "functions" / "__init__.py").write_text("")
    (package / "handler.py").write_text("def handler(event, context): ...\n")
    (package / "words.py").write_text("HELLO = 'hello'\n")
    return tmp_path


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_holds_the_named_packages_and_nothing_else(root: Path) -> None:
    (root / "functions" / "other").mkdir()
    (root / "functions" / "other" / "code.py").write_text("")
    bundle = stage_bundle("answer", PACKAGES, root=root, handler=HANDLER)
    assert files_below(bundle.path) == {
        "functions/__init__.py",
        "functions/answer/handler.py",
        "functions/answer/words.py",
    }


def test_compiled_files_of_this_machine_stay_here(root: Path) -> None:
    before = stage_bundle("answer", PACKAGES, root=root, handler=HANDLER)
    cache = root / "functions" / "answer" / "__pycache__"
    cache.mkdir()
    (cache / "handler.cpython-311.pyc").write_bytes(b"compiled")
    assert stage_bundle("answer", PACKAGES, root=root, handler=HANDLER) == before
    assert "__pycache__" not in "".join(files_below(before.path))


def test_a_bundle_is_compiled_for_the_python_that_runs_it(root: Path) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    plain = stage_bundle("answer", PACKAGES, root=root, handler=HANDLER)
    bundle = stage_bundle("answer", PACKAGES, root=root, handler=HANDLER, python=python)
    tag = sys.implementation.cache_tag
    assert f"functions/answer/__pycache__/handler.{tag}.pyc" in files_below(bundle.path)
    assert bundle.unzipped_bytes > plain.unzipped_bytes
    assert bundle.digest != plain.digest
    assert stage_bundle("answer", PACKAGES, root=root, handler=HANDLER, python=python) == bundle


def test_the_digest_does_not_know_whether_that_python_was_at_hand(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without = stage_bundle("answer", PACKAGES, root=root, handler=HANDLER, python="3.99")
    assert "carries no bytecode and starts slower" in capsys.readouterr().err
    shutil.rmtree(without.path)
    monkeypatch.setattr(bundles, "compile_for", lambda _python, _folder: True)
    assert (
        stage_bundle("answer", PACKAGES, root=root, handler=HANDLER, python="3.99").digest == without.digest
    )


def test_the_digest_changes_with_a_byte_and_with_a_name(root: Path) -> None:
    first = stage_bundle("answer", PACKAGES, root=root, handler=HANDLER)
    (root / "functions" / "answer" / "words.py").write_text("HELLO = 'hallo'\n")
    second = stage_bundle("answer", PACKAGES, root=root, handler=HANDLER)
    (root / "functions" / "answer" / "words.py").rename(root / "functions" / "answer" / "speech.py")
    third = stage_bundle("answer", PACKAGES, root=root, handler=HANDLER)
    assert len({first.digest, second.digest, third.digest}) == 3
    assert len({first.path, second.path, third.path}) == 3


def test_the_digest_does_not_know_where_or_when_it_was_made(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "functions"
    (root / "functions").rename(elsewhere)
    elsewhere.chmod(0o700)
    there = stage_bundle("answer", PACKAGES, root=elsewhere.parent, handler=HANDLER)
    elsewhere.rename(root / "functions")
    assert stage_bundle("answer", PACKAGES, root=root, handler=HANDLER).digest == there.digest


def test_lambda_may_read_what_a_strict_umask_made(root: Path) -> None:
    (root / "functions" / "answer" / "words.py").chmod(0o600)
    bundle = stage_bundle("answer", PACKAGES, root=root, handler=HANDLER)
    assert stat.S_IMODE((bundle.path / "functions" / "answer" / "words.py").stat().st_mode) == 0o644
    assert stat.S_IMODE(bundle.path.stat().st_mode) == 0o755


def test_many_synths_at_once_stage_one_whole_bundle(root: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        staged = list(
            pool.map(lambda _: stage_bundle("answer", PACKAGES, root=root, handler=HANDLER), range(16))
        )
    assert len({bundle.path for bundle in staged}) == 1
    assert len(files_below(staged[0].path)) == 3
    assert [path.name for path in staged[0].path.parent.iterdir()] == [staged[0].path.name]


def test_a_missing_package_is_named(root: Path) -> None:
    with pytest.raises(PreflightError, match="there is nothing at") as caught:
        stage_bundle("answer", (*PACKAGES, "releases"), root=root, handler=HANDLER)
    assert caught.value.hint == "Restore `releases` from the repository."


def test_a_bundle_without_its_handler_is_refused(root: Path) -> None:
    with pytest.raises(PreflightError, match=r"`functions/absent\.py`"):
        stage_bundle("answer", PACKAGES, root=root, handler="functions.absent.handler")


def test_measuring_finds_the_heavy_folders(tmp_path: Path) -> None:
    for folder, size in (("python/numpy/core", 500), ("python/small", 3)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_bytes(b"x" * size)
    tree = measure(tmp_path)
    assert tree.bytes_by_folder == {"python/numpy": 500, "python/small": 3}
    assert tree.unzipped_bytes == 503


@pytest.mark.parametrize(
    ("name", "packages", "handler"),
    [
        ("inference", bundles.INFERENCE, model.HANDLER),
        ("front", bundles.FRONT, api.HANDLER),
        ("operations", bundles.OPERATIONS, operations.HANDLER),
        ("marks", bundles.MARKS, marks.HANDLER),
    ],
)
def test_every_bundle_holds_all_the_own_code_that_it_imports(
    name: str, packages: tuple[str, ...], handler: str, tmp_path: Path
) -> None:
    for room in ("dashboards", "functions", "model_store", "releases"):
        (tmp_path / room).symlink_to(ROOT / room)
    bundle = stage_bundle(name, packages, root=tmp_path, handler=handler)
    held = files_below(bundle.path)
    missing = {
        f"{file}: {module}"
        for file in held
        if file.endswith(".py")
        for module in own_imports((bundle.path / file).read_text("utf-8"))
        if not {f"{module}.py", f"{module}/__init__.py"} & held
    }
    assert missing == set()


def own_imports(source: str) -> set[str]:
    """The modules of this repository that ``source`` imports, as paths without an ending."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    return {module.replace(".", "/") for module in found if module.split(".")[0] in rooms}
