"""Estimators by name, made from their library with the recipe's options and seed."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import Any

from training.data.declared import CLASSIFICATION
from training.errors import MissingPackageError, RecipeError
from training.estimators.recipe import Estimator

NAMES = {
    "linear": ("sklearn.linear_model.LogisticRegression", "sklearn.linear_model.Ridge"),
    "nearest": ("sklearn.neighbors.KNeighborsClassifier", "sklearn.neighbors.KNeighborsRegressor"),
    "random_forest": ("sklearn.ensemble.RandomForestClassifier", "sklearn.ensemble.RandomForestRegressor"),
    "gradient_boosting": (
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.ensemble.HistGradientBoostingRegressor",
    ),
    "xgboost": ("xgboost.XGBClassifier", "xgboost.XGBRegressor"),
    "lightgbm": ("lightgbm.LGBMClassifier", "lightgbm.LGBMRegressor"),
}
"""Name: what it is for classes, and what for numbers."""


def make_estimator(estimator: Estimator, task: str) -> Any:
    """The estimator for ``task``, not fitted yet.

    Raises ``RecipeError`` for a name or an option that there is not, ``MissingPackageError`` for a library.
    """
    name = dotted(estimator.name, task)
    kind = _found(name)
    known = set(kind().get_params())
    for option in estimator.options:
        if option not in known:
            raise RecipeError(
                f"`estimator.options.{option}` means nothing to `{name}`",
                hint=f"It knows {', '.join(f'`{word}`' for word in sorted(known)[:40])}.",
            )
    kept: dict[str, Any] = {"random_state": estimator.seed} if "random_state" in known else {}
    if library_of(name) != "scikit-learn":
        # They take every core else.
        kept["n_jobs"] = 1
    if library_of(name) == "lightgbm":
        kept |= {"verbose": -1, "deterministic": True, "force_row_wise": True}
    made = kind(**{**kept, **estimator.options})
    if not estimator.standardise:
        return made
    if library_of(name) != "scikit-learn":
        raise RecipeError(
            f"`estimator.standardise` changes nothing for the trees of `{name}`", hint="Leave it out."
        )
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), made)


def dotted(name: str, task: str) -> str:
    """Where the class called ``name`` is, for ``task``. Raises ``RecipeError`` for no estimator."""
    if name in NAMES:
        return NAMES[name][task != CLASSIFICATION]
    if name.startswith("sklearn."):
        return name
    raise RecipeError(
        f"`{name}` is no estimator",
        hint=f"Write {', '.join(NAMES)}, or a class of scikit-learn such as `sklearn.svm.SVR`.",
    )


def library_of(name: str) -> str:
    """The package that a class at this place comes with."""
    room = name.partition(".")[0]
    return {"sklearn": "scikit-learn"}.get(room, room)


def said_version(name: str) -> str:
    """The library and its version, for the lineage: ``scikit-learn 1.7.2``."""
    library = library_of(name)
    # XGBoost comes under two names, of which one brings no GPU libraries.
    for package in (library, f"{library}-cpu"):
        try:
            return f"{library} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    return library


def _found(name: str) -> Any:
    room, _, kind = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(room), kind, None)
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("sklearn"):
            raise MissingPackageError(
                f"`{name}` needs the package `{error.name}`, which is not installed",
                hint="Run `pip install -r requirements-train.txt -c constraints.txt`.",
            ) from error
        found = None
    if not (isinstance(found, type) and hasattr(found, "fit") and hasattr(found, "predict")):
        raise RecipeError(
            f"`{name}` is no estimator of scikit-learn", hint="Write its class with its module."
        )
    return found
