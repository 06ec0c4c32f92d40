"""``docs/reliability.md`` says what the last soak's record says, and that is: nothing lost."""

from __future__ import annotations

from pathlib import Path

from benchmarks.soak import PAGE, RECORD, TITLE, Soaked, Tried


def soaked() -> Soaked:
    tried = [Tried("a release", 3, 1200, 0, 0, 3, 0), Tried("every environment killed", 2, 90, 0, 4, 0, 0)]
    return Soaked(3600, 4, 98.4, 99.1, tried)


def test_the_page_is_what_the_record_says() -> None:
    """Nobody writes this table by hand."""
    page = PAGE.read_text("utf-8")
    section = page.partition(f"## {TITLE}\n\n")[2].partition("\n## ")[0]
    assert section.strip() == Soaked.from_json(RECORD.read_text("utf-8")).section()


def test_nothing_was_lost() -> None:
    recorded = Soaked.from_json(RECORD.read_text("utf-8"))
    assert (recorded.wrong, recorded.lines_lost) == (0, 0)
    assert all(each.times for each in recorded.tried)


def test_a_run_is_kept_and_its_section_replaced(tmp_path: Path) -> None:
    page, record = tmp_path / "page.md", tmp_path / "kept" / "soak.json"
    page.write_text(f"# Reliability\n\n## {TITLE}\n\nold\n\n## After\n\nkept\n")
    soaked().write(page=page, record=record)
    text = page.read_text()
    assert "old" not in text
    assert "| every environment killed | 2 | 90 | 0 | 4 | 0 | 0 |" in text
    assert "60 minutes" in text
    assert text.endswith("## After\n\nkept\n")
    assert Soaked.from_json(record.read_text()) == soaked()


def test_what_was_lost_is_counted_over_all_faults() -> None:
    found = soaked()
    found.tried[0].wrong, found.tried[1].lines_lost = 2, 1
    assert (found.wrong, found.lines_lost) == (2, 1)
