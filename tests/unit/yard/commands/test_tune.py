"""``yard tune``: a table, and a recipe."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.yard.commands.test_train import recipe as recipe

Yard = Callable[..., Any]


def test_the_best_is_named_and_written(recipe: Path, yard: Yard) -> None:
    (recipe.parent / "tune.toml").write_text(
        'recipe = "recipe.toml"\ntrials = 2\nspace = { "fit.learning_rate" = { least = 1e-3, most = 1e-1 } }\n'
    )
    done = yard("tune", "tune.toml")
    assert done.exit_code == 0, done.output
    assert "fit.learning_rate" in done.stdout
    assert "is the best, written to trained/tuned/best.toml" in done.stderr
    found = json.loads(yard("tune", "tune.toml", "--json").stdout)
    assert len(found["trials"]) == 2
    assert found["loss"] == min(trial["loss"] for trial in found["trials"])
    assert yard("train", "trained/tuned/best.toml", "--out", "best").exit_code == 0
