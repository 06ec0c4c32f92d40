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
        ('task = "class', 'engine = "spark"\ntask = "class', "reads `s3` and not `sklearn`"),
        (
            'kind = "sklearn"\nset = "digits"',
            'kind = "s3"\nprefix = "s3:///data/digits/"\nformat = "parquet"',
            "to which rows have no order",
        ),
    ],
    ids=["shares", "inputs", "groups", "stratify", "generator", "options", "kind", "spark", "order"],
)
def test_what_does_not_go_together_is_refused(old: str, new: str, said: str, recipes: Path) -> None:
    path = recipes / "digits.toml"
    text = path.read_text().replace(old, new, 1)
    path.write_text(text if 'kind = "s3"' not in text else f'engine = "spark"\n{text}')
    with pytest.raises(RecipeError, match=said):
        read_data(path)


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ("", "either `since` and `until`, or `days`"),
        ("days = 7\nsince = 2026-11-01T00:00:00Z\nuntil = 2026-11-02T00:00:00Z", "either `since` and"),
        ("since = 2026-11-01T00:00:00Z", "either `since` and `until`"),
        ("since = 2026-11-02T00:00:00Z\nuntil = 2026-11-01T00:00:00Z", "not before `until`"),
        ("since = 2026-11-01T00:00:00\nuntil = 2026-11-02T00:00:00Z", "timezone"),
    ],
    ids=["none", "two", "half", "backwards", "nowhere"],
)
def test_captured_traffic_has_one_window(window: str, said: str, recipes: Path) -> None:
    path = recipes / "digits.toml"
    source = f'kind = "captured"\nmodel = "digits"\nstage = "local"\n{window}'
    path.write_text(path.read_text().replace('kind = "sklearn"\nset = "digits"', source, 1))
    with pytest.raises(RecipeError, match=said):
        read_data(path)
