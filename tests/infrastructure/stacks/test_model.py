"""``infra.stacks.model``: the base of a model, and nothing about which version is live."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
import pytest

from catalog import Catalog
from infra.bundles import Tree
from infra.stacks.model import ModelStack
from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def base_of(stage: Deployed, model: str) -> dict[str, Any]:
    return dict(stage.only(f"Model-{model}", "Custom::SwitchyardModel")["Properties"])


def test_the_function_is_what_the_catalog_says(prod: Deployed, local: Deployed) -> None:
    function = prod.only("Model-digits", "AWS::Lambda::Function")["Properties"]
    assert function["FunctionName"] == "switchyard-prod-digits"
    assert (function["MemorySize"], function["Timeout"]) == (1024, 10)
    assert function["Architectures"] == ["x86_64"]
    assert local.only("Model-digits", "AWS::Lambda::Function")["Properties"]["MemorySize"] == 512


def test_the_environment_holds_the_two_variables_of_the_base_exactly(stage: Deployed) -> None:
    function = stage.only("Model-fraud-eu", "AWS::Lambda::Function")["Properties"]
    assert function["Environment"]["Variables"] == {
        "SWITCHYARD_MODEL": "fraud-eu",
        "SWITCHYARD_STAGE": stage.stage,
    }


def test_snapstart_is_on_unless_the_catalog_says_no(stage: Deployed) -> None:
    assert stage.only("Model-digits", "AWS::Lambda::Function")["Properties"]["SnapStart"] == {
        "ApplyOn": "PublishedVersions"
    }
    assert "SnapStart" not in stage.only("Model-fraud-eu", "AWS::Lambda::Function")["Properties"]


def test_a_model_s_role_may_write_its_own_log_and_ask_its_own_versions_and_nothing_else(
    stage: Deployed,
) -> None:
    for model in ("digits", "fraud-eu"):
        (group,) = stage.resources(f"Model-{model}", "AWS::Logs::LogGroup")
        allowed = {
            text_of(statement["Resource"]).rpartition(":function:")[2]: set(statement["Action"])
            for statement in stage.statements(f"Model-{model}")
        }
        assert allowed == {
            f"<{group}.Arn>": {"logs:CreateLogStream", "logs:PutLogEvents"},
            f"switchyard-{stage.stage}-{model}:v*": {"lambda:InvokeFunction"},
            f"switchyard-{stage.stage}-{model}": {"lambda:ListAliases"},
        }


def test_older_runtime_layers_stay_for_rollbacks(stage: Deployed) -> None:
    """Law 6: a rollback may publish on a base that names the layer before."""
    layer = stage.only("Model-digits", "AWS::Lambda::LayerVersion")
    assert layer["UpdateReplacePolicy"] == "Retain"
    assert layer["Properties"]["LayerName"] == f"switchyard-{stage.stage}-digits-runtime"


def test_the_base_says_everything_the_function_is(stage: Deployed) -> None:
    """Law 4: what a deploy changes reaches the controller, which re-releases the live version on it."""
    for model in ("digits", "fraud-eu"):
        function = stage.only(f"Model-{model}", "AWS::Lambda::Function")["Properties"]
        base = base_of(stage, model)["Base"]
        for name in ("MemorySize", "Timeout", "Runtime", "Handler", "Layers", "Role"):
            assert base[name] == function[name], name
        assert base["Environment"] == function["Environment"]["Variables"]
        assert [base["Architecture"]] == function["Architectures"]
        assert base["SnapStart"] is ("SnapStart" in function)
        assert re.fullmatch("[0-9a-f]{64}", base["Code"])


def test_the_custom_resource_names_what_the_controller_needs(prod: Deployed) -> None:
    properties = base_of(prod, "fraud-eu")
    assert properties["Stage"] == "prod"
    assert properties["Model"] == "fraud-eu"
    assert properties["FunctionName"] == "switchyard-prod-fraud-eu"
    assert properties["Aliases"] == ["live", "candidate"]
    assert base_of(prod, "digits")["RollbackDepth"] == 3
    assert properties["ProvisionedConcurrency"] == 4
    assert base_of(prod, "digits")["ProvisionedConcurrency"] == 0
    assert text_of(properties["ServiceToken"]).endswith(":function:switchyard-prod-Operations")


def test_the_controller_is_asked_after_the_function_exists(stage: Deployed) -> None:
    released = stage.only("Model-digits", "Custom::SwitchyardModel")
    assert set(stage.resources("Model-digits", "AWS::Lambda::Function")) <= set(released["DependsOn"])


@pytest.fixture
def fingerprint(catalog: Catalog, tmp_path: Path, node_of_the_project: None) -> Any:
    """Ask for the fingerprint of ``digits`` with something changed."""
    for name in ("code", "layer"):
        (tmp_path / name).mkdir()
    (tmp_path / "layer.json").write_text('{"target": "local"}')

    def ask(*, code: str = "c0", layer: str = "1a", **changes: object) -> str:
        model = catalog.models_for("prod")["digits"].model_copy(update=changes)
        stack = ModelStack(
            cdk.App(),
            stage=catalog.stage("prod"),
            model=model,
            code=Tree(tmp_path / "code", code * 32, {}),
            runtime_layer=Tree(tmp_path / "layer", layer * 32, {}),
        )
        return stack.fingerprint

    return ask


@pytest.mark.parametrize(
    "change",
    [
        {"memory_mb": 2048},
        {"timeout_s": 11},
        {"snapstart": False},
        {"architecture": "arm64"},
        {"code": "c1"},
        {"layer": "1b"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_changes_with_the_base(fingerprint: Any, change: dict[str, object]) -> None:
    assert re.fullmatch("[0-9a-f]{16}", fingerprint())
    assert fingerprint(**change) != fingerprint()


def test_the_fingerprint_stays_when_the_base_does(fingerprint: Any) -> None:
    assert (
        fingerprint(rollback_depth=7, aliases=("live", "candidate"), provisioned_concurrency=3)
        == fingerprint()
    )
