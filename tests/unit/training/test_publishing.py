"""What was made becomes a version that says where it is from."""

from collections.abc import Callable
from pathlib import Path

from model_store.adapters.memory import MemoryStore
from model_store.reports import load_report
from training.make import Task, make
from training.publishing import publish_made
from training.report_page import REPORT, write_report


def test_metrics_data_and_recipe_stand_in_the_manifest(task: Callable[..., Task], tmp_path: Path) -> None:
    made = make(task("softmax"), tmp_path / "out")
    store = MemoryStore()
    first = publish_made(store, made, created_by="ana", code=tmp_path)
    assert first.created
    assert first.manifest.metrics["test_accuracy"] == made.metrics["test_accuracy"]
    assert first.manifest.lineage["data"] == made.lineage["data"]
    assert first.manifest.lineage["recipe"] == made.lineage["recipe"]
    assert first.manifest.lineage["step"] == "trained"
    assert first.manifest.golden.inputs[0].shape == (4, 64)
    assert not publish_made(store, made, created_by="ana", code=tmp_path).created


def test_the_page_about_it_is_kept_with_it(task: Callable[..., Task], tmp_path: Path) -> None:
    read = task("softmax", ("epochs = 4", "epochs = 1"))
    made = make(read, tmp_path / "out")
    write_report(made.path, read.data, tmp_path / "out" / REPORT, title="digits, trained")
    store = MemoryStore()
    published = publish_made(store, made, created_by="ana", code=tmp_path, report=tmp_path / "out" / REPORT)
    page = load_report(store, published.manifest).decode()
    for section in ("What it goes by", "Where it errs", "Whether its odds are true"):
        assert f"<h2>{section}</h2>" in page
