"""The page about a version: its numbers are the field's, its pictures are inside."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from training.data.prepared import Part
from training.export.parity import Session
from training.make import Task, make
from training.report_page import calibration, confusion, permutation_importance, write_report

Read = Callable[..., Task]


def test_a_blank_column_says_nothing_and_one_with_ink_does(task: Read, tmp_path: Path) -> None:
    read = task("softmax")
    made = make(read, tmp_path / "out")
    found = permutation_importance(Session(made.path), read.data.test, read.data.task, seed=1)
    assert len(found) == 64
    # The corner of an 8 by 8 digit is never inked; its middle nearly always is somewhere.
    assert found[0] == 0
    assert max(found) > 0.01


def test_the_confusion_matrix_is_scikit_learn_s() -> None:
    drawn = np.random.default_rng(2)
    labels, targets = drawn.integers(0, 4, 300), drawn.integers(0, 4, 300)
    assert confusion(labels, targets, 4).tolist() == confusion_matrix(targets, labels).tolist()


def test_true_odds_are_calibrated_and_bragging_is_not() -> None:
    drawn = np.random.default_rng(3)
    first = drawn.uniform(0, 1, 20_000)
    probabilities = np.stack([first, 1 - first], axis=1)
    targets = (drawn.uniform(0, 1, 20_000) > first).astype(np.int64)
    bins, error = calibration(probabilities, targets)
    assert error < 0.02
    assert sum(one.rows for one in bins) == 20_000
    bragging = np.where(probabilities > 0.5, 0.99, 0.01)
    _, worse = calibration(bragging, targets)
    assert worse == pytest.approx(0.99 - 0.75, abs=0.02)


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        ("softmax", ["What it goes by", "Where it errs", "Whether its odds are true"]),
        ("perceptron", ["What it goes by", "Answered and true"]),
    ],
    ids=["classes", "numbers"],
)
def test_the_page_stands_alone_and_comes_out_the_same(
    name: str, sections: list[str], task: Read, tmp_path: Path
) -> None:
    read = task(name, ("epochs = 30", "epochs = 2") if name == "perceptron" else ("epochs = 4", "epochs = 2"))
    made = make(read, tmp_path / "out")
    for page in ("one.html", "two.html"):
        write_report(made.path, read.data, tmp_path / page, title="digits <1>")
    text = (tmp_path / "one.html").read_text()
    assert text == (tmp_path / "two.html").read_text()
    assert "digits &lt;1&gt;" in text
    assert str(read.data.digest) in text
    for section in sections:
        assert f"<h2>{section}</h2>" in text
    assert text.count("data:image/png;base64,") == len(sections)
    assert 'src="http' not in text


def test_at_most_500_rows_are_asked_for_importance() -> None:
    class Counts:
        outputs = ("value",)
        rows = 0

        def __call__(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
            self.rows += len(inputs)
            return {"value": inputs[:, 0]}

    counts = Counts()
    inputs = np.random.default_rng(1).normal(size=(2000, 3)).astype(np.float32)
    found = permutation_importance(counts, Part(inputs, inputs[:, 0]), "regression", seed=1)  # type: ignore[arg-type]
    assert counts.rows == 4 * 500
    assert found[0] > 1
    assert found[1:] == [0, 0]
