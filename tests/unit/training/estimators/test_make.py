"""From a recipe with an estimator to a file that answers as its library does, and to a version of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.names import ByVersion
from model_store.contract.tensors import TensorSpec
from training.errors import RecipeError
from training.estimators.make import EstimatorTask, make_fitted, read_estimator_task
from training.export.parity import Session
from training.make import read_made
from training.optimise.run import optimise
from training.publishing import publish_made

RECIPE = """
model = "{data}"
data = "{data}.toml"
[estimator]
name = "{name}"
seed = 3
{more}
"""
Read = Callable[..., EstimatorTask]

SMALL = {
    "linear": "options = { max_iter = 200 }\nstandardise = true",
    "nearest": "",
    "random_forest": "options = { n_estimators = 10, max_depth = 8 }",
    "gradient_boosting": "options = { max_iter = 5 }",
    "xgboost": "options = { n_estimators = 5 }",
    "lightgbm": "options = { n_estimators = 5 }",
    "sklearn.svm.SVR": "options = { C = 100.0 }",
}


@pytest.fixture
def read(recipes: Path, kept: Path) -> Read:
    def read(name: str, data: str, more: str | None = None) -> EstimatorTask:
        path = recipes / "estimator.toml"
        options = SMALL[name] if more is None else more
        if data == "diabetes" and name == "linear":
            options = "standardise = true"
        path.write_text(RECIPE.format(name=name, data=data, more=options))
        return read_estimator_task(path, kept)

    return read


@pytest.mark.parametrize("name", [name for name in SMALL if not name.startswith("sklearn.")])
def test_classes_are_answered_as_the_library_answers_them(name: str, read: Read, tmp_path: Path) -> None:
    task = read(name, "digits")
    made = make_fitted(task, tmp_path / "out")
    assert made.parity.rows == 82
    assert made.parity.difference < 1e-4
    session = Session(made.path)
    assert (session.input, session.outputs) == ("inputs", ("label", "probabilities"))
    given = session(task.data.test.inputs)
    assert given["label"].dtype == np.int64
    assert given["probabilities"].shape == (len(task.data.test), 10)
    assert made.metrics["test_accuracy"] == (given["label"] == task.data.test.targets).mean() > 0.8
    assert read_made(tmp_path / "out") == made


@pytest.mark.parametrize("name", list(SMALL))
def test_numbers_are_answered_as_the_library_answers_them(name: str, read: Read, tmp_path: Path) -> None:
    task = read(name, "diabetes")
    made = make_fitted(task, tmp_path / "out")
    session = Session(made.path)
    assert session.outputs == ("value",)
    assert session(task.data.test.inputs)["value"].shape == (len(task.data.test),)
    # The standard deviation of the targets is 77: a model below it knows something.
    assert made.metrics["test_rmse"] < 75
    assert made.graph.parameters > 0


def test_two_classes_have_two_probabilities(read: Read, recipes: Path, tmp_path: Path) -> None:
    """Libraries keep one number for two classes; a caller gets both."""
    (recipes / "cancer.toml").write_text(
        (recipes / "digits.toml")
        .read_text()
        .replace('"digits"', '"breast_cancer"')
        .replace("pixel_*", "feature_*")
        .replace('name = "breast_cancer"', 'name = "cancer"')
    )
    for name in ("xgboost", "lightgbm", "random_forest"):
        task = read(name, "cancer")
        made = make_fitted(task, tmp_path / name)
        odds = Session(made.path)(task.data.test.inputs)["probabilities"]
        assert odds.shape == (len(task.data.test), 2)
        assert np.allclose(odds.sum(1), 1, atol=1e-5)


def test_it_is_published_with_where_it_comes_from(read: Read, recipes: Path, tmp_path: Path) -> None:
    task = read("random_forest", "digits")
    store = MemoryStore()
    made = make_fitted(task, tmp_path / "out")
    manifest = publish_made(store, made, created_by="ana", code=recipes).manifest
    assert manifest.inputs == (TensorSpec("inputs", "FP32", ("batch", 64)),)
    assert manifest.lineage["library"].startswith("scikit-learn ")
    assert manifest.lineage["data"] == str(task.data.digest)
    assert manifest.lineage["recipe"] == str(task.recipe.digest())
    assert manifest.metrics["validation_accuracy"] > 0.8
    assert manifest.golden.is_there


def test_a_forest_can_be_distilled_into_a_network(
    read: Read, recipes: Path, kept: Path, tmp_path: Path
) -> None:
    store = MemoryStore()
    publish_made(
        store, make_fitted(read("random_forest", "digits"), tmp_path / "out"), created_by="ana", code=recipes
    )
    recipe = recipes / "softmax.toml"
    ways = ["distil=softmax.toml"]
    done = optimise(
        store, ByVersion("digits", 1), recipe, ways, tmp_path / "o", kept, most_loss=0.2, created_by="ana"
    )
    assert list(done.published) == ways
    assert done.rows[0].metrics["accuracy"] > 0.8


def test_the_same_data_and_packages_give_the_same_file(read: Read, tmp_path: Path) -> None:
    for name in ("random_forest", "xgboost", "lightgbm"):
        task = read(name, "digits")
        one, other = (make_fitted(task, tmp_path / folder).path.read_bytes() for folder in ("one", "other"))
        assert one == other, name


def test_options_that_the_library_refuses_are_said_in_its_words(read: Read, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot be fitted so: .*n_estimators"):
        make_fitted(read("random_forest", "digits", "options = { n_estimators = 0 }"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_texts_are_for_networks(read: Read, recipes: Path) -> None:
    examples = Path(__file__).parents[4] / "examples" / "sentences"
    for name in ("data.toml", "sentences.csv"):
        (recipes / name).write_bytes((examples / name).read_bytes())
    (recipes / "sentences.toml").write_text((recipes / "data.toml").read_text())
    with pytest.raises(RecipeError, match="`sentences` are texts"):
        read("linear", "sentences")
