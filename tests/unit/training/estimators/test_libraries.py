"""Estimators by name: which class, with which options, and what is refused."""

import pytest

from training.data.declared import CLASSIFICATION, REGRESSION
from training.errors import MissingPackageError, RecipeError
from training.estimators.libraries import NAMES, dotted, make_estimator, said_version
from training.estimators.recipe import Estimator


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("task", [CLASSIFICATION, REGRESSION])
def test_every_name_is_an_estimator_of_its_task(name: str, task: str) -> None:
    made = make_estimator(Estimator(name=name, seed=7), task)
    assert (
        f"{type(made).__module__}.{type(made).__name__}".partition(".")[0]
        == dotted(name, task).partition(".")[0]
    )
    assert type(made).__name__ == dotted(name, task).rpartition(".")[2]
    known = made.get_params()
    assert known.get("random_state", 7) == 7
    assert known.get("n_jobs") in (None, 1)
    assert said_version(dotted(name, task)).split()[1][0].isdigit()


def test_any_class_of_scikit_learn_goes_by_its_own_name_and_may_be_scaled_first() -> None:
    made = make_estimator(Estimator(name="sklearn.svm.SVR", standardise=True, options={"C": 2.0}), REGRESSION)
    assert [step for step, _ in made.steps] == ["standardscaler", "svr"]
    assert made.steps[-1][1].C == 2.0


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (Estimator(name="forest"), "`forest` is no estimator"),
        (Estimator(name="os.system"), "`os.system` is no estimator"),
        (Estimator(name="sklearn.svm.SVX"), "`sklearn.svm.SVX` is no estimator of scikit-learn"),
        (Estimator(name="sklearn.nowhere.SVR"), "`sklearn.nowhere.SVR` is no estimator of scikit-learn"),
        (Estimator(name="sklearn.preprocessing.StandardScaler"), "is no estimator of scikit-learn"),
        (Estimator(name="linear", options={"depth": 3}), "`estimator.options.depth` means nothing"),
        (Estimator(name="xgboost", standardise=True), "changes nothing for the trees"),
    ],
    ids=["name", "module", "class", "room", "no-estimator", "option", "scaled-trees"],
)
def test_what_there_is_not_is_refused_with_what_there_is(estimator: Estimator, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        make_estimator(estimator, CLASSIFICATION)


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)
    with pytest.raises(MissingPackageError, match="needs the package `lightgbm`"):
        make_estimator(Estimator(name="lightgbm"), CLASSIFICATION)
