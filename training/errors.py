"""What can go wrong while a model is made.

TrainingError                (``model_store.contract.errors``)
├── RecipeError              a file of this room says something that cannot be (there as well)
├── DataError                the data cannot be read, break their schema, or leak between the parts
├── FitError                 training cannot go on: it diverged, or its checkpoint is another recipe's
├── ExportError              the exported file is not the trained model
├── GateError                what was made is worse than what it was to be better than
└── MissingPackageError      a package of the `train` extra is not installed
"""

from __future__ import annotations

from model_store.contract.errors import RecipeError, TrainingError

__all__ = (
    "DataError",
    "ExportError",
    "FitError",
    "GateError",
    "MissingPackageError",
    "RecipeError",
    "TrainingError",
)


class DataError(TrainingError):
    """The data cannot be read, break their schema, or leak from one part into another."""


class FitError(TrainingError):
    """Training cannot go on. What the last checkpoint holds is kept."""


class ExportError(TrainingError):
    """The exported file does not answer as the trained model does, or cannot be served."""


class GateError(TrainingError):
    """What was made is worse than its bound allows. Nothing was published."""


class MissingPackageError(TrainingError):
    """A package that training needs is not installed; serving never needs it."""
