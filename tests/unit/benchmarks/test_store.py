"""``benchmarks.store``: what is compared is compared fairly, and the table says it."""

from pathlib import Path

import pytest

from benchmarks import store
from benchmarks.store import Row


def test_a_ratio_above_one_means_that_ours_is_faster_and_the_bar_is_said() -> None:
    taken = store._Taken()
    for plain_s in (2.0, 3.0, 0.5):
        taken.add("publish", "`cp` + `sha256sum`", plain_s, 1.0, bar=True)
        taken.add("publish", "`cp`", plain_s, 4.0)
    judged, shown = taken.rows(100)
    assert judged == Row("publish", 100, "`cp` + `sha256sum`", 2.0, 1.0, (2.0, 3.0, 0.5), bar=True)
    assert judged.line() == (
        "| publish | 100 MB | `cp` + `sha256sum` | 2.00 s | 1.00 s | 100 MB/s | 2.00 (0.50 to 3.00) | yes |"
    )
    assert shown.line().endswith("| 0.50 (0.12 to 0.75) |  |")


def test_below_the_bar_is_said_as_well() -> None:
    row = Row("publish", 100, "`cp` + `sha256sum`", 0.9, 1.0, (0.9,), bar=True)
    assert row.line().endswith("| 0.90 (0.90 to 0.90) | **no** |")


@pytest.mark.parametrize(("number", "order"), [(0, ["plain", "ours"]), (1, ["ours", "plain"])])
def test_each_comes_first_in_its_turn(number: int, order: list[str]) -> None:
    ran: list[str] = []

    def run(name: str) -> tuple[float, float]:
        ran.append(name)
        return (1.0, 2.0) if name == "plain" else (3.0, 4.0)

    took = store._in_turns(number, lambda: run("plain"), lambda: run("ours"))
    assert took == ((1.0, 2.0), (3.0, 4.0))
    assert ran == order


def test_both_move_the_same_bytes_and_leave_nothing(tmp_path: Path) -> None:
    artifact = store._artifact(tmp_path / "artifact", 1)
    assert store._large(artifact).stat().st_size == 1_000_000
    rows = list(store._in_a_folder(tmp_path, artifact, 1, 1))
    assert [row.what for row in rows] == ["publish to a folder"] * 2 + ["fetch from a folder"] * 2
    assert [row.plain for row in rows if row.bar] == ["`cp` + `sha256sum`"] * 2
    assert all(row.plain_s > 0 and row.ours_s > 0 for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_the_plot_is_written_where_the_page_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ROOT", tmp_path)
    name = store._plot([Row("publish to S3", 256, "`upload_file`", 2.0, 1.0, (2.0,), bar=True)])
    assert (tmp_path / "docs" / name).read_text().startswith("<?xml")
