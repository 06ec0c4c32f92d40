"""``drift.monitor``: versions are judged, the one that answers most is the model's number, nobody stops the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from drift.monitor import judge, judge_all, leading, metrics_line, watch, write_page
from drift.truth import LEAST_LABELS, give
from model_store.adapters.memory import MemoryStore
from model_store.contract.capture import hashed
from model_store.contract.errors import NotFoundError
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.publish import publish
from tests.unit.drift.conftest import NOW, Watched, sign_model, trained

DAY = timedelta(days=1)
REF = ByVersion("sign", 1)


def test_rows_as_at_training_are_no_drift_and_moved_ones_are(
    watched: Watched, random: np.random.Generator
) -> None:
    watched.capture(trained(random, 400))
    plain = judge(watched.store, watched.kept, REF, NOW - DAY, NOW)
    assert plain.comparison.drifted == ()
    watched.capture(trained(random, 1_000, shift=1.5))
    moved = judge(watched.store, watched.kept, REF, NOW - DAY, NOW)
    assert moved.comparison.worst["DriftPsi"] == "x[0]"
    assert moved.comparison.metrics["DriftPsi"] > 0.25
    assert moved.comparison.metrics["OutputDrift"] > plain.comparison.metrics["OutputDrift"]


def test_the_line_has_two_sets_of_dimensions_for_the_version_that_leads_and_one_for_others(
    watched: Watched, random: np.random.Generator
) -> None:
    """Law 11: metrics are bounded; the worst feature is a property."""
    watched.capture(trained(random, 300))
    judged = judge(watched.store, watched.kept, REF, NOW - DAY, NOW)
    line = metrics_line("prod", judged, leads=True)
    (metric,) = line["_aws"]["CloudWatchMetrics"]
    assert metric["Namespace"] == "Switchyard/prod"
    assert metric["Dimensions"] == [["model"], ["model", "version"]]
    assert {item["Name"] for item in metric["Metrics"]} == {
        *("DriftPsi", "DriftKs", "MissingRate", "OutOfRangeRate", "OutputDrift"),
    }
    assert all(isinstance(line[item["Name"]], float) for item in metric["Metrics"])
    assert line["worst"]["DriftPsi"] in {"x[0]", "x[1]"}
    other = metrics_line("prod", judged, leads=False)
    assert other["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["model", "version"]]


def test_too_few_rows_are_a_line_without_metrics(watched: Watched) -> None:
    watched.capture([[1.0, 0.0]])
    line = metrics_line("prod", judge(watched.store, watched.kept, REF, NOW - DAY, NOW), leads=True)
    assert "_aws" not in line
    assert (line["rows"], line["enough"]) == (1, False)


def test_the_version_that_answered_most_leads(
    watched: Watched, publish_sign: Callable[[MemoryStore], Manifest], random: np.random.Generator
) -> None:
    publish_sign(watched.store)
    watched.capture(trained(random, 250), version=1)
    watched.capture(trained(random, 300), version=2)
    lines = list(watch(watched.store, watched.kept, "prod", "sign", window_hours=24, now=NOW))
    assert [(line["version"], len(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"])) for line in lines] == [
        ("2", 2),
        ("1", 1),
    ]
    assert leading(watched.store, watched.kept, "sign", NOW - DAY, NOW).ref.version == 2


def test_a_version_without_a_baseline_is_named_and_does_not_stop_the_others(
    watched: Watched, tmp_path: Path, random: np.random.Generator
) -> None:
    publish(watched.store, "sign", sign_model(tmp_path / "model.onnx"), created_by="ana", force_new=True)
    watched.capture(trained(random, 300), version=1)
    watched.capture(trained(random, 900), version=2)
    first, second = watch(watched.store, watched.kept, "prod", "sign", window_hours=24, now=NOW)
    assert first["version"] == "1"
    assert "without a baseline" in second["skipped"]
    assert len(list(judge_all(watched.store, watched.kept, "sign", NOW - DAY, NOW))) == 2


def test_the_report_of_an_hour_is_written_once(watched: Watched, random: np.random.Generator) -> None:
    watched.capture(trained(random, 300))
    (line,) = watch(watched.store, watched.kept, "prod", "sign", window_hours=24, now=NOW)
    assert line["report"] == "reports/sign/000000001/2026/11/22/15.html"
    first = watched.kept.get(line["report"])
    watched.capture(trained(random, 300, shift=5))
    list(watch(watched.store, watched.kept, "prod", "sign", window_hours=24, now=NOW))
    assert watched.kept.get(line["report"]) == first


def test_labels_of_today_count_for_answers_of_last_week(
    watched: Watched, random: np.random.Generator
) -> None:
    watched.capture([[1.0, 0.0]] * LEAST_LABELS, at=NOW - 7 * DAY)
    watched.capture(trained(random, 250))
    labels = {(f"r0-{row}", 0): "0" if row else "1" for row in range(LEAST_LABELS)}
    give(watched.kept, "sign", labels, NOW)
    found = judge(watched.store, watched.kept, REF, NOW - DAY, NOW).comparison
    assert (found.labelled, found.correct) == (LEAST_LABELS, LEAST_LABELS - 1)
    assert found.metrics["Accuracy"] == pytest.approx(29 / 30, abs=1e-6)


def test_a_few_labels_are_counted_and_are_no_metric(watched: Watched, random: np.random.Generator) -> None:
    watched.capture(trained(random, 250))
    give(watched.kept, "sign", {("r0-1", 0): "0"}, NOW)
    found = judge(watched.store, watched.kept, REF, NOW - DAY, NOW).comparison
    assert found.labelled == 1
    assert "Accuracy" not in found.metrics


def test_what_was_hashed_is_compared_where_words_are_and_skipped_where_numbers_are(
    watched: Watched, random: np.random.Generator
) -> None:
    rows = [[hashed("sign", float(value)) for value in row] for row in trained(random, 250)]
    watched.capture(rows, x_kind="text", about={"hashed": "x"})
    found = judge(watched.store, watched.kept, REF, NOW - DAY, NOW).comparison
    assert found.skipped == ("x[0]", "x[1]")
    assert [item.name for item in found.features] == ["label"]


def test_where_nothing_was_captured_the_way_out_is_said(watched: Watched) -> None:
    with pytest.raises(NotFoundError, match="nothing was captured of `sign`") as refused:
        leading(watched.store, watched.kept, "sign", NOW - DAY, NOW)
    assert "models.sign.capture" in str(refused.value.hint)


def test_a_judgement_is_a_document_and_a_page(
    watched: Watched, tmp_path: Path, random: np.random.Generator
) -> None:
    watched.capture(trained(random, 300, shift=3))
    judged = judge(watched.store, watched.kept, REF, NOW - DAY, NOW)
    document = json.loads(json.dumps(judged.as_json()))
    assert document["drifted"][0] == "x[0]"
    assert document["features"][0]["findings"]
    write_page(tmp_path / "page.html", judged, "prod")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
