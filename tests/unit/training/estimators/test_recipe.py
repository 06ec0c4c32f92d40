"""A recipe with an estimator: what it may say, and how it is told from one with a network."""

from pathlib import Path

import pytest

from training.errors import RecipeError
from training.estimators.recipe import has_estimator, read_estimator

RECIPE = 'model = "digits"\ndata = "data.toml"\n[estimator]\nname = "linear"\n'


def test_a_recipe_says_by_its_table_that_it_is_one(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    assert has_estimator(path)
    path.write_text(RECIPE.replace("[estimator]", "[network]"))
    assert not has_estimator(path)
    path.write_text("model = ")
    assert not has_estimator(path), "what cannot be read says so when it is read"
    assert not has_estimator(tmp_path / "nowhere.toml")


def test_every_mistake_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace("name =", "nam =").replace('"digits"', '"Digits"'))
    with pytest.raises(RecipeError) as refused:
        read_estimator(path)
    assert all(word in str(refused.value) for word in ("`model`", "`estimator.nam`", "`estimator.name`"))


def test_an_estimator_has_no_litert_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE + "[export]\nlitert = true\n")
    with pytest.raises(RecipeError, match=r"`export\.litert` is for networks"):
        read_estimator(path)


def test_its_digest_names_what_decides_the_outcome_and_not_where_the_data_are(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"

    def digest(text: str) -> str:
        path.write_text(text)
        return str(read_estimator(path).digest())

    first = digest(RECIPE)
    assert digest(RECIPE.replace("data.toml", "elsewhere/data.toml")) == first
    assert digest(RECIPE + "seed = 2\n") != first
    assert digest(RECIPE + "options = { C = 0.5 }\n") != first
