"""What ``recipe.toml`` may say in place of a network: an estimator by name, and its options."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

from pydantic import Field, model_validator

from model_store.contract.digest import Digest
from training.recipe import Export
from training.written import Strict, read

TABLE = "estimator"
Option = int | float | bool | str | None


class Estimator(Strict):
    """``name`` is one of ``training.estimators.libraries`` or scikit-learn's own, ``sklearn.svm.SVR``.

    ``options`` are the library's. ``standardise`` scales columns by the train part first, inside the model.
    """

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")
    seed: int = Field(default=0, ge=0, lt=2**31)
    standardise: bool = False
    options: dict[str, Option] = Field(default_factory=dict)


class EstimatorRecipe(Strict):
    """The whole of a ``recipe.toml`` with an estimator."""

    model: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    data: str
    estimator: Estimator
    export: Export = Export()

    @model_validator(mode="after")
    def _no_trees_at_the_edge(self) -> EstimatorRecipe:
        if self.export.litert:
            raise ValueError("`export.litert` is for networks; LiteRT has no operators for estimators")
        return self

    def digest(self) -> Digest:
        """Names everything that decides the outcome, besides the data."""
        said = self.model_dump(mode="json")
        del said["data"], said["export"]["litert"]
        return Digest(hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest())


def has_estimator(path: Path) -> bool:
    """Whether the recipe at ``path`` names an estimator; what cannot be read says so when it is read."""
    try:
        return TABLE in tomllib.loads(path.read_bytes().decode())
    except (OSError, ValueError):
        return False


def read_estimator(path: Path) -> EstimatorRecipe:
    """Read the recipe; raises ``RecipeError`` with every mistake in it."""
    return read(path, EstimatorRecipe)
