"""What was made becomes a version that says where it is from."""

from collections.abc import Callable
from pathlib import Path

from model_store.adapters.memory import MemoryStore
from model_store.edge import litert_digest, load_litert
from model_store.reports import load_report
from training.make import Task, make, read_made
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


def test_the_litert_file_is_beside_the_version_and_in_none_of_its_files(
    task: Callable[..., Task], tmp_path: Path
) -> None:
    read = task("softmax", ("epochs = 4", "epochs = 1"), ("[export]", "[export]\nlitert = true"))
    made = make(read, tmp_path / "out")
    assert read_made(tmp_path / "out") == made
    store = MemoryStore()
    manifest = publish_made(store, made, created_by="ana", code=tmp_path).manifest
    assert [file.path for file in manifest.files] == ["model.onnx"]
    assert load_litert(store, manifest) == made.litert_path.read_bytes()


def test_a_version_that_has_no_litert_file_stays_without_and_that_is_said(
    task: Callable[..., Task], tmp_path: Path
) -> None:
    """Law 1: what was published is never changed. The fit is not repeated: its digest is the same."""
    store, out = MemoryStore(), tmp_path / "out"
    plain = make(task("softmax", ("epochs = 4", "epochs = 1")), out)
    assert plain.litert is None
    publish_made(store, plain, created_by="ana", code=tmp_path)
    heard: list[object] = []
    edge = make(task("softmax", ("[export]", "[export]\nlitert = true")), out, on_epoch=heard.append)
    again = publish_made(store, edge, created_by="ana", code=tmp_path)
    assert (heard, again.created, litert_digest(again.manifest)) == ([], False, None)
    assert again.remarks == ("lineage `litert` differs from that of `digits:1`",)
    make(task("softmax", ("litert = true", "litert = false")), out)
    assert not edge.litert_path.exists(), "what is published next would not be what was made"
