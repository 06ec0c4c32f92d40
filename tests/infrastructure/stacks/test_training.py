"""``infra.stacks.training``: jobs that may do little, a pipeline for each model that has one, what starts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from catalog.schema import Model, Stage
from catalog.training import Pipeline, Spark, Training
from infra.bundles import Tree
from infra.constructs.pipeline_machine import FILLED_IN, ON_SPARK
from infra.errors import PreflightError
from infra.stacks.training import TrainingStack, engine_of
from tests.infrastructure.conftest import Deployed, text_of

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


def test_spark_stands_ready_within_the_limits_of_the_catalog(prod: Deployed, local: Deployed) -> None:
    small = local.only("Training", "AWS::EMRServerless::Application")["Properties"]
    assert small["MaximumCapacity"] == {"Cpu": "8 vCPU", "Memory": "32 GB", "Disk": "160 GB"}
    assert "NetworkConfiguration" not in small
    found = prod.only("Training", "AWS::EMRServerless::Application")["Properties"]
    assert (found["Type"], found["ReleaseLabel"], found["Name"]) == ("SPARK", "emr-7.11.0", "switchyard-prod")
    assert found["AutoStopConfiguration"] == {"Enabled": True, "IdleTimeoutMinutes": 5}
    assert found["MaximumCapacity"] == {"Cpu": "64 vCPU", "Memory": "256 GB", "Disk": "1280 GB"}
    assert found["NetworkConfiguration"]["SubnetIds"][0].startswith("subnet-")
    logs = found["MonitoringConfiguration"]["S3MonitoringConfiguration"]
    assert text_of(logs["LogUri"]).endswith("/pipelines/spark-logs/")
    assert "Key" in text_of(logs["EncryptionKeyArn"])


def test_a_job_on_spark_reads_data_and_writes_into_pipelines(prod: Deployed) -> None:
    cleaner = may(prod, "SparkRole")
    assert set(cleaner) == {
        *("FindData", "ReadData", "WriteWhatIsMade", "UseTheKeyThroughS3", "FindOtherData", "ReadOtherData"),
    }
    assert objects(cleaner["ReadData"]) == {"data/*"}
    assert objects(cleaner["WriteWhatIsMade"]) == {"pipelines/*"}
    # Its models' data are read in a job's memory: nothing of the pipeline speaks to Spark.
    machine = may(prod, "MachineRole")
    assert "BeginOnSpark" not in machine


PIPELINE = Pipeline(file="pipeline.toml")


def synthesised(tmp_path: Path, spark: Spark | None, engine: str = "spark") -> dict[str, Any]:
    """The template of a stage whose one model has its data read by ``engine``."""
    code = tmp_path / "code"
    (code / "pipeline").mkdir(parents=True)
    (code / "pipeline/pipeline.toml").write_text('recipe = "recipe.toml"\n')
    (code / "pipeline/recipe.toml").write_text('data = "data.toml"\n')
    (code / "pipeline/data.toml").write_text(f'engine = "{engine}"\n')
    (code / "training/data").mkdir(parents=True)
    (code / "training/data/spark_job.py").write_text("")
    stage = Stage(
        name="prod",
        runtime_layer="build/layers/none",
        training=Training(image="torch:2.13", spark=spark),
    )
    app = cdk.App(outdir=str(tmp_path / "out"))
    tree = Tree(code, "0" * 64, {})
    models = {"fruit": Model(name="fruit", target="lambda", pipeline=PIPELINE)}
    stack = TrainingStack(app, stage=stage, models=models, code={"fruit": tree})
    return dict(Template.from_stack(stack).to_json())


def test_a_pipeline_whose_data_are_read_on_spark_may_begin_that_job(
    tmp_path: Path, node_of_the_project: None
) -> None:
    image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/spark:7.11.0"
    template = synthesised(tmp_path, Spark(image=image))
    stage = Deployed("prod", tmp_path, {"Training": template})
    machine = may(stage, "MachineRole")
    assert machine["BeginOnSpark"]["Action"] == ["emr-serverless:StartJobRun"]
    assert text_of(machine["BeginOnSpark"]["Resource"]).endswith(".Arn>")
    assert text_of(machine["FollowOnSpark"]["Resource"]).endswith(".Arn>/jobruns/*")
    assert "SparkRole" in text_of(machine["RunOnSparkAs"]["Resource"])
    told = stage.only("Training", "AWS::StepFunctions::StateMachine")["Properties"]["DefinitionSubstitutions"]
    assert set(told) == {*FILLED_IN, *ON_SPARK}
    assert text_of(told["StartJobRun"]).endswith(":states:::emr-serverless:startJobRun.sync")
    # It reads the script, and the archive of the code beside it.
    cleaner = may(stage, "SparkRole").values()
    read = {key for found in cleaner if "s3:GetObject" in found["Action"] for key in objects(found)}
    assert {key.rpartition(".")[2] for key in read} == {"data/*", "py", "zip"}


def test_a_stage_without_spark_refuses_such_a_pipeline(tmp_path: Path, node_of_the_project: None) -> None:
    with pytest.raises(PreflightError, match="the data of `fruit` are read on Spark"):
        synthesised(tmp_path, None)


def test_without_spark_in_the_catalog_nothing_of_it_is_deployed(
    tmp_path: Path, node_of_the_project: None
) -> None:
    types = {one["Type"] for one in synthesised(tmp_path, None, "polars")["Resources"].values()}
    assert "AWS::StepFunctions::StateMachine" in types
    assert "AWS::EMRServerless::Application" not in types


def test_a_pipeline_whose_data_are_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text('recipe = "recipe.toml"\n')
    with pytest.raises(PreflightError, match="cannot be found"):
        engine_of(tmp_path, Path("pipeline.toml"))
