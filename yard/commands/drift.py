"""``yard drift`` and ``yard truth``: how far requests moved from the training data, and what was right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yard import options, output

if TYPE_CHECKING:
    from datetime import timedelta

    from drift.compare import Drift
    from drift.monitor import Judgement
    from model_store.adapters.s3 import S3Store

LISTED = 12
"""So many of the farthest features are printed; the page has them all."""

Version = Annotated[
    int | None, typer.Option("--version", metavar="N", help="Which version; else the one that answered most.")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the report page there.")]


def drift(
    name: options.ModelName,
    version: Version = None,
    since: options.Since = "24h",
    out: Out = None,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Compare what was captured of a model with what its version was trained on.

    The same comparison as the hourly monitor's. Exits 1 when a feature is beyond a limit.
    Example: yard drift digits --since 24h --out drift.html
    """
    from datetime import timedelta

    from drift.monitor import write_page
    from model_store.contract.names import check_name
    from yard import shifts

    check_name(name)
    judged = _judged(name, version, timedelta(seconds=shifts.seconds(since)), stage)
    if out is not None:
        write_page(out, judged, stage)
        output.done(f"the report is {out}")
    if as_json:
        output.print_json(judged.as_json())
    else:
        _show(judged)
    if judged.comparison.drifted:
        raise typer.Exit(1)


def truth(
    name: options.ModelName,
    path: Annotated[Path, typer.Argument(metavar="LABELS", help="CSV: request_id,label or id,row,label.")],
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """Say what was right: labels for captured requests, of which the monitor makes the accuracy.

    Example: yard truth digits labels.csv
    """
    from datetime import UTC, datetime

    from drift.truth import give, read_labels
    from model_store.contract.names import check_name
    from model_store.place import local_files

    check_name(name)
    with local_files(path):
        text = path.read_text("utf-8", "replace")
    labels = read_labels(path.name, text)
    key = give(_kept(stage), name, labels, datetime.now(UTC))
    output.done(f"{len(labels):,} labels for {name} are given; the monitor counts them with its next run")
    if as_json:
        output.print_json({"model": name, "labels": len(labels), "key": key})


def _kept(stage: str) -> S3Store:
    from model_store.adapters.s3 import S3Store
    from releases.errors import NotDeployedError
    from yard import deployment

    place = deployment.find(stage)
    if place.capture_bucket is None:
        raise NotDeployedError(
            f"stage `{stage}` keeps no requests",
            hint="Add `[models.NAME.capture]` with a `rate` to the catalog, deploy, and release again.",
        )
    return S3Store(place.capture_bucket)


def _judged(name: str, version: int | None, window: timedelta, stage: str) -> Judgement:
    from datetime import UTC, datetime

    from drift.monitor import judge, leading
    from model_store.contract.names import ByVersion
    from yard import deployment

    kept, store = _kept(stage), deployment.find(stage).store()
    until = datetime.now(UTC)
    since = until - window
    with output.working(f"comparing {name}"):
        if version is not None:
            return judge(store, kept, ByVersion(name, version), since, until)
        return leading(store, kept, name, since, until)


def _show(judged: Judgement) -> None:
    from drift.compare import LEAST_ROWS, by_distance

    comparison = judged.comparison
    rows = [
        (
            item.name,
            item.side,
            f"{item.psi:.3f}",
            f"{item.by_chance:.3f}",
            _distance(item),
            f"{item.missing:.1%}",
            f"{item.out_of_range:.1%}",
            ", ".join(item.findings) if comparison.enough else "",
        )
        for item in by_distance(comparison.features)[:LISTED]
    ]
    title = f"{judged.ref}: {comparison.rows:,} captured rows against {judged.baseline.rows:,} of training"
    heads = ["feature", "side", "PSI", "by chance", "KS or shift", "missing", "out of range", "beyond"]
    output.data.print(output.table(title, heads, rows))
    if comparison.labelled:
        share = comparison.correct / comparison.labelled
        output.data.print(
            f"accuracy {share:.4f}: {comparison.correct} of {comparison.labelled} with a known truth"
        )
    if captured_lost := judged.captured.lost:
        output.warn(f"{captured_lost} sampled requests could not be kept")
    if not comparison.enough:
        output.warn(f"{comparison.rows} rows are too few to judge; {LEAST_ROWS} are needed")
    elif comparison.drifted:
        named = ", ".join(item.name for item in comparison.drifted[:5])
        output.warn(f"{len(comparison.drifted)} of {len(comparison.features)} features drifted: {named}")
    else:
        output.done("no feature is beyond a limit")


def _distance(item: Drift) -> str:
    return f"{item.category_shift if item.kind == 'category' else item.ks:.3f}"
