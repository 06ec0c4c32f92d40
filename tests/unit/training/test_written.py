"""Files of the training room: every mistake at once, each with its key."""

from pathlib import Path

import pytest

from training.data.declared import read_data
from training.errors import RecipeError
from training.recipe import read_recipe


def test_every_mistake_of_a_recipe_is_said_at_once(recipes: Path) -> None:
    path = recipes / "softmax.toml"
    path.write_text(path.read_text().replace("epochs = 4", 'epochs = 0\noptimiser = "sdg"\nspeed = 3'))
    with pytest.raises(RecipeError) as refused:
        read_recipe(path)
    for key in ("`fit.epochs`", "`fit.optimiser`", "`fit.speed`"):
        assert key in str(refused.value)


@pytest.mark.parametrize(
    ("data", "said"), [(b"model = ", "not TOML"), (b"\xff", "not UTF-8"), (None, "cannot be read")]
)
def test_a_file_that_is_none_is_one_sentence(data: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(RecipeError, match=said):
        read_recipe(path)


def test_texts_are_not_taken_for_numbers(recipes: Path) -> None:
    path = recipes / "digits.toml"
    path.write_text(path.read_text().replace("seed = 1797", 'seed = "1797"'))
    with pytest.raises(RecipeError, match=r"`split\.seed`"):
        read_data(path)
