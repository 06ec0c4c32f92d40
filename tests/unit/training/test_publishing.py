"""What was made becomes a version that says where it is from."""

from collections.abc import Callable
from pathlib import Path

from model_store.adapters.memory import MemoryStore
from training.make import Task, make
from training.publishing import publish_made


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
