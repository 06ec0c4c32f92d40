"""What the rollback benchmark says follows from what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import onnxruntime
import pytest

from benchmarks.rollback import (
    BEGIN,
    CDK,
    END,
    YARD,
    Quarters,
    Result,
    Sample,
    draw,
    filled,
    large_model,
    page_section,
    percentile,
    table,
    write,
)

RESULTS = [
    Result(way, model, megabytes, tuple(Sample(took * n, -0.1 + 0.1 * n, 0, 10) for n in (1, 2, 3)))
    for way, took in ((YARD, 1.0), (CDK, 10.0))
    for model, megabytes in (("small", 0.0), ("large", 50.0))
]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2), (0.99, 3), (0.0, 1), (1.0, 3)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: int) -> None:
    assert percentile([3, 1, 2], share) == expected


def test_the_table_gives_medians_worst_cases_and_their_ratio() -> None:
    said = table(RESULTS)
    assert "| `yard rollback` | large, 50.0 MB | 2.00 s | 3.00 s | 100 ms | 200 ms | 0 of 30 |" in said
    assert "Ratio of the medians, small: 10.0." in said
    assert "Samples of each row: 3, 3, 3, 3." in said


def test_an_old_answer_before_the_return_counts_as_none_after_it() -> None:
    early = [Result(YARD, "small", 0.0, (Sample(1.0, -0.4, 0, 5),))]
    assert "| 0 ms | 0 ms |" in table(early)


def test_a_page_keeps_all_but_what_stands_between_its_marks() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert filled(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert filled(filled(page, "new"), "newer") == filled(page, "newer")


def test_every_sample_is_kept_and_drawn(tmp_path: Path) -> None:
    write(RESULTS, tmp_path)
    kept = json.loads((tmp_path / "rollback.json").read_text())["results"]
    assert [len(result["samples"]) for result in kept] == [3, 3, 3, 3]
    draw(RESULTS, tmp_path / "rollback.png")
    assert (tmp_path / "rollback.png").stat().st_size > 5000


def test_a_large_model_is_as_large_as_asked_and_runs(tmp_path: Path) -> None:
    path = large_model(tmp_path / "m.onnx", 1, seed=1)
    assert 0.95e6 < path.stat().st_size < 1.05e6
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 64]


def test_a_slow_machine_measures_less_and_not_for_longer() -> None:
    now = 0.0

    def measured(seconds: float, most: int) -> int:
        nonlocal now
        count = 0
        for _ in quarters.samples(most):
            count += 1
            now += seconds
        return count

    quarters = Quarters(100.0, clock=lambda: now)
    assert [measured(10.0, 20), measured(1.0, 5), measured(60.0, 8), measured(30.0, 8)] == [3, 5, 1, 1]


def test_the_page_gets_the_table_and_the_picture() -> None:
    section = page_section(RESULTS)
    assert section.startswith("| ")
    assert "(benchmarks/rollback.png)" in section
    assert "load average" in section
