"""``drift.captured``: rows come back as they were laid down, those of the window and no others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from drift.captured import Together, predicting, read_captured, versions_captured
from model_store.contract.baseline import INPUT, OUTPUT
from model_store.contract.capture import captured_key
from model_store.contract.parquet import TEXT
from model_store.contract.tensors import TensorSpec
from tests.unit.drift.conftest import NOW, Watched, trained

HOUR = timedelta(hours=1)


def test_rows_become_the_features_of_the_version(watched: Watched, random: np.random.Generator) -> None:
    x = trained(random, 5)
    watched.capture(x)
    found = read_captured(watched.kept, watched.manifest, NOW - HOUR, NOW)
    assert found.rows == 5
    assert np.allclose(found.features["x[1]"].values, x[:, 1])
    assert {name: column.side for name, column in found.features.items()} == {
        "x[0]": INPUT,
        "x[1]": INPUT,
        "label": OUTPUT,
    }


def test_only_the_window_is_read(watched: Watched) -> None:
    for hours in (0, 1, 2, 5, 30):
        watched.capture([[hours, 0.0]], at=NOW - hours * HOUR)
    found = read_captured(watched.kept, watched.manifest, NOW - 3 * HOUR, NOW)
    assert sorted(found.features["x[0]"].values) == [0, 1, 2]


def test_versions_are_those_that_answered_in_the_window(watched: Watched) -> None:
    watched.capture([[1.0, 0.0]], version=1, at=NOW - 40 * HOUR)
    watched.capture([[1.0, 0.0]], version=2)
    watched.capture([[1.0, 0.0]], version=30)
    assert versions_captured(watched.kept, "sign", NOW - 24 * HOUR, NOW) == [2, 30]
    assert versions_captured(watched.kept, "sign", NOW - 72 * HOUR, NOW) == [1, 2, 30]
    assert versions_captured(watched.kept, "other", NOW - 72 * HOUR, NOW) == []


def test_what_is_no_file_of_ours_is_counted_and_left_out(watched: Watched) -> None:
    watched.capture([[1.0, 0.0]])
    watched.kept.put_once(captured_key("sign", 1, NOW, "e1", 0), b"nonsense")
    watched.capture([[1.0, 0.0]], about={"format": "99"})
    found = read_captured(watched.kept, watched.manifest, NOW - HOUR, NOW)
    assert (found.rows, found.files, found.unreadable) == (1, 3, 2)


def test_a_busy_window_is_read_in_part_and_says_so(watched: Watched) -> None:
    for _ in range(40):
        watched.capture([[1.0, 0.0]] * 10)
    found = read_captured(watched.kept, watched.manifest, NOW - HOUR, NOW, most_rows=50)
    assert 50 <= found.rows < 200
    assert found.left_out == 40 - found.files > 0


def test_lost_requests_and_hashed_tensors_are_what_the_files_say(watched: Watched) -> None:
    watched.capture([["ab12", "cd34"]], x_kind=TEXT, about={"hashed": "x", "lost": "3"})
    found = read_captured(watched.kept, watched.manifest, NOW - HOUR, NOW)
    assert (found.lost, found.hashed) == (3, frozenset({"x"}))
    assert found.features["x[0]"].words == ["ab12"]


def test_rows_of_another_length_are_left_out(watched: Watched) -> None:
    watched.capture([[1.0, 0.0], [2.0, 0.0], [1.0, 2.0, 3.0]])
    found = read_captured(watched.kept, watched.manifest, NOW - HOUR, NOW)
    assert list(found.features["x[0]"].values) == [1, 2]


def test_answers_are_known_by_both_ids(watched: Watched) -> None:
    watched.capture([[1.0, 0.0], [0.0, 1.0]], ids=["mine", "yours"])
    found = read_captured(watched.kept, watched.manifest, NOW - HOUR, NOW)
    assert found.answers == {("r0-0", "mine", 0): "0", ("r0-1", "yours", 0): "1"}


@pytest.mark.parametrize(
    ("outputs", "name"),
    [
        ([TensorSpec("scores", "FP32", ("n", 3)), TensorSpec("word", "BYTES", ("n",))], "word"),
        ([TensorSpec("scores", "FP32", ("n", 3))], "scores"),
    ],
    ids=["a word", "scores"],
)
def test_the_prediction_is_a_word_or_else_the_best_score(
    watched: Watched, outputs: list[TensorSpec], name: str
) -> None:
    from dataclasses import replace

    found = predicting(replace(watched.manifest, outputs=tuple(outputs)))
    assert found is not None
    assert found.name == name


def test_a_row_that_came_twice_counts_once(watched: Watched) -> None:
    """A queue delivers at least once."""
    watched.capture([[1.0, 0.0]], ids=["mine"])
    first = watched.kept.get(captured_key("sign", 1, NOW, "e0", 0))
    for other in ("e1", "e2"):
        watched.kept.put_once(captured_key("sign", 1, NOW, other, 0), first)
    found = read_captured(watched.kept, watched.manifest, NOW - HOUR, NOW)
    assert (found.rows, found.files) == (1, 3)
    assert list(found.features["x[0]"].values) == [1.0]


def test_halves_are_put_together_in_whichever_order_they_come() -> None:
    beside: dict[str, list[Any]] = {"request_id": ["r1"], "row": [0], "at": [17], "alias": ["live"]}
    asked = {**beside, "id": ["mine"], "input.x": [[1.0, 2.0]], "output.label": [[]]}
    said = {**beside, "id": [""], "input.x": [[]], "output.label": [[1]]}
    for halves in ([asked, said], [said, asked]):
        together = Together()
        for half in halves:
            together.add(half, 0, 100)
        assert together.columns() == {"input.x": [[1.0, 2.0]], "output.label": [[1]]}
        assert [row.id for row in together.rows] == ["mine"]
