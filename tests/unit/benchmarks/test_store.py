"""``benchmarks.store``: what is compared is compared fairly, and the table says it."""

from pathlib import Path

import pytest

from benchmarks import store
from benchmarks.store import Row


def test_a_ratio_above_one_means_that_ours_is_faster() -> None:
    row = store._row("publish", 100, "`cp`", [(2.0, 1.0), (3.0, 1.0), (1.0, 1.0)])
    assert row == Row("publish", 100, "`cp`", 2.0, 1.0, 2.0)
    assert row.line() == "| publish | 100 MB | `cp` | 2.00 s | 1.00 s | 100 MB/s | 2.00 |"


def test_both_move_the_same_bytes_and_leave_nothing(tmp_path: Path) -> None:
    artifact = store._artifact(tmp_path / "artifact", 1)
    assert store._large(artifact).stat().st_size == 1_000_000
    rows = list(store._in_a_folder(tmp_path, artifact, 1, 1))
    assert [row.what for row in rows] == ["publish to a folder"] * 2 + ["fetch from a folder"] * 2
    assert all(row.plain_s > 0 and row.ours_s > 0 for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_the_plot_is_written_where_the_page_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ROOT", tmp_path)
    name = store._plot([Row("publish to S3", 256, "`upload_file` + sha256", 2.0, 1.0, 2.0)])
    assert (tmp_path / "docs" / name).read_text().startswith("<?xml")
