"""``planning.process``: what runs apart, without the process around it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from planning.process import rows_of, timed


def test_rows_are_the_sample_s_own_in_turn() -> None:
    made = rows_of({"x": np.array([[1.0], [2.0]]), "n": np.array(["a", "b"], object)}, 3)
    assert made["x"].tolist() == [[1.0], [2.0], [1.0]]
    assert made["n"].tolist() == ["a", "b", "a"]
    assert rows_of({"x": np.array([[1.0], [2.0]])}, 1)["x"].tolist() == [[1.0]]


def test_a_run_is_repeated_a_few_times_however_long_it_takes() -> None:
    calls: list[int] = []
    found = timed(lambda: calls.append(1), 0.0)
    assert found["runs"] == 5
    assert len(calls) == 7, "two more to warm up"


def test_it_writes_one_document(package: Path) -> None:
    asked = json.dumps({"package": str(package), "threads": 1, "batches": [1, 2], "seconds": 0.0})
    done = subprocess.run([sys.executable, "-m", "planning.process", asked], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert [run["batch"] for run in found["runs"]] == [1, 2]
