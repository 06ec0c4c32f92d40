"""``infra.stacks.operations``: what the operations function may do, and the guard's word list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def said(stage: Deployed, sid: str) -> dict[str, Any]:
    (found,) = (found for found in stage.statements("Operations") if found.get("Sid") == sid)
    return found


def resources(statement: dict[str, Any]) -> list[str]:
    found = statement["Resource"]
    return [text_of(resource) for resource in (found if isinstance(found, list) else [found])]


def test_it_releases_models_of_its_own_stage_only(stage: Deployed) -> None:
    (resource,) = resources(said(stage, "ReleaseModels"))
    assert resource.endswith(f":function:switchyard-{stage.stage}-*")


def test_it_never_changes_itself_or_the_front(stage: Deployed) -> None:
    statement = said(stage, "NeverItself")
    assert statement["Effect"] == "Deny"
    assert {"lambda:UpdateFunctionConfiguration", "lambda:UpdateAlias"} <= set(statement["Action"])
    prefix = f":function:switchyard-{stage.stage}-"
    assert {resource.split(prefix)[1] for resource in resources(statement)} == {
        "Front",
        "Front:*",
        "Operations",
        "Operations:*",
    }


def test_it_can_do_neither_deletes_nor_code_changes(stage: Deployed) -> None:
    """Law 10: nothing live is deleted, because nobody here can."""
    allowed = {
        action
        for found in stage.statements("Operations")
        if found["Effect"] == "Allow"
        for action in found["Action"]
    }
    assert not {action for action in allowed if "Delete" in action or "UpdateFunctionCode" in action}


def test_it_writes_ledgers_and_never_blobs(stage: Deployed) -> None:
    written = {resource.rsplit("/", 2)[1] for resource in resources(said(stage, "WriteLedgers"))}
    assert written == {"models", "layers"}


def test_it_uses_the_key_through_s3_only(stage: Deployed) -> None:
    statement = said(stage, "UseTheKeyThroughS3")
    assert set(statement["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    service = text_of(statement["Condition"]["StringEquals"]["kms:ViaService"])
    assert service == "s3.<AWS::Region>.<AWS::URLSuffix>"


def test_it_attaches_model_and_runtime_layers_of_its_stage(stage: Deployed) -> None:
    prefix = f":layer:switchyard-{stage.stage}-"
    names = {resource.split(prefix)[1] for resource in resources(said(stage, "AttachLayers"))}
    assert names == {"*-model:*", "*-runtime:*"}


def test_the_store_is_found_through_parameters_at_deploy_time(stage: Deployed) -> None:
    parameters = stage.templates["Operations"]["Parameters"].values()
    found = {parameter["Default"] for parameter in parameters if parameter["Type"].startswith("AWS::SSM::")}
    assert {f"/switchyard/{stage.stage}/bucket", f"/switchyard/{stage.stage}/bucket-key"} <= found


def test_the_function_has_lambda_s_longest_time(stage: Deployed) -> None:
    function = stage.only("Operations", "AWS::Lambda::Function")["Properties"]
    assert (function["Timeout"], function["MemorySize"]) == (900, 1024)
    assert function["Handler"] == "functions.operations.handler.handler"
    assert set(function["Environment"]["Variables"]) == {"SWITCHYARD_STAGE", "SWITCHYARD_BUCKET"}


def test_the_guard_is_told_every_declared_alias(stage: Deployed) -> None:
    guard = stage.only("Operations", "Custom::SwitchyardGuard")
    assert guard["Properties"]["Stage"] == stage.stage
    assert guard["Properties"]["Models"] == [
        {"Model": "digits", "Aliases": ["live"]},
        {"Model": "fraud-eu", "Aliases": ["live", "candidate"]},
    ]


def test_the_guard_waits_until_the_function_has_its_permissions(stage: Deployed) -> None:
    guard = stage.only("Operations", "Custom::SwitchyardGuard")
    assert set(stage.resources("Operations", "AWS::IAM::Policy")) <= set(guard["DependsOn"])
