"""``infra.checks``: the templates pass, and the checkers are awake."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks

from catalog import Catalog
from infra import checks, scans
from infra.acknowledged import acknowledge_wildcards
from infra.stacks import operations
from tests.infrastructure.conftest import LOCK

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed

pytestmark = pytest.mark.usefixtures("node_of_the_project")


@pytest.mark.parametrize("name", ["prod", "local", "partner"])
def test_no_checker_finds_anything_unexplained(name: str, request: pytest.FixtureRequest) -> None:
    each: Deployed = request.getfixturevalue(name)
    found = [
        *checks.findings_of_cdk(each.stage, each.out),
        *checks.findings_of_cfn_lint(each.stage, each.out),
    ]
    assert [str(finding) for finding in found] == []


@pytest.mark.parametrize("name", ["keyed", "inner"])
def test_no_checker_finds_anything_about_a_rest_api(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What else these stages have is as the others', and cfn-lint takes its time."""
    each: Deployed = request.getfixturevalue(name)
    shutil.copy(each.out / f"Switchyard-{each.stage}-Api.template.json", tmp_path)
    found = [
        *checks.findings_of_cdk(each.stage, each.out),
        *checks.findings_of_cfn_lint(each.stage, tmp_path),
    ]
    assert [str(finding) for finding in found] == []


@pytest.mark.skipif(
    not scans.SCANNERS.is_dir(), reason="`make check` installs the scanners, and did not here"
)
def test_checkov_finds_nothing_unexplained_and_needs_every_reason(
    prod: Deployed, local: Deployed, partner: Deployed, keyed: Deployed, inner: Deployed, tmp_path: Path
) -> None:
    for each in (prod, local, partner, keyed, inner):
        (tmp_path / each.stage).mkdir()
        for template in each.out.glob("*.template.json"):
            shutil.copy(template, tmp_path / each.stage)
    found = scans.findings_of_checkov(tmp_path)
    accepted = scans.read_accepted()
    assert [str(one) for one in scans.unexplained(found, accepted)] == []
    of_checkov = [one for one in accepted if one.scanner == "checkov"]
    assert [str(one) for one in scans.needless(found, of_checkov)] == []


def test_a_wildcard_without_a_written_reason_is_found(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = len(operations.WHY_WILDCARDS)
    monkeypatch.setattr(operations, "WHY_WILDCARDS", {})
    checks.synthesise(catalog, "prod", root=checks.ROOT, out=tmp_path, lock=LOCK)
    found = list(checks.findings_of_cdk("prod", tmp_path))
    assert len(found) >= reasons >= 13
    assert {finding.rule.split("[")[0] for finding in found} == {"AwsSolutions-IAM5"}
    assert all("Operations" in finding.place for finding in found)


def watched(out: Path) -> tuple[cdk.App, cdk.Stack]:
    app = cdk.App(outdir=str(out), analytics_reporting=False)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app, cdk.Stack(app, "Careless")


def rules_found(app: cdk.App, out: Path) -> set[str]:
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    return {finding.rule for finding in checks.findings_of_cdk("test", out)}


def test_a_careless_bucket_is_found(tmp_path: Path) -> None:
    app, stack = watched(tmp_path)
    s3.Bucket(stack, "Bucket")
    rules = rules_found(app, tmp_path)
    assert any(rule.startswith("AwsSolutions-S1") for rule in rules)
    assert any(rule.startswith("AwsSolutions-S10") for rule in rules)


def test_accepting_one_statement_s_wildcard_accepts_no_other(tmp_path: Path) -> None:
    app, stack = watched(tmp_path)
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    accepted = iam.PolicyStatement(
        actions=["lambda:GetAlias"], resources=[stack.format_arn(service="lambda", resource="function:*")]
    )
    other = iam.PolicyStatement(
        actions=["sqs:SendMessage"], resources=[stack.format_arn(service="sqs", resource="*")]
    )
    role.add_to_policy(accepted)
    role.add_to_policy(other)
    acknowledge_wildcards(role, accepted, "it is needed")
    (rule,) = rules_found(app, tmp_path)
    assert "sqs" in rule


def test_cfn_lint_finds_what_cloudformation_would_refuse(tmp_path: Path) -> None:
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicNam": "x"}}}}
    (tmp_path / "Wrong.template.json").write_text(json.dumps(template))
    (finding,) = checks.findings_of_cfn_lint("test", tmp_path)
    assert finding.rule == "E3002"
    assert "Wrong.template.json" in str(finding)
