"""Whether callers may ask what an answer hangs on, and what it costs to know: nothing where not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from functions.inference.released import Unreleased
from model_store.contract.environment import EXPLAIN

if TYPE_CHECKING:
    from functions.inference.quick import Route
    from functions.inference.service import ModelService


def explain_routes(service: ModelService, environ: Mapping[str, str]) -> dict[tuple[str, str], Route]:
    """The routes that explain, if the catalog has them and there is a version to explain."""
    if EXPLAIN not in environ or isinstance(service.served, Unreleased):
        return {}
    from functions.inference.explain import Explainer

    return Explainer(service).routes
