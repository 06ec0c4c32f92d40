"""What holds for every template of every stage."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed

CONCERNS = {
    *("Store", "Operations", "Handoff", "Inbox", "Capture", "Api", "Rollout", "Monitor", "Roles", "Training"),
    *("Model-digits", "Model-fraud-eu", "Model-bert", "Model-clip"),
}


def every_resource(stage: Deployed) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (concern, id_, resource)
        for concern, template in stage.templates.items()
        for id_, resource in template["Resources"].items()
    ]


def test_there_is_one_stack_for_each_concern_and_model(stage: Deployed) -> None:
    assert set(stage.templates) == CONCERNS


def test_no_template_owns_what_is_live(stage: Deployed) -> None:
    """Law 4: aliases and versions belong to the release controller."""
    types = {resource["Type"] for _, _, resource in every_resource(stage)}
    assert types.isdisjoint({"AWS::Lambda::Alias", "AWS::Lambda::Version"})
    assert "AWS::Lambda::Function" in types


def test_stacks_never_block_each_other_through_exports(stage: Deployed) -> None:
    for template in stage.templates.values():
        written = json.dumps(template)
        assert "Fn::ImportValue" not in written
        assert all("Export" not in output for output in template.get("Outputs", {}).values())


def test_the_guard_speaks_before_any_model_changes_and_the_rollout_after_all(stage: Deployed) -> None:
    assert stage.depends_on("Operations") == {"Store"}
    assert stage.depends_on("Model-digits") == {"Operations"}
    assert stage.depends_on("Model-fraud-eu") == {"Operations", "Handoff", "Inbox", "Capture"}
    assert stage.depends_on("Model-bert") == {"Operations", "Capture"}
    assert stage.depends_on("Monitor") == {"Operations", "Capture"}
    models = {"Model-digits", "Model-fraud-eu", "Model-bert", "Model-clip"}
    assert stage.depends_on("Rollout") == {"Operations", *models}
    assert stage.depends_on("Api") == {"Operations", *models}
    assert stage.depends_on("Roles") == {"Api"}
    assert stage.depends_on("Training") == {"Store", "Operations", "Capture"}


def test_everything_that_can_carry_a_tag_names_its_stage(stage: Deployed) -> None:
    tagged = 0
    for concern, id_, resource in every_resource(stage):
        tags = resource.get("Properties", {}).get("Tags")
        if tags is None:
            continue
        found = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
        assert found["switchyard:stage"] == stage.stage, id_
        assert found.get("switchyard:model") == (
            concern.removeprefix("Model-") if "Model-" in concern else None
        )
        tagged += 1
    assert tagged >= 15


def test_every_function_has_its_own_role_logs_and_limits(stage: Deployed) -> None:
    functions = [
        (concern, resource)
        for concern, _, resource in every_resource(stage)
        if resource["Type"] == "AWS::Lambda::Function"
    ]
    assert len(functions) == 9
    for concern, function in functions:
        properties = function["Properties"]
        assert properties["Runtime"] == "python3.13"
        assert len(properties["FunctionName"]) <= 64
        role, _ = properties["Role"]["Fn::GetAtt"]
        group = stage.templates[concern]["Resources"][properties["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["Properties"]["RetentionInDays"] == (90 if stage.stage == "prod" else 30)
        assert role in stage.resources(concern, "AWS::IAM::Role")


def test_every_log_is_given_back_after_the_days_that_the_stage_says(stage: Deployed) -> None:
    kept = {
        f"{concern} {id_}": resource["Properties"].get("RetentionInDays")
        for concern, id_, resource in every_resource(stage)
        if resource["Type"] == "AWS::Logs::LogGroup"
    }
    # The functions', the API's, and one for each endpoint.
    assert len(kept) >= 9
    assert set(kept.values()) == {90 if stage.stage == "prod" else 30}


def test_no_role_carries_a_policy_of_aws_or_may_pass_roles(stage: Deployed) -> None:
    for concern, _, resource in every_resource(stage):
        if resource["Type"] == "AWS::IAM::Role":
            carried = resource["Properties"].get("ManagedPolicyArns", [])
            own = stage.resources(concern, "AWS::IAM::ManagedPolicy")
            assert {policy["Ref"] for policy in carried} <= set(own), concern
    every = [
        (concern, found)
        for concern in stage.templates
        for type_ in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
        for found in stage.statements(concern, type_)
    ]
    # But for a pipeline's machine, which says as whom its jobs run: one of two roles, and SageMaker alone.
    passing = [(concern, found) for concern, found in every if found["Action"] == ["iam:PassRole"]]
    assert {concern for concern, _ in passing} == {"Training"}
    for _, found in passing:
        assert found["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
        assert len(found["Resource"]) == 2
        assert "*" not in json.dumps(found["Resource"])
    actions = {action for one in every if one not in passing for action in one[1]["Action"]}
    assert actions
    assert not {action for action in actions if action.startswith("iam:") or "*" in action}


def test_custom_resources_give_up_in_time_and_are_ours(stage: Deployed) -> None:
    own = [resource for _, _, resource in every_resource(stage) if resource["Type"].startswith("Custom::")]
    assert Counter(resource["Type"] for resource in own) == {
        "Custom::SwitchyardFolder": 3 if stage.stage == "prod" else 2,
        "Custom::SwitchyardGuard": 1,
        "Custom::SwitchyardModel": 4,
        "Custom::SwitchyardRollout": 3,
    }
    assert {resource["Properties"]["ServiceTimeout"] for resource in own} == {"960"}


def test_data_survives_its_stack_where_it_is_kept_and_only_there(prod: Deployed, local: Deployed) -> None:
    kept = {"AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Lambda::LayerVersion"}
    # RetainExceptOnCreate: a failed first deploy leaves no name taken that would fail the second.
    for deployed, word in ((prod, "RetainExceptOnCreate"), (local, "Delete")):
        for concern, id_, resource in every_resource(deployed):
            # Nothing is released on the monitor's layer, so nothing needs it later.
            if resource["Type"] in kept and concern != "Monitor":
                assert resource["DeletionPolicy"] == word, id_
        for model in ("Model-digits", "Model-fraud-eu"):
            for type_ in (
                "AWS::Lambda::Function",
                "AWS::IAM::Role",
                "AWS::IAM::Policy",
                "AWS::Logs::LogGroup",
            ):
                assert deployed.only(model, type_)["DeletionPolicy"] == word


def test_stateful_stacks_resist_deletion_where_data_is_kept(prod: Deployed, local: Deployed) -> None:
    def protected(deployed: Deployed) -> set[str]:
        manifest = json.loads((deployed.out / "manifest.json").read_text())
        return {
            name.removeprefix(f"Switchyard-{deployed.stage}-")
            for name, artifact in manifest["artifacts"].items()
            if artifact.get("properties", {}).get("terminationProtection")
        }

    assert protected(prod) == {
        "Store",
        "Training",
        "Model-digits",
        "Model-fraud-eu",
        "Model-bert",
        "Model-clip",
    }
    assert protected(local) == set()


def test_the_stages_differ_in_values_only(prod: Deployed, local: Deployed) -> None:
    for concern in CONCERNS - {"Model-bert", "Model-clip"}:
        shape = {id_: found["Type"] for id_, found in prod.templates[concern]["Resources"].items()}
        assert shape == {id_: found["Type"] for id_, found in local.templates[concern]["Resources"].items()}
    # A heavy model has one endpoint for each version that the stage lists.
    for concern in ("Model-bert", "Model-clip"):
        heavy = [
            {found["Type"] for found in deployed.templates[concern]["Resources"].values()}
            for deployed in (prod, local)
        ]
        assert heavy[0] == heavy[1]
