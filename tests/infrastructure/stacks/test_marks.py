"""``infra.constructs.marks``: what draws releases on CloudWatch's pages, and what it may read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def function(stage: Deployed) -> tuple[str, dict[str, Any]]:
    """The function with its id."""
    ((id_, found),) = (
        (id_, one["Properties"])
        for id_, one in stage.resources("Operations", "AWS::Lambda::Function").items()
        if one["Properties"]["FunctionName"].endswith("-Marks")
    )
    return id_, found


def allowed(stage: Deployed) -> dict[str, dict[str, Any]]:
    """What its role may do, by the statements' names; the log's statement has none."""
    role = function(stage)[1]["Role"]["Fn::GetAtt"][0]
    (policy,) = (
        one["Properties"]["PolicyDocument"]["Statement"]
        for one in stage.resources("Operations", "AWS::IAM::Policy").values()
        if {"Ref": role} in one["Properties"]["Roles"]
    )
    return {statement.get("Sid", "log"): statement for statement in policy}


def test_it_knows_the_stage_and_the_store(stage: Deployed) -> None:
    _, found = function(stage)
    assert found["FunctionName"] == f"switchyard-{stage.stage}-Marks"
    assert found["Handler"] == "functions.marks.handler.handler"
    assert set(found["Environment"]["Variables"]) == {"SWITCHYARD_STAGE", "SWITCHYARD_BUCKET"}


def test_it_reads_ledgers_and_metrics_and_changes_nothing(stage: Deployed) -> None:
    may = allowed(stage)
    assert {sid: found["Action"] for sid, found in may.items() if sid != "log"} == {
        "FindLedgers": "s3:ListBucket",
        "ReadLedgers": "s3:GetObject",
        "DecryptLedgersThroughS3": "kms:Decrypt",
        "ReadMetrics": "cloudwatch:GetMetricData",
    }
    assert set(may["log"]["Action"]) == {"logs:CreateLogStream", "logs:PutLogEvents"}


def test_of_the_store_it_sees_ledgers_only(stage: Deployed) -> None:
    may = allowed(stage)
    ledgers = ["models/*/pages/*", "models/*/releases/*"]
    assert may["FindLedgers"]["Condition"] == {"StringLike": {"s3:prefix": ledgers}}
    read = [text_of(resource).partition("/")[2] for resource in may["ReadLedgers"]["Resource"]]
    assert read == ledgers
    via = may["DecryptLedgersThroughS3"]["Condition"]["StringEquals"]["kms:ViaService"]
    assert text_of(via) == "s3.<AWS::Region>.<AWS::URLSuffix>"


def test_nothing_is_allowed_to_call_it(stage: Deployed) -> None:
    """CloudWatch does in the name of who looks at a page, so their own rights decide."""
    id_, _ = function(stage)
    permitted = stage.resources("Operations", "AWS::Lambda::Permission").values()
    assert id_ not in {one["Properties"]["FunctionName"]["Fn::GetAtt"][0] for one in permitted}
