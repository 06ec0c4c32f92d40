"""Publish what was made: file, metrics, where it comes from, and rows of the test part as its sample."""

from __future__ import annotations

from pathlib import Path

from model_store.lineage import origins, surroundings
from model_store.ports import ObjectStore
from model_store.publish import Published, publish
from model_store.send import OnProgress
from training.make import SAMPLE, Made


def publish_made(
    store: ObjectStore,
    made: Made,
    *,
    created_by: str,
    code: Path,
    parent: str | None = None,
    note: str = "",
    on_progress: OnProgress | None = None,
) -> Published:
    """Publish ``made`` as the next version of its model; the same bytes again are the version they are.

    ``code`` is the folder whose commit stands in the lineage: the recipe's.
    """
    lineage = {
        **surroundings(code),
        **made.lineage,
        **origins(store, parent=parent, step=made.lineage.get("step", "")),
    }
    return publish(
        store,
        made.model,
        made.path,
        sample=made.folder / SAMPLE,
        metrics=made.metrics,
        note=note,
        lineage=lineage,
        created_by=created_by,
        on_progress=on_progress,
    )
