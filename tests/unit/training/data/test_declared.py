"""What ``data.toml`` may say."""

from pathlib import Path

import pytest

from training.data.declared import read_data
from training.errors import RecipeError


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed = 1797", "seed = 1797\ntrain = 0.7", "do not make 1"),
        ('features = ["pixel_*"]', "", "either `features` or `text`"),
        ('target = "target"', 'target = "target"\ngroup = "writer"', "cannot both be kept"),
        ('task = "classification"', 'task = "regression"', "needs classes"),
        ('set = "digits"', 'set = "regression"', "write its seed"),
        ('set = "digits"', 'set = "digits"\noptions = { random_state = 1 }', "takes no `options`"),
        ('kind = "sklearn"', 'kind = "oracle"', "source"),
    ],
    ids=["shares", "inputs", "groups", "stratify", "generator", "options", "kind"],
)
def test_what_does_not_go_together_is_refused(old: str, new: str, said: str, recipes: Path) -> None:
    path = recipes / "digits.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(RecipeError, match=said):
        read_data(path)
