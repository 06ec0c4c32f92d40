"""What a recipe may say, and what its digest is of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from training.errors import RecipeError
from training.recipe import read_recipe


def _digest(path: Path, old: str = "", new: str = "", code: bytes = b"") -> str:
    path.write_text(path.read_text().replace(old, new) if old else path.read_text())
    return str(read_recipe(path).digest(code))


def test_the_digest_follows_what_decides_the_outcome(recipes: Path) -> None:
    path = recipes / "softmax.toml"
    before = _digest(path)
    assert _digest(path, code=b"def build(): ...") != before
    assert _digest(path, "seed = 1", "seed = 2") != before


def test_the_digest_does_not_follow_how_fast_it_goes(recipes: Path) -> None:
    path = recipes / "softmax.toml"
    before = _digest(path)
    assert _digest(path, "epochs = 4", 'epochs = 4\ncheckpoint_steps = 7\ndevice = "cpu"') == before
    assert _digest(path, "digits.toml", "elsewhere/digits.toml") == before


def test_the_digest_does_not_follow_what_is_written_beside_the_model(recipes: Path) -> None:
    path = recipes / "softmax.toml"
    before = _digest(path)
    assert _digest(path, "[export]", "[export]\nlitert = true") == before
    assert _digest(path, "litert = true", "opset = 20") != before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "linear"', 'name = "linear"\nfile = "own.py"', "either `name` or `file`"),
        ("epochs = 4", "epochs = 4\nshift_pixels = 1", "`shift_pixels` needs `image`"),
        ('name = "linear"', 'name = "transformer"', "network.name"),
    ],
    ids=["both", "shift", "unknown"],
)
def test_what_cannot_be_is_refused_before_anything_is_read(
    old: str, new: str, said: str, recipes: Path
) -> None:
    path = recipes / "softmax.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RecipeError, match=said):
        read_recipe(path)


def test_a_loss_that_does_not_fit_the_task_is_refused(task: Callable[..., object], tmp_path: Path) -> None:
    from training.make import make

    wrong = task("softmax", ("epochs = 4", 'epochs = 4\nloss = "mse"'))
    with pytest.raises(RecipeError, match=r"`fit\.loss` is `mse`"):
        make(wrong, tmp_path / "out")  # type: ignore[arg-type]


def test_words_have_no_litert_file_and_this_is_said_before_the_fit(recipes: Path) -> None:
    path = recipes / "softmax.toml"
    text = path.read_text().replace('name = "linear"', 'name = "embedding"')
    path.write_text(text.replace("[export]", "[export]\nlitert = true"))
    with pytest.raises(RecipeError, match=r"`export\.litert` is for networks of numbers and pictures"):
        read_recipe(path)
