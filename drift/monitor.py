"""Judge the versions of a model by what was captured of them: numbers for CloudWatch, and a page for people.

Safe to repeat: it reads, and writes a report an hour and version, which stays as the first of that hour is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drift.captured import Captured, read_captured, versions_captured
from drift.compare import Comparison, compare
from drift.report import page
from drift.truth import LEAST_LABELS, accuracy, given
from model_store.baseline import load_baseline
from model_store.contract.baseline import Baseline
from model_store.contract.capture import hashed, report_key
from model_store.contract.deployment import metrics_namespace
from model_store.contract.environment import ACCURACY_METRIC
from model_store.contract.errors import NotFoundError, SwitchyardError
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.place import placing
from model_store.ports import ObjectStore
from model_store.versions import load_manifest

LONGEST = timedelta(days=366)
"""Labels may be about answers of so long ago; retention, which is shorter, decides what is still there."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One version in one window: what was captured, and how it compares."""

    manifest: Manifest
    baseline: Baseline
    since: datetime
    until: datetime
    captured: Captured
    comparison: Comparison

    @property
    def ref(self) -> ByVersion:
        return self.manifest.ref

    def as_json(self) -> dict[str, Any]:
        comparison = self.comparison
        return {
            "model": self.ref.model,
            "version": self.ref.version,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "rows": comparison.rows,
            "enough": comparison.enough,
            "baseline_rows": self.baseline.rows,
            "metrics": dict(comparison.metrics),
            "worst": dict(comparison.worst),
            "labelled": comparison.labelled,
            "correct": comparison.correct,
            "lost": self.captured.lost,
            "skipped": list(comparison.skipped),
            "drifted": [item.name for item in comparison.drifted],
            "features": [item.as_json() for item in comparison.features],
        }


def judge(
    store: ObjectStore, kept: ObjectStore, ref: ByVersion, since: datetime, until: datetime
) -> Judgement:
    """Compare what was captured of ``ref`` from ``since`` to ``until`` with its baseline.

    Labels that were given in the window count, whenever their requests were captured. Raises
    ``NotFoundError`` for a version that does not exist, or was published without a baseline.
    """
    manifest = load_manifest(store, ref)
    baseline = load_baseline(store, manifest)
    captured = read_captured(kept, manifest, since, until)
    comparison = compare(
        baseline,
        captured.features,
        rows=captured.rows,
        hashed=lambda word: hashed(ref.model, word),
        hashed_tensors=captured.hashed,
    )
    labels = given(kept, ref.model, since, until)
    if labels:
        answers = read_captured(kept, manifest, until - LONGEST, until).answers
        comparison = _with_accuracy(comparison, *accuracy(answers, labels))
    return Judgement(manifest, baseline, since, until, captured, comparison)


def _with_accuracy(comparison: Comparison, labelled: int, correct: int) -> Comparison:
    metrics = dict(comparison.metrics)
    if labelled >= LEAST_LABELS:
        metrics[ACCURACY_METRIC] = round(correct / labelled, 6)
    return replace(comparison, labelled=labelled, correct=correct, metrics=metrics)


def judge_all(
    store: ObjectStore, kept: ObjectStore, model: str, since: datetime, until: datetime
) -> Iterator[Judgement | SwitchyardError]:
    """Judge every version that was captured in the window, the one with the most rows first.

    What cannot be judged is an error in its place, and does not keep the others from it.
    """
    judged: list[Judgement] = []
    failed: list[SwitchyardError] = []
    for version in versions_captured(kept, model, since, until):
        try:
            judged.append(judge(store, kept, ByVersion(model, version), since, until))
        except SwitchyardError as error:
            failed.append(error)
    yield from sorted(judged, key=lambda one: (-one.captured.rows, -one.ref.version))
    yield from failed


def leading(store: ObjectStore, kept: ObjectStore, model: str, since: datetime, until: datetime) -> Judgement:
    """The judgement of the version that answered most of what was captured.

    Raises ``NotFoundError`` where nothing was, and what was wrong with a version where none can be judged.
    """
    for judged in judge_all(store, kept, model, since, until):
        if isinstance(judged, SwitchyardError):
            raise judged
        return judged
    raise NotFoundError(
        f"nothing was captured of `{model}` since {since:%Y-%m-%d %H:%M} UTC",
        hint="Look farther back with `--since`, or see that the catalog keeps requests of it "
        f"(`[models.{model}.capture]`) and that it was released since.",
    )


def metrics_line(stage: str, judgement: Judgement, *, leads: bool) -> dict[str, Any]:
    """The log line that CloudWatch makes metrics of (embedded metric format).

    The version that ``leads``, the one that answered most, is the model's number too. The worst feature is a
    property: a dimension of that many values would be a metric for each (law 11).
    """
    sets = [["model"], ["model", "version"]] if leads else [["model", "version"]]
    metrics = judgement.comparison.metrics
    line: dict[str, Any] = {
        "monitor": "drift",
        "stage": stage,
        "model": judgement.ref.model,
        "version": str(judgement.ref.version),
        "rows": judgement.comparison.rows,
        "enough": judgement.comparison.enough,
        "labelled": judgement.comparison.labelled,
        "lost": judgement.captured.lost,
        "unreadable": judgement.captured.unreadable,
        "worst": dict(judgement.comparison.worst),
        "drifted": [item.name for item in judgement.comparison.drifted[:10]],
    }
    if metrics:
        line |= metrics
        line["_aws"] = {
            "Timestamp": int(judgement.until.timestamp() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": metrics_namespace(stage),
                    "Dimensions": sets,
                    "Metrics": [{"Name": name, "Unit": "None"} for name in metrics],
                }
            ],
        }
    return line


def write_report(kept: ObjectStore, stage: str, judgement: Judgement) -> str:
    """Store the page of a judgement; the key it stands at. The first of an hour stays."""
    key = report_key(judgement.ref.model, judgement.ref.version, judgement.until)
    kept.try_put_once(key, page(judgement, stage).encode())
    return key


def write_page(path: Path, judgement: Judgement, stage: str) -> None:
    """Write the page of a judgement to a file; an earlier one there is replaced."""
    with placing(path) as file:
        file.write(page(judgement, stage).encode())


def watch(
    store: ObjectStore,
    kept: ObjectStore,
    stage: str,
    model: str,
    *,
    window_hours: int,
    now: datetime | None = None,
) -> Iterator[dict[str, Any]]:
    """Judge a model's last hours, write its reports, and give the lines to log."""
    until = now or datetime.now(UTC)
    leads = True
    for judged in judge_all(store, kept, model, until - timedelta(hours=window_hours), until):
        if isinstance(judged, SwitchyardError):
            yield {"monitor": "drift", "stage": stage, "model": model, "skipped": str(judged)}
            continue
        line = metrics_line(stage, judged, leads=leads)
        yield {**line, "report": write_report(kept, stage, judged)}
        leads = False
