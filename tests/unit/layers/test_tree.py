"""One digest for one tree, whoever built it and when."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from layers.tree import digest_of, files_of, largest_folders, settle


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name, data in {"b/x.py": b"1", "a.py": b"2", "b-c/y.so": b"333", "b/deep/er/z": b"4444"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_files_come_in_the_byte_order_of_their_paths(tree: Path) -> None:
    assert [name for name, _ in files_of(tree)] == ["a.py", "b-c/y.so", "b/deep/er/z", "b/x.py"]


def test_the_digest_can_be_checked_with_public_tools(tree: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum on this machine")
    shell = r"find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    done = subprocess.run(["sh", "-c", shell], cwd=tree, capture_output=True, text=True, check=True)
    assert digest_of(tree) == done.stdout.split()[0]


def test_times_and_modes_do_not_change_the_digest(tree: Path) -> None:
    before = digest_of(tree)
    os.utime(tree / "a.py", (1, 1))
    (tree / "a.py").chmod(0o600)
    assert digest_of(tree) == before


def test_a_name_or_a_byte_changes_the_digest(tree: Path) -> None:
    digests = {digest_of(tree)}
    (tree / "a.py").rename(tree / "c.py")
    digests.add(digest_of(tree))
    (tree / "c.py").write_bytes(b"3")
    digests.add(digest_of(tree))
    assert len(digests) == 3


def test_settling_gives_every_file_one_time_and_lets_everybody_read(tree: Path) -> None:
    (tree / "a.py").chmod(0o600)
    settle(tree)
    assert {path.stat().st_mtime for path in [tree, *tree.rglob("*")]} == {315_532_800}
    assert (tree / "a.py").stat().st_mode & 0o777 == 0o644
    assert (tree / "b-c" / "y.so").stat().st_mode & 0o777 == 0o755
    assert (tree / "b").stat().st_mode & 0o777 == 0o755


def test_the_largest_folders_come_first(tree: Path) -> None:
    assert largest_folders(tree, count=2) == [("b/deep", 4), ("b-c", 3)]
