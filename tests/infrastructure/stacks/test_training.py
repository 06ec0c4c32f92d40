"""``infra.stacks.training``: jobs that may do little, a pipeline for each model that has one, what starts it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed

MODEL = "fraud-eu"


def may(stage: Deployed, role: str) -> dict[str, dict[str, Any]]:
    """The statements of the role whose logical id has ``role`` in it, by what they are called."""
    found: dict[str, dict[str, Any]] = {}
    for id_, policy in stage.resources("Training", "AWS::IAM::Policy").items():
        if role in id_:
            for number, statement in enumerate(policy["Properties"]["PolicyDocument"]["Statement"]):
                actions = statement["Action"]
                listed = [actions] if isinstance(actions, str) else actions
                found[statement.get("Sid", str(number))] = {**statement, "Action": listed}
    return found


def objects(statement: dict[str, Any]) -> set[str]:
    """The keys that a statement is about, without their bucket."""
    resources = statement["Resource"]
    listed = resources if isinstance(resources, list) else [resources]
    return {text_of(resource).partition("/")[2] for resource in listed}


def test_a_job_of_training_writes_what_it_makes_and_nothing_else(stage: Deployed) -> None:
    trainer = may(stage, "Trainer")
    writing = [sid for sid, found in trainer.items() if "s3:PutObject" in found["Action"]]
    assert writing == ["WriteWhatIsMade"]
    assert objects(trainer["WriteWhatIsMade"]) == {"pipelines/*", "training/*"}
    assert objects(trainer["ReadData"]) == {"data/*", "pipelines/*", "training/*"}
    actions = {action for found in trainer.values() for action in found["Action"]}
    assert not {a for a in actions if a.startswith(("lambda:", "iam:", "states:", "sagemaker:", "s3:Delete"))}
    # Neither may it read the model store: that is the promoter's. What was captured it reads of its models.
    assert not any("models/" in key for found in trainer.values() for key in objects(found))
    assert objects(trainer["ReadCaptured"]) == {f"captured/{MODEL}/*", f"truth/{MODEL}/*"}


def test_data_elsewhere_are_read_where_the_catalog_says_so(prod: Deployed, local: Deployed) -> None:
    assert may(prod, "Trainer")["ReadOtherData"]["Resource"] == "arn:aws:s3:::lake/fraud/*"
    assert may(prod, "Trainer")["FindOtherData"]["Resource"] == "arn:aws:s3:::lake"
    assert "ReadOtherData" not in may(local, "Trainer")
    pulled = text_of(may(prod, "Trainer")["PullImage"]["Resource"])
    assert pulled.endswith(":ecr:eu-central-1:763104351884:repository/pytorch-training")


def test_what_publishes_does_so_for_its_own_model(stage: Deployed) -> None:
    promoter = may(stage, "Promoter")
    assert {key for key in objects(promoter["Publish"]) if key != "blobs/*"} == {
        f"models/{MODEL}/{folder}/*"
        for folder in ("baselines", "digests", "edge", "indexed", "pins", "reports", "signatures", "versions")
    }
    assert f"models/{MODEL}/*" in objects(promoter["ReadVersions"])


def test_the_machine_drives_jobs_of_its_prefix(stage: Deployed) -> None:
    machine = may(stage, "MachineRole")
    for kind in ("Training", "Processing"):
        resource = text_of(machine[f"Drive{kind}"]["Resource"])
        assert resource.endswith(f"{kind.lower()}-job/switchyard-{stage.stage}-{MODEL}-*")
    rules = {text_of(rule).rpartition("/")[2] for rule in machine["HearOfTheirEnd"]["Resource"]}
    assert rules == {
        "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
        "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
    }


def test_it_is_started_by_a_schedule_by_new_data_and_by_drift(stage: Deployed) -> None:
    schedule = stage.only("Training", "AWS::Scheduler::Schedule")["Properties"]
    assert schedule["ScheduleExpression"] == "rate(7 days)"
    assert json.loads(schedule["Target"]["Input"]) == {"why": "the schedule"}
    rules = {
        json.loads(rule["Properties"]["Targets"][0]["Input"])["why"]: rule["Properties"]
        for rule in stage.resources("Training", "AWS::Events::Rule").values()
    }
    assert set(rules) == {"new data", "drift"}
    new = rules["new data"]["EventPattern"]
    assert new["detail"]["object"]["key"] == [{"wildcard": f"data/{MODEL}/*_SUCCESS"}]
    drift = rules["drift"]["EventPattern"]
    assert drift["detail"] == {"state": {"value": ["ALARM"]}}
    # Every alarm that it waits for is one that the monitor has.
    waited = {text_of(arn).partition(":alarm:")[2] for arn in drift["resources"]}
    alarms = {
        alarm["Properties"]["AlarmName"]
        for alarm in stage.resources("Monitor", "AWS::CloudWatch::Alarm").values()
    }
    assert waited == {name for name in alarms if f"/{MODEL}/" in name}
    (start,) = may(stage, "Starter").values()
    assert start["Action"] == ["states:StartExecution"]


def test_jobs_are_found_by_their_stage(prod: Deployed) -> None:
    parameters = {
        found["Properties"]["Name"]: found["Properties"]["Value"]
        for found in prod.resources("Training", "AWS::SSM::Parameter").values()
    }
    assert set(parameters) == {"/switchyard/prod/training", f"/switchyard/prod/pipeline-{MODEL}"}
    written = json.loads(text_of(parameters["/switchyard/prod/training"]))
    assert written["image"].endswith("/pytorch-training:2.13-cpu")
    assert (written["spot"], written["hours"], written["subnets"][0][:7]) == (True, 2, "subnet-")
    # A machine with a disk of its own takes no key for it.
    assert written["volume_key"] == ""


def test_what_jobs_made_is_forgotten_and_data_stay(stage: Deployed) -> None:
    bucket = stage.only("Training", "AWS::S3::Bucket")["Properties"]
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules} == {"pipelines/": 90, "training/": 90}
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


def test_people_are_told_of_a_run_that_failed(stage: Deployed) -> None:
    alarm = stage.only("Training", "AWS::CloudWatch::Alarm")["Properties"]
    assert alarm["AlarmName"] == f"switchyard/{stage.stage}/{MODEL}/pipeline-failed"
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/States", "ExecutionsFailed")


def test_the_operations_function_may_begin_a_shift_where_pipelines_ask_it_to(stage: Deployed) -> None:
    found = {one["Sid"]: one for one in stage.statements("Operations") if "Sid" in one}
    machine = text_of(found["BeginShifts"]["Resource"])
    assert machine.endswith(f":stateMachine:switchyard-{stage.stage}-Shifts")
    functions = stage.resources("Operations", "AWS::Lambda::Function").values()
    told = [one["Properties"]["Environment"]["Variables"].get("SWITCHYARD_SHIFTS") for one in functions]
    assert [text_of(arn) for arn in told if arn] == [machine]
