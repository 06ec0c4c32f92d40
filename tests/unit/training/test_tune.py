"""A search: within its ranges, stopped early, gone on with, and its best trial a recipe."""

from pathlib import Path

import pytest
from PIL import Image

from training.errors import RecipeError
from training.make import make, read_task
from training.tune import BEST, PLOT, STUDY, Range, tune

SEARCH = """
recipe = "softmax.toml"
trials = 6
seed = 3
warm_up = 1
[space]
"fit.learning_rate" = { least = 1e-5, most = 1e-1, log = true }
"fit.batch_size" = { least = 64, most = 256, whole = true }
"fit.optimiser" = { one_of = ["adam", "sgd"] }
"""


@pytest.fixture
def search(recipes: Path) -> Path:
    (recipes / "tune.toml").write_text(SEARCH)
    return recipes / "tune.toml"


def test_the_best_trial_is_written_as_a_recipe_that_makes_what_it_promised(
    search: Path, tmp_path: Path, kept: Path
) -> None:
    folder = tmp_path / "tuned"
    done = tune(search, folder, kept)
    over = [trial for trial in done.trials if trial.state in ("complete", "pruned")]
    assert len(over) == 6
    for trial in over:
        assert 1e-5 <= float(trial.values["fit.learning_rate"]) <= 1e-1
        assert 64 <= float(trial.values["fit.batch_size"]) <= 256
        assert trial.values["fit.optimiser"] in ("adam", "sgd")
    assert done.best.loss == min(trial.loss for trial in over if trial.state == "complete" and trial.loss)
    made = make(read_task(folder / BEST, kept), tmp_path / "out")
    assert made.metrics["validation_loss"] == pytest.approx(done.best.loss)
    with Image.open(folder / PLOT) as plot:
        assert plot.format == "PNG"


def test_a_search_goes_on_from_what_is_over(search: Path, tmp_path: Path, kept: Path) -> None:
    folder = tmp_path / "tuned"
    search.write_text(SEARCH.replace("trials = 6", "trials = 2"))
    first = tune(search, folder, kept)
    heard: list[str] = []
    tune(search, folder, kept, say=heard.append)
    assert heard == []
    search.write_text(SEARCH.replace("trials = 6", "trials = 4"))
    more = tune(search, folder, kept, say=heard.append)
    assert len(heard) == 2
    assert more.trials[:2] == first.trials
    assert (folder / STUDY).is_file()


def test_several_processes_share_one_search(search: Path, tmp_path: Path, kept: Path) -> None:
    search.write_text(SEARCH.replace("trials = 6", "trials = 3"))
    done = tune(search, tmp_path / "tuned", kept, processes=2)
    assert len([trial for trial in done.trials if trial.state in ("complete", "pruned")]) >= 3
    assert len({str(trial.values) for trial in done.trials}) == len(done.trials)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"fit.learning_rate"', '"fit.learning_speed"', "`fit.learning_speed`"),
        ('["adam", "sgd"]', '["sdg"]', "`fit.optimiser`"),
        ("least = 64, ", "", "either `least` and `most`, or `one_of`"),
    ],
    ids=["key", "value", "bounds"],
)
def test_a_space_that_the_recipe_does_not_have_is_refused_first(
    old: str, new: str, said: str, search: Path, tmp_path: Path, kept: Path
) -> None:
    search.write_text(SEARCH.replace(old, new))
    with pytest.raises(RecipeError, match=said):
        tune(search, tmp_path / "tuned", kept)
    assert not (tmp_path / "tuned").exists()


def test_a_range_is_bounds_or_values() -> None:
    with pytest.raises(ValueError, match="either"):
        Range(least=1.0, most=2.0, one_of=(1.0,))
