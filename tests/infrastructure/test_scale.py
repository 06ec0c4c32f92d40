"""A hundred models in one stage: within CloudFormation's limits, and each in a stack of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from catalog import load_catalog
from infra.checks import write_stand_in_layer
from infra.deployment import declare

ROOT = Path(__file__).parents[2]

TEMPLATE_BYTES = 1_000_000
RESOURCES = 500
OUTPUTS = 200
PARAMETERS = 200
"""Of one template. Source: CloudFormation user guide, "CloudFormation quotas": 1 MB in S3, 500, 200, 200."""

MODELS = 100

pytestmark = pytest.mark.usefixtures("node_of_the_project")


def synthesised(folder: Path, models: dict[str, int]) -> dict[str, dict[str, Any]]:
    """The templates of a stage with these models, each with so much memory."""
    folder.mkdir()
    written = "".join(
        f'[models.{name}]\ntarget = "lambda"\nmemory_mb = {memory}\n' for name, memory in models.items()
    )
    (folder / "models.toml").write_text(f'[stages.prod]\nruntime_layer = "layer"\n{written}')
    catalog = load_catalog(folder / "models.toml")
    layer = os.path.relpath(write_stand_in_layer(folder / "layer"), ROOT)
    stage = catalog.stage("prod").model_copy(update={"runtime_layer": layer})
    catalog = catalog.model_copy(update={"stages": {"prod": stage}})
    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = cdk.App(outdir=str(folder / "out"), context=flags, analytics_reporting=False)
    declare(app, catalog=catalog, stage_name="prod", root=ROOT)
    app.synth()
    return {
        path.name.removeprefix("Switchyard-prod-").removesuffix(".template.json"): {
            **json.loads(path.read_text()),
            "bytes": path.stat().st_size,
        }
        for path in (folder / "out").glob("*.template.json")
    }


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory, node_of_the_project: None) -> dict[str, dict[str, Any]]:
    models = {f"model-{number:03d}": 1024 for number in range(1, MODELS + 1)}
    return synthesised(tmp_path_factory.mktemp("hundred") / "stage", models)


def test_a_hundred_models_are_a_hundred_stacks_within_the_limits(
    hundred: dict[str, dict[str, Any]],
) -> None:
    """Law 8."""
    assert sum(name.startswith("Model-") for name in hundred) == MODELS
    for name, template in hundred.items():
        assert template["bytes"] < TEMPLATE_BYTES, name
        assert len(template["Resources"]) < RESOURCES, name
        assert len(template.get("Outputs", {})) < OUTPUTS, name
        assert len(template.get("Parameters", {})) < PARAMETERS, name


def test_no_stack_exports_a_name_and_so_none_holds_another(hundred: dict[str, dict[str, Any]]) -> None:
    exports = [
        output
        for template in hundred.values()
        for output in template.get("Outputs", {}).values()
        if "Export" in output
    ]
    assert exports == []


def test_a_changed_model_changes_its_own_stack_and_the_two_that_watch_over_all(tmp_path: Path) -> None:
    """The guard and the rollout hear of every base; no other model and no route is touched (law 4)."""
    before = synthesised(tmp_path / "before", {"a": 512, "b": 512, "c": 512})
    after = synthesised(tmp_path / "after", {"a": 512, "b": 1024, "c": 512})
    assert {name for name in before if before[name] != after[name]} == {"Model-b", "Operations", "Rollout"}
