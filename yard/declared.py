"""Which models and aliases a command speaks of when nobody names one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from releases.stage import Stage


def aliases(name: str | None, room: Stage) -> list[tuple[str, str]]:
    """Those the catalog declares, or ``live`` of every model in the store where there is no catalog here."""
    from catalog.load import load_catalog
    from model_store.versions import models
    from yard import deployment

    path = deployment.catalog_path()
    declared: dict[str, tuple[str, ...]] = {}
    if path is not None:
        loaded = load_catalog(path)
        if room.name in loaded.stages:
            declared = {model: item.aliases for model, item in loaded.models_for(room.name).items()}
    if not declared:
        declared = dict.fromkeys(models(room.store), ("live",))
    if name is not None:
        declared = {name: declared.get(name, ("live",))}
    return [(model, alias) for model, aliases in declared.items() for alias in aliases]


def models(room: Stage) -> list[str]:
    """The models of the same."""
    return list(dict.fromkeys(model for model, _ in aliases(None, room)))
