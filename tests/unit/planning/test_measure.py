"""``planning.measure`` and its process: a real model, run as a function runs it."""

from dataclasses import replace
from pathlib import Path

import pytest

from model_store.contract.environment import FILES_FOLDER
from model_store.contract.manifest import NO_GOLDEN, Manifest
from model_store.contract.tensors import TensorSpec
from planning.measure import Measured, MeasureError, Run, measure, takes_rows


def test_a_model_is_measured_on_each_number_of_threads_and_rows(package: Path, manifest: Manifest) -> None:
    heard: list[str] = []
    found = measure(package, manifest, seconds=0.02, batches=(1, 8), cores=2, on_progress=heard.append)
    assert [(run.threads, run.batch) for run in found.runs] == [(1, 1), (1, 8), (2, 1)]
    assert all(run.runs >= 5 and 0 < run.p50_ms <= run.p95_ms and run.cpu_ms > 0 for run in found.runs)
    assert found.rows
    assert found.start_ms > 0
    assert 20 < found.memory_mb < 2000
    assert heard == ["digits:1 on 1 thread", "digits:1 on 2 threads"]
    assert found.as_json()["runs"][1]["rows_per_s"] > 0


def test_a_changed_file_is_not_measured(package: Path, manifest: Manifest, tmp_path: Path) -> None:
    """Law 2: what is planned with is what would be served."""
    copy = tmp_path / "package"
    (copy / FILES_FOLDER).mkdir(parents=True)
    (copy / "manifest.json").write_bytes((package / "manifest.json").read_bytes())
    entry = copy / FILES_FOLDER / manifest.entry
    entry.write_bytes((package / FILES_FOLDER / manifest.entry).read_bytes() + b"\0")
    with pytest.raises(MeasureError, match=r"cannot be run here: .*sha256"):
        measure(copy, manifest, cores=1)


def test_without_a_golden_sample_there_is_nothing_to_run_on(package: Path, manifest: Manifest) -> None:
    with pytest.raises(MeasureError, match="no golden sample") as refused:
        measure(package, replace(manifest, golden=NO_GOLDEN))
    assert refused.value.hint is not None


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [([("n", 4)], True), ([("n", 4), ("n",)], True), ([(1, 4)], False), ([("n",), ()], False), ([], False)],
)
def test_rows_can_be_joined_where_the_caller_chooses_their_number(
    shapes: list[tuple[int | str, ...]], expected: bool
) -> None:
    assert takes_rows([TensorSpec(f"x{at}", "FP32", shape) for at, shape in enumerate(shapes)]) is expected


def test_a_run_is_looked_up_by_the_threads_that_there_are() -> None:
    runs = tuple(Run(threads, 1, 9, 8 / threads, 9 / threads, 8.0) for threads in (1, 2, 4))
    found = Measured(runs, 1.0, 100.0, rows=False, cores=4)
    assert [found.run(threads=threads).threads for threads in (0, 1, 3, 4, 64)] == [1, 1, 2, 4, 4]


def test_the_best_batch_keeps_the_time_that_was_asked_for() -> None:
    runs = tuple(Run(1, batch, 9, batch + 1.0, batch + 2.0, batch + 1.0) for batch in (1, 4, 16))
    found = Measured(runs, 1.0, 100.0, rows=True, cores=1)
    assert [found.best_batch(limit).batch for limit in (None, 100.0, 7.0, 1.0)] == [16, 16, 4, 1]
