"""``benchmarks.report``: each benchmark writes its own section and leaves the others alone."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report import write_section


def test_a_section_is_added_and_replaced_and_the_others_stay(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "benchmarks.md"
    write_section("Store", "old \\1 numbers", page=page)
    write_section("Inference function", "first", page=page)
    write_section("Store", "new numbers\n\n### Details\n\nmore", page=page)
    text = page.read_text()
    assert text.startswith("# Benchmarks\n")
    assert text.index("## Store") < text.index("### Details") < text.index("## Inference function\n\nfirst")
    assert "old" not in text
    write_section("Store", "new numbers\n\n### Details\n\nmore", page=page)
    assert page.read_text() == text
