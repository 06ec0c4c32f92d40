"""``docs/aws-results.md`` says what the last trial's record says, or that there was none."""

from __future__ import annotations

from pathlib import Path

from benchmarks.trial.page import PAGE, Results, read, text_of, write


def results() -> Results:
    return Results(
        at="2026-11-22 20:00 UTC",
        region="eu-central-1",
        estimate_dollars=1.5,
        minutes=42.3,
        tests="all passed",
        flip_ms=[0.0, 12.0, 80.0],
        flip_requests=4000,
        release_ms=[150_000.0, 170_000.0],
    )


def test_the_page_is_what_the_record_says() -> None:
    assert PAGE.read_text("utf-8") == text_of(read())


def test_without_a_record_it_says_that_nothing_was_run(tmp_path: Path) -> None:
    assert read(tmp_path / "none.json") is None
    assert "**not run yet**" in text_of(None)


def test_a_trial_is_kept_and_its_page_made(tmp_path: Path) -> None:
    page, record = tmp_path / "page.md", tmp_path / "kept" / "aws.json"
    write(results(), page=page, record=record)
    text = page.read_text()
    assert read(record) == results()
    assert "not run yet" not in text
    assert "| last old answer after a flip had returned | 3 | 12 | 80 |" in text
    assert "| `yard release` of a new version, SnapStart | 2 | 160,000 | 170,000 |" in text
    assert "| restoring a snapshot, as Lambda reports it | 0 | - | - |" in text
    assert "4,000 requests came during the flips; 0 of them failed" in text
