"""Every recipe of the examples can be read, and its data and network fit together."""

from pathlib import Path

import pytest

from training.estimators.make import make_fitted, read_estimator_task
from training.estimators.recipe import has_estimator
from training.make import read_task
from training.steps import read_pipeline
from training.tune import Search
from training.written import read

EXAMPLES = Path(__file__).parents[3] / "examples"
FOREST = 0.97
"""What docs/training.md says."""

RECIPES = sorted(
    str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.toml") if "[fit]" in path.read_text()
)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_s_data_and_network_fit_together(recipe: str, tmp_path: Path) -> None:
    task = read_task(EXAMPLES / recipe, tmp_path)
    assert sum(parameter.numel() for parameter in task.network().parameters()) > 600


def test_the_forest_is_made_and_as_good_as_it_says(tmp_path: Path) -> None:
    recipe = EXAMPLES / "digits" / "forest.toml"
    assert has_estimator(recipe)
    made = make_fitted(read_estimator_task(recipe, tmp_path), tmp_path / "out")
    assert made.metrics["test_accuracy"] == pytest.approx(FOREST, abs=0.02)


def test_the_perceptron_is_the_one_it_says() -> None:
    text = (EXAMPLES / "perceptron" / "recipe.toml").read_text()
    assert "[500, 250, 100]" in text
    assert "n_features = 1000" in (EXAMPLES / "perceptron" / "data.toml").read_text()


def test_the_search_and_the_pipeline_of_digits_name_recipes_that_are_there() -> None:
    digits = EXAMPLES / "digits"
    assert (digits / read(digits / "tune.toml", Search).recipe).is_file()
    assert (digits / read_pipeline(digits / "pipeline.toml").recipe).is_file()
