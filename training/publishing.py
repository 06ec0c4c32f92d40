"""Publish what was made: file, metrics, origin, rows of the test part as its sample, and its page."""

from __future__ import annotations

from pathlib import Path

from model_store.edge import keep_litert
from model_store.lineage import origins, surroundings
from model_store.ports import ObjectStore
from model_store.publish import Published, publish
from model_store.reports import keep_report
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
    report: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Published:
    """Publish ``made`` as the next version of its model; the same bytes again are the version they are.

    ``code`` is the folder whose commit stands in the lineage: the recipe's. ``report`` is the page about it
    (``training.report_page``), which is kept in the store and named by the lineage; so is the LiteRT file
    that was made with it. A version that was published without one stays so, and a remark says it.
    """
    lineage = {
        **surroundings(code),
        **made.lineage,
        **origins(store, parent=parent, step=made.lineage.get("step", "")),
        **(keep_report(store, made.model, report.read_bytes()) if report else {}),
        **(keep_litert(store, made.model, made.litert_path.read_bytes()) if made.litert else {}),
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
