"""Ours, as the release lays it out: the code of the function, the model layer, the environment."""

from typing import Any


def start(_model_path: str, _model: str, _dtype: str) -> tuple[Any, Any]:
    """Import the handler, which does everything else."""
    from functions.inference import handler as module

    return module.handler, module._served.predictor._session  # type: ignore[union-attr]  # noqa: SLF001
