"""``examples/prometheus``: rules and a board that ask for what the container really shows.

Every expression is parsed by PromQL's own grammar (``promql-parser``); where ``promtool`` is installed, it checks
configuration and rules, and plays ``rules_test.yml``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from functions.endpoint.metrics import Metrics
from functions.endpoint.statuses import OUTCOMES
from tests.conftest import ROOT

FOLDER = ROOT / "examples" / "prometheus"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
BOARD = json.loads((FOLDER / "grafana.json").read_text())
TARGETS = [
    (panel["title"], target["expr"], target["legendFormat"])
    for panel in BOARD["panels"]
    for target in panel["targets"]
]
EXPRESSIONS = [(rule.get("record") or rule["alert"], rule["expr"]) for rule in RULES]
EXPRESSIONS += [(f"{title} {number}", expr) for number, (title, expr, _) in enumerate(TARGETS)]
OF_PROMETHEUS = {"job", "instance", "stage"}


def series_of_the_container() -> dict[str, set[str]]:
    """Every series of ``/metrics`` and its labels."""
    metrics = Metrics("bert", "3")
    metrics.finished("ok", 0.01)
    metrics.batch(4, [0.001])
    page = metrics.page().decode()
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


KNOWN = series_of_the_container()
RECORDED = {rule["record"]: {"model", "version"} for rule in RULES if "record" in rule}


def selectors(found: Any) -> Iterator[Any]:
    """Every series that an expression asks for."""
    if isinstance(found, promql.VectorSelector):
        yield found
    elif isinstance(found, promql.MatrixSelector):
        yield found.vector_selector
    elif isinstance(found, promql.BinaryExpr):
        yield from selectors(found.lhs)
        yield from selectors(found.rhs)
    elif isinstance(found, promql.Call):
        for argument in found.args:
            yield from selectors(argument)
    elif isinstance(found, promql.AggregateExpr | promql.ParenExpr | promql.UnaryExpr):
        yield from selectors(found.expr)


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=[name for name, _ in EXPRESSIONS])
def test_every_expression_asks_for_series_and_labels_that_there_are(name: str, expression: str) -> None:
    found = list(selectors(promql.parse(expression)))
    assert found, name
    for selector in found:
        labels = {**KNOWN, **RECORDED, "up": set()}[selector.name]
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels | OF_PROMETHEUS, (name, matcher.name)
            if matcher.name == "outcome":
                assert set(matcher.value.split("|")) <= set(OUTCOMES)


def test_every_series_of_the_container_is_asked_for_by_somebody() -> None:
    asked = {
        selector.name for _, expression in EXPRESSIONS for selector in selectors(promql.parse(expression))
    }
    families = {re.sub(r"_(bucket|sum|count|created|total)$", "", name) for name in KNOWN}
    assert families == {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in asked if name in KNOWN}
    assert set(RECORDED) <= asked


def test_an_alert_says_what_to_do() -> None:
    alerts = [rule for rule in RULES if "alert" in rule]
    assert len(alerts) == 4
    for rule in alerts:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["action"]
        assert "{{ $labels." in rule["annotations"]["summary"]


def test_the_board_names_what_it_draws_by_labels_that_there_are() -> None:
    assert len(BOARD["panels"]) == 8
    assert len({panel["id"] for panel in BOARD["panels"]}) == 8
    for _, expression, legend in TARGETS:
        labels = set(re.findall(r"\{\{(\w+)\}\}", legend))
        assert labels <= {"model", "version", "outcome"}
        assert "outcome" not in labels or "by (model, outcome)" in expression
    (chosen,) = (one for one in BOARD["templating"]["list"] if one["name"] == "model")
    assert chosen["query"]["query"] == "label_values(switchyard_requests_total, model)"
    assert "model" in KNOWN["switchyard_requests_total"]


def test_prometheus_finds_the_machines_by_a_tag_that_they_have() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    (discovery,) = job["ec2_sd_configs"]
    tags = {value for one in discovery["filters"] if one["name"] == "tag-key" for value in one["values"]}
    assert tags == {"switchyard:model"}
    assert discovery["port"] == 8080
    assert job["metrics_path"] == "/metrics"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "words",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "rules.yml"),
        ("test", "rules", "rules_test.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_itself_takes_them_and_counts_as_they_say(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
