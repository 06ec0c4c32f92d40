"""``training.steps``: each step reads folders and leaves one; what it came to stands in its facts."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from model_store.contract.training import OPERATIONS, STEPS
from training.errors import GateError, RecipeError
from training.make import Task
from training.optimise.compare import Row
from training.steps import DO, Work, check_better, do

Read = Callable[..., Task]


@pytest.mark.parametrize(
    ("mine", "theirs", "task", "least", "passes"),
    [
        (0.95, 0.94, "classification", 0.0, True),
        (0.95, 0.94, "classification", 0.02, False),
        (0.94, 0.94, "classification", 0.0, False),
        (1.8, 2.0, "regression", 0.05, True),
        (2.1, 2.0, "regression", 0.0, False),
    ],
    ids=["better", "not-enough", "equal", "smaller-error", "larger-error"],
)
def test_what_is_live_must_be_beaten(
    mine: float, theirs: float, task: str, least: float, passes: bool
) -> None:
    name = "accuracy" if task == "classification" else "rmse"
    one, other = (Row(how, 1, 1.0, 1.0, {name: worth}, 0.0) for how, worth in (("m", mine), ("m:1", theirs)))
    if passes:
        check_better(one, other, task, least=least)
    else:
        with pytest.raises(GateError, match="on the same test data"):
            check_better(one, other, task, least=least)


def test_there_is_code_for_every_step_of_the_graph_and_for_no_other() -> None:
    assert list(DO) == [step.name for step in STEPS if step.by != OPERATIONS]


def test_other_data_are_another_training_and_meet_no_old_checkpoint(
    task: Read, recipes: Path, kept: Path
) -> None:
    (recipes / "pipeline.toml").write_text('recipe = "softmax.toml"\n')
    task("softmax", ("epochs = 4", "epochs = 1"))
    done = recipes / "run"
    work = Work(recipes / "pipeline.toml", done, done / "data", kept)
    for seed in (1797, 1798):
        (recipes / "digits.toml").write_text(
            (recipes / "digits.toml").read_text().replace("seed = 1797", f"seed = {seed}")
        )
        facts = do("data", work)
        assert facts["rows"]["kept"] == 1797
        do("train", replace(work, out=done / "train"))
    assert len(list((done / "train" / "checkpoints").iterdir())) == 2
    assert json.loads((done / "data" / "facts.json").read_text()) == facts


def test_a_step_whose_predecessor_left_nothing_says_which(task: Read, recipes: Path, kept: Path) -> None:
    (recipes / "pipeline.toml").write_text('recipe = "softmax.toml"\n')
    task("softmax")
    with pytest.raises(RecipeError, match="the step `data` left nothing"):
        do("train", Work(recipes / "pipeline.toml", recipes / "run", recipes / "out", kept))
