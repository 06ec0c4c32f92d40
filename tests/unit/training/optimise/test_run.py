"""From a version to smaller ones: made, compared, held to the gate, published with their parent."""

from pathlib import Path

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.names import ByVersion
from model_store.versions import versions
from training.errors import RecipeError
from training.make import Made, Task
from training.optimise.run import check_ways, optimise

DIGITS_1 = ByVersion("digits", 1)


def test_what_passes_is_a_version_of_its_parent_and_what_does_not_is_refused(
    store: MemoryStore, trained: tuple[Task, Made], folder: Path, kept: Path, tmp_path: Path
) -> None:
    ways = ["int8", "distil=small.toml"]
    done = optimise(
        store, DIGITS_1, folder / "recipe.toml", ways, tmp_path, kept, most_loss=0.02, created_by="ana"
    )
    assert [one.how for one in (done.parent, *done.rows)] == ["digits:1", *ways]
    assert list(done.published) == ["int8"]
    assert list(done.refused) == ["distil=small.toml"]
    manifest = done.published["int8"].manifest
    assert manifest.lineage["parent"] == "digits:1"
    assert manifest.lineage["step"] == "int8"
    assert manifest.lineage["data"] == str(trained[0].data.digest)
    assert manifest.metrics["test_accuracy"] == done.rows[0].metrics["accuracy"]
    assert manifest.metrics["p50_ms"] == done.rows[0].p50_ms
    assert versions(store, "digits") == [1, 2]


def test_a_rehearsal_publishes_nothing(store: MemoryStore, folder: Path, kept: Path, tmp_path: Path) -> None:
    done = optimise(
        store,
        DIGITS_1,
        folder / "recipe.toml",
        ["fp16"],
        tmp_path,
        kept,
        most_loss=0.02,
        created_by="ana",
        publish_them=False,
    )
    assert not done.published
    assert not done.refused
    assert versions(store, "digits") == [1]


def test_a_version_of_other_data_is_refused(
    store: MemoryStore, folder: Path, kept: Path, tmp_path: Path
) -> None:
    for name in ("recipe", "digits"):
        text = (folder / f"{name}.toml").read_text()
        (tmp_path / f"{name}.toml").write_text(text.replace("seed = 1797", "seed = 9"))
    with pytest.raises(RecipeError, match="digits:1 was trained on sha256:"):
        optimise(
            store,
            DIGITS_1,
            tmp_path / "recipe.toml",
            ["int8"],
            tmp_path / "o",
            kept,
            most_loss=0,
            created_by="a",
        )


@pytest.mark.parametrize("way", ["int7", "prune", "prune=2", "prune=0.5x", "distil=", "distil"])
def test_a_way_that_does_not_exist_is_refused_first(way: str) -> None:
    with pytest.raises(RecipeError, match=f"`{way}` is no way"):
        check_ways([way])
    check_ways(["int8", "int8-dynamic", "int4", "fp16", "prune=0.5", "prune-units=.25", "distil=small.toml"])
