"""Which models exist, on which target, with which limits: the file a platform team edits.

``models.toml`` is read by ``load_catalog`` and nothing else; everything it can get wrong is a
``CatalogError`` that names the file, the key, what stands there and what to write instead.
"""

from __future__ import annotations

from catalog.load import load_catalog
from catalog.lock import Lock, load_lock, lock_path
from catalog.schema import Catalog, Model, Stage

__all__ = ["Catalog", "Lock", "Model", "Stage", "load_catalog", "load_lock", "lock_path"]
