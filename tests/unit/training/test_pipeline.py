"""From data to a release, and only if what was made is better than what is live."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.names import ByVersion
from model_store.edge import litert_digest, load_litert
from model_store.versions import load_manifest, versions
from training.errors import GateError, RecipeError
from training.make import Task
from training.pipeline import Ran, run

Read = Callable[..., Task]

PIPELINE = 'recipe = "softmax.toml"\n'


def ran(
    recipes: Path, kept: Path, store: MemoryStore, live: ByVersion | None, released: list[ByVersion]
) -> Ran:
    return run(
        recipes / "pipeline.toml",
        recipes / f"run-{len(released)}",
        kept,
        store=store,
        look=lambda: live,
        created_by="ana",
        release=lambda ref, against, shift: released.append(ref),
    )


def test_a_better_model_goes_live_and_an_equal_one_does_not(task: Read, recipes: Path, kept: Path) -> None:
    (recipes / "pipeline.toml").write_text(PIPELINE)
    store, released = MemoryStore(), list[ByVersion]()
    task("softmax", ("epochs = 4", "epochs = 1"))
    first = ran(recipes, kept, store, None, released)
    assert (first.version, first.live, released) == ("digits:1", None, [ByVersion("digits", 1)])
    assert first.report.read_text().startswith("<!doctype html>")

    task("softmax", ("epochs = 1", "epochs = 8"))
    second = ran(recipes, kept, store, released[-1], released)
    assert second.live
    assert second.candidate.metrics["accuracy"] > second.live.metrics["accuracy"]
    assert released[-1] == ByVersion("digits", 2)

    # The same again is no better than itself: nothing is published, nothing is released.
    with pytest.raises(GateError, match=r"that of digits:2 0\.\d+ on the same test data: better by 0\.0000"):
        ran(recipes, kept, store, released[-1], released)
    assert len(released) == 2
    assert versions(store, "digits") == [1, 2]
    steps = json.loads((recipes / "run-2" / "run.json").read_text())
    assert list(steps) == ["data", "train", "optimise", "look", "evaluate"]


def test_the_smallest_form_that_keeps_the_gate_is_the_candidate(
    task: Read, recipes: Path, kept: Path
) -> None:
    (recipes / "pipeline.toml").write_text(
        PIPELINE + 'optimise = ["int8-dynamic", "prune=0.9"]\ngate = { most_loss = 0.03 }\n'
    )
    task("softmax")
    store, released = MemoryStore(), list[ByVersion]()
    done = ran(recipes, kept, store, None, released)
    assert done.candidate.how == "int8-dynamic"
    manifest = load_manifest(store, released[0])
    assert manifest.lineage["step"] == "trained, int8-dynamic"
    assert manifest.metrics["test_accuracy"] == done.candidate.metrics["accuracy"]


def test_a_form_for_phones_goes_with_the_trained_model_and_with_no_optimised_one(
    task: Read, recipes: Path, kept: Path
) -> None:
    task("softmax", ("epochs = 4", "epochs = 1"), ("[export]", "[export]\nlitert = true"))
    store, released = MemoryStore(), list[ByVersion]()
    for optimise in ("", 'optimise = ["int8-dynamic"]\ngate = { most_loss = 0.5 }\n'):
        (recipes / "pipeline.toml").write_text(PIPELINE + optimise)
        ran(recipes, kept, store, None, released)
    trained, smaller = (load_manifest(store, ref) for ref in released)
    assert load_litert(store, trained)[4:8] == b"TFL3"
    assert smaller.lineage["step"] == "trained, int8-dynamic"
    assert litert_digest(smaller) is None


def test_what_cannot_be_is_refused_before_anything_is_made(task: Read, recipes: Path, kept: Path) -> None:
    (recipes / "pipeline.toml").write_text(PIPELINE + 'optimise = ["int5"]\n')
    with pytest.raises(RecipeError, match="`int5` is no way"):
        ran(recipes, kept, MemoryStore(), None, [])
    (recipes / "pipeline.toml").write_text(PIPELINE)
    with pytest.raises(RecipeError, match="cats:1 is live"):
        ran(recipes, kept, MemoryStore(), ByVersion("cats", 1), [])
