"""``docs/deploy-to-aws.md``, as far as a machine without AWS can check it.

Every command is one that exists; ``cdk synth`` of the real command line works for ``prod``; every call
that the adapters make has parameters, and reads an answer, of the shape that botocore's model of the
service gives it; and the policy on the page allows those calls and no others.
"""

from __future__ import annotations

import hashlib
import hmac
import http.server
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import typer.main
from botocore import xform_name
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.response import StreamingBody
from botocore.stub import Stubber

from infra.checks import write_stand_in_layer
from model_store.adapters.memory import MemoryStore
from model_store.adapters.s3 import S3Store
from model_store.contract.digest import Digest
from model_store.ports import ObjectStore
from releases.adapters.aws import LambdaFunctions
from releases.adapters.cloudwatch import CloudWatchMonitoring
from releases.adapters.cloudwatch_logs import CloudWatchJournal
from releases.adapters.step_functions import StepFunctionsExecutions
from releases.ports import Alarm, Executions, Functions, Journal, Metric, Monitoring
from telemetry.adapters.cloudwatch import CloudWatchNumbers
from telemetry.adapters.logs import CloudWatchLines
from telemetry.ports import Lines, Numbers, Wanted
from tests.docs.pages import ROOT, blocks
from yard.main import app

PAGE = ROOT / "docs" / "deploy-to-aws.md"
NODE = ROOT / "node_modules" / ".bin"


def commands(program: str) -> list[str]:
    """Every command of the page that starts with ``program``."""
    shell = [block for block in blocks(PAGE) if block.language == "bash"]
    return [command for block in shell for command in block.commands() if command.startswith(f"{program} ")]


# The commands


@pytest.mark.parametrize("command", commands("yard"))
def test_every_yard_command_parses(command: str) -> None:
    words = shlex.split(command)[1:]
    group = typer.main.get_command(app)
    name, *arguments = words
    found = group.commands[name]  # type: ignore[attr-defined]  # a group, since there are several commands
    assert found.make_context(name, arguments).params["stage"] == "prod"


@pytest.mark.parametrize("subcommand", sorted({shlex.split(command)[1] for command in commands("cdk")}))
def test_every_cdk_command_has_the_options_of_the_pinned_command_line(subcommand: str) -> None:
    shown = subprocess.run(
        [str(NODE / "cdk"), subcommand, "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert f"cdk {subcommand}" in shown
    for command in commands("cdk"):
        words = shlex.split(command)
        for word in words[2:] if words[1] == subcommand else []:
            if word.startswith("-"):
                assert re.search(rf"(^|[\s,]){re.escape(word)}[\s,]", shown), command


@pytest.mark.parametrize("command", commands("python"))
def test_every_module_that_is_run_takes_its_options(command: str) -> None:
    _, _, module, *options = shlex.split(command)
    shown = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for word in options:
        assert word in shown, command


@pytest.mark.parametrize("command", commands("aws"))
def test_every_aws_command_is_an_operation_with_these_members(command: str) -> None:
    _, service, operation, *options = shlex.split(command)
    model = botocore.session.get_session().get_service_model({"s3api": "s3"}.get(service, service))
    names = {xform_name(name, "-"): name for name in model.operation_names}
    shape = model.operation_model(names[operation]).input_shape
    members = {f"--{xform_name(name, '-')}" for name in (shape.members if shape else {})}
    for option in options:
        if option.startswith("--"):
            assert option.replace("--no-", "--", 1) in members | {"--query", "--output"}, command


def test_the_page_is_not_empty_of_commands() -> None:
    """Otherwise the tests above would be true of nothing."""
    counted = {program: len(commands(program)) for program in ("yard", "cdk", "python", "aws")}
    assert counted["yard"] >= 10
    assert counted["cdk"] >= 5
    assert all(counted.values())


@pytest.fixture
def stand_in_layer() -> Iterator[str]:
    """A runtime layer of a few bytes inside the repository, where a catalog may name it."""
    layer = write_stand_in_layer(ROOT / "build" / f"stand-in-{os.getpid()}")
    yield layer.relative_to(ROOT).as_posix()
    shutil.rmtree(layer)
    layer.with_name(layer.name + ".json").unlink()


def test_the_real_command_line_synthesises_stage_prod(tmp_path: Path, stand_in_layer: str) -> None:
    text = (ROOT / "models.toml").read_text("utf-8").replace("build/layers/x86_64", stand_in_layer)
    (tmp_path / "models.toml").write_text(text, "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    path = (str(Path(sys.executable).parent), str(NODE), os.environ["PATH"])
    done = subprocess.run(
        [
            *(str(NODE / "cdk"), "synth", "--quiet", "--no-notices", "--no-version-reporting"),
            *("-c", "stage=prod", "-c", f"catalog={tmp_path / 'models.toml'}", "-o", str(tmp_path / "out")),
        ],
        cwd=ROOT,
        env={**environment, "PATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    made = {file.name.removesuffix(".template.json") for file in (tmp_path / "out").glob("*.template.json")}
    concerns = ("Store", "Operations", "Model-digits", "Rollout", "Api", "Roles")
    assert made == {f"Switchyard-prod-{concern}" for concern in concerns}


# The calls


@contextmanager
def answering(service: str, *answers: tuple[str, dict[str, Any]]) -> Iterator[Any]:
    """A client that sends nothing: botocore checks each call and each answer against the service's model."""
    client = botocore.session.get_session().create_client(
        service, region_name="eu-central-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    with Stubber(client) as stubber:
        for operation, answer in answers:
            stubber.add_response(xform_name(operation), answer)
        yield client
        stubber.assert_no_pending_responses()


CONFIG = {
    "FunctionName": "switchyard-prod-digits",
    "Version": "$LATEST",
    "RevisionId": "r1",
    "CodeSha256": "c0de",
    "Layers": [{"Arn": "arn:aws:lambda:eu-central-1:111122223333:layer:runtime:1"}],
    "Environment": {"Variables": {"SWITCHYARD_MODEL": "digits"}},
    "MemorySize": 1024,
    "Timeout": 10,
    "Runtime": "python3.13",
    "Handler": "functions.inference.handler.handler",
    "Role": "arn:aws:iam::111122223333:role/switchyard/digits",
    "Architectures": ["x86_64"],
    "SnapStart": {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"},
    "State": "Active",
    "LastUpdateStatus": "Successful",
}
ALIAS = {
    "AliasArn": "arn:aws:lambda:eu-central-1:111122223333:function:switchyard-prod-digits:live",
    "Name": "live",
    "FunctionVersion": "2",
    "Description": '{"line":1,"plan":"0123456789abcdef","version":1}',
    "RevisionId": "r2",
}
LAYER = {"LayerVersionArn": "arn:aws:lambda:eu-central-1:111122223333:layer:digits:1", "Version": 1}


def body(data: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(data), len(data))


Lambda = Callable[[LambdaFunctions], object]
LAMBDA: dict[str, tuple[Lambda, tuple[tuple[str, dict[str, Any]], ...]]] = {
    "config": (lambda it: it.config("f", "2"), (("GetFunctionConfiguration", CONFIG),)),
    "configure": (
        lambda it: it.configure("f", layers=("arn:layer:1",), environment={"A": "b"}, revision="r1"),
        (("UpdateFunctionConfiguration", CONFIG),),
    ),
    "publish": (
        lambda it: it.publish("f", description="digits:1", code_sha256="c0de", revision="r1"),
        (("PublishVersion", CONFIG),),
    ),
    "publish_layer": (
        lambda it: it.publish_layer("digits", b"zip", description="digits:1", architecture="x86_64"),
        (("PublishLayerVersion", LAYER),),
    ),
    "layer_exists": (
        lambda it: it.layer_exists("arn:aws:lambda:eu-central-1:111122223333:layer:digits:1"),
        (("GetLayerVersion", LAYER),),
    ),
    "alias": (lambda it: it.alias("f", "live"), (("GetAlias", ALIAS),)),
    "aliases": (lambda it: it.aliases("f"), (("ListAliases", {"Aliases": [ALIAS]}),)),
    "create_alias": (
        lambda it: it.create_alias("f", "live", version="1", note="{}"),
        (("CreateAlias", ALIAS),),
    ),
    "move_alias": (
        lambda it: it.move_alias("f", "live", version="2", note="{}", revision="r1"),
        (("UpdateAlias", ALIAS),),
    ),
    "weigh_alias": (
        lambda it: it.weigh_alias("f", "live", weights={"2": 0.05}, note="{}", revision="r1"),
        (("UpdateAlias", ALIAS),),
    ),
    "concurrency": (
        lambda it: it.concurrency("f"),
        (
            (
                "GetAccountSettings",
                {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900}},
            ),
            ("GetFunctionConcurrency", {}),
        ),
    ),
    "provision": (lambda it: it.provision("f", "2", 5), (("PutProvisionedConcurrencyConfig", {}),)),
    "unprovision": (lambda it: it.unprovision("f", "2"), (("DeleteProvisionedConcurrencyConfig", {}),)),
    "provisioned": (
        lambda it: it.provisioned("f"),
        (("ListProvisionedConcurrencyConfigs", {"ProvisionedConcurrencyConfigs": []}),),
    ),
    "invoke": (
        lambda it: it.invoke("f", "2", {"version": "2.0"}),
        (("Invoke", {"StatusCode": 200, "Payload": body(b"{}"), "ExecutedVersion": "2", "LogResult": ""}),),
    ),
}  # fmt: skip

RATE = Metric("Switchyard/prod", "Faults", (("model", "digits"), ("version", "3")))
SLOW = Alarm("switchyard/prod/digits/live/abc/latency", "slow", RATE, "p90", 250.0, 60)
Watching = Callable[[CloudWatchMonitoring], object]
CLOUDWATCH: dict[str, tuple[Watching, tuple[tuple[str, dict[str, Any]], ...]]] = {
    "read": (
        lambda it: it.read([(RATE, "Sum")], since=0.0, until=60.0, period_s=60),
        (("GetMetricData", {"MetricDataResults": [{"Id": "m0", "Values": [1.0]}]}),),
    ),
    "put_alarm": (lambda it: it.put_alarm(SLOW), (("PutMetricAlarm", {}),)),
    "alarms": (
        lambda it: it.alarms("switchyard/prod/digits/live/"),
        (("DescribeAlarms", {"MetricAlarms": [{"AlarmName": "a", "StateValue": "OK", "Threshold": 1.0}]}),),
    ),
    "delete_alarms": (lambda it: it.delete_alarms(["a"]), (("DeleteAlarms", {}),)),
    "rearm": (lambda it: it.rearm("a", "again"), (("SetAlarmState", {}),)),
}

MACHINE = "arn:aws:states:eu-central-1:111122223333:stateMachine:switchyard-prod-Shifts"
EXECUTION = f"{MACHINE.replace(':stateMachine:', ':execution:')}:abc"
STARTED = datetime(2026, 11, 22, tzinfo=UTC)
Driving = Callable[[StepFunctionsExecutions], object]
STATES: dict[str, tuple[Driving, tuple[tuple[str, dict[str, Any]], ...]]] = {
    "start": (
        lambda it: it.start("abc", {"step": 0}),
        (("StartExecution", {"executionArn": EXECUTION, "startDate": STARTED}),),
    ),
    "running": (
        lambda it: it.running("abc"),
        (
            (
                "DescribeExecution",
                {
                    "executionArn": EXECUTION,
                    "stateMachineArn": MACHINE,
                    "status": "RUNNING",
                    "startDate": STARTED,
                },
            ),
        ),
    ),
    "end": (lambda it: it.end("abc", "enough"), (("StopExecution", {"stopDate": STARTED}),)),
}

LOGS: dict[str, tuple[Callable[[CloudWatchJournal], object], tuple[tuple[str, dict[str, Any]], ...]]] = {
    "lines": (
        lambda it: it.lines("f", {"route": "shadow", "agrees": False}, since=1.0, until=2.0, most=5),
        (("FilterLogEvents", {"events": []}),),
    ),
}

POINTS = {"Id": "m0", "Timestamps": [STARTED], "Values": [1.0]}
FIRING = {"AlarmName": "a", "StateValue": "ALARM", "StateUpdatedTimestamp": STARTED}
NUMBERS: dict[str, tuple[Callable[[CloudWatchNumbers], object], tuple[tuple[str, dict[str, Any]], ...]]] = {
    "series": (
        lambda it: it.series([(RATE, "p99")], since=0.0, until=60.0, period_s=60),
        (("GetMetricData", {"MetricDataResults": [POINTS]}),),
    ),
    "counted": (
        lambda it: it.counted("Switchyard/prod", "Faults"),
        (("ListMetrics", {"Metrics": [{"Dimensions": [{"Name": "model", "Value": "digits"}]}]}),),
    ),
    "alarms": (
        lambda it: it.alarms("switchyard/prod/", only_firing=True),
        (("DescribeAlarms", {"MetricAlarms": [FIRING], "CompositeAlarms": [FIRING]}),),
    ),
}

FAILED = Wanted(version=3, alias="live", errors=True)
ASKED = (("StartQuery", {"queryId": "q"}), ("GetQueryResults", {"status": "Complete", "results": []}))
LINES: dict[str, tuple[Callable[[CloudWatchLines], object], tuple[tuple[str, dict[str, Any]], ...]]] = {
    "newest": (lambda it: it.newest("g", FAILED, since=0.0, until=60.0, most=5), ASKED),
    "slowest": (lambda it: it.slowest("g", FAILED, since=0.0, until=60.0, most=5), ASKED),
    "after": (
        lambda it: it.after("g", Wanted(version=3), since=0.0, most=5),
        (("FilterLogEvents", {"events": []}),),
    ),
}

DATA = b"bytes"
LISTED = {"Key": "a/b", "Size": len(DATA), "LastModified": STARTED}
Store = Callable[[S3Store, Path], object]
S3: dict[str, tuple[Store, tuple[tuple[str, dict[str, Any]], ...]]] = {
    "put_once": (lambda it, _: it.put_once("a/b", DATA), (("PutObject", {}),)),
    "try_put_once": (lambda it, _: it.try_put_once("a/b", DATA), (("PutObject", {}),)),
    "put_file_once": (lambda it, path: it.put_file_once("a/b", path, Digest.of(DATA)), (("PutObject", {}),)),
    "copy_once": (
        lambda it, _: it.copy_once("a/b", "a/c", Digest.of(DATA)),
        (("GetObject", {"Body": body(DATA)}), ("PutObject", {})),
    ),
    "get": (lambda it, _: it.get("a/b"), (("GetObject", {"Body": body(DATA)}),)),
    "fetch_file": (
        lambda it, path: it.fetch_file("a/b", path.with_name("copy"), Digest.of(DATA)),
        (("GetObject", {"Body": body(DATA)}),),
    ),
    "exists": (lambda it, _: it.exists("a/b"), (("ListObjectsV2", {"Contents": [{"Key": "a/b"}]}),)),
    "keys": (
        lambda it, _: list(it.keys("a/", after="a/a")),
        (("ListObjectsV2", {"Contents": [LISTED], "IsTruncated": False}),),
    ),
    "entries": (
        lambda it, _: list(it.entries("a/", after="a/a")),
        (("ListObjectsV2", {"Contents": [LISTED], "IsTruncated": False}),),
    ),
    "chunks": (lambda it, _: list(it.chunks("a/b")), (("GetObject", {"Body": body(DATA)}),)),
}


def methods(protocol: type) -> set[str]:
    return {name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_")}


def test_every_method_of_the_ports_is_here() -> None:
    assert set(LAMBDA) == methods(Functions)
    assert set(S3) == methods(ObjectStore)
    assert set(CLOUDWATCH) == methods(Monitoring)
    assert set(STATES) == methods(Executions)
    assert set(LOGS) == methods(Journal)
    assert set(NUMBERS) == methods(Numbers)
    assert set(LINES) == methods(Lines)


@pytest.mark.parametrize("method", LAMBDA)
def test_lambda_accepts_what_the_adapter_sends(method: str) -> None:
    call, answers = LAMBDA[method]
    with answering("lambda", *answers) as client:
        call(LambdaFunctions(MemoryStore(), bucket="models", client=client))


def test_a_large_layer_travels_through_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releases.adapters.aws.DIRECT_ARCHIVE_BYTES", 2)
    with answering("lambda", ("PublishLayerVersion", LAYER)) as client:
        functions = LambdaFunctions(MemoryStore(), bucket="models", client=client)
        assert functions.publish_layer("digits", b"zip", description="d", architecture="arm64")


@pytest.mark.parametrize("method", CLOUDWATCH)
def test_cloudwatch_accepts_what_the_adapter_sends(method: str) -> None:
    call, answers = CLOUDWATCH[method]
    with answering("cloudwatch", *answers) as client:
        call(CloudWatchMonitoring(topic="arn:aws:sns:eu-central-1:111122223333:alarms", client=client))


@pytest.mark.parametrize("method", STATES)
def test_step_functions_accepts_what_the_adapter_sends(method: str) -> None:
    call, answers = STATES[method]
    with answering("stepfunctions", *answers) as client:
        call(StepFunctionsExecutions(MACHINE, client=client))


@pytest.mark.parametrize("method", LOGS)
def test_cloudwatch_logs_accepts_what_the_adapter_sends(method: str) -> None:
    call, answers = LOGS[method]
    with answering("logs", *answers) as client:
        call(CloudWatchJournal(client=client))


@pytest.mark.parametrize("method", NUMBERS)
def test_cloudwatch_accepts_what_telemetry_sends(method: str) -> None:
    call, answers = NUMBERS[method]
    with answering("cloudwatch", *answers) as client:
        call(CloudWatchNumbers(client))


@pytest.mark.parametrize("method", LINES)
def test_cloudwatch_logs_accepts_what_telemetry_sends(method: str) -> None:
    call, answers = LINES[method]
    with answering("logs", *answers) as client:
        call(CloudWatchLines(client))


@pytest.mark.parametrize("method", S3)
def test_s3_accepts_what_the_adapter_sends(method: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    call, answers = S3[method]
    with answering("s3", *answers) as client:
        call(S3Store("models", client=client), tmp_path / "file")


def test_an_operation_that_aws_does_not_know_would_be_found() -> None:
    """The checks above are awake: a wrong parameter does not pass."""
    with answering("lambda", ("GetAlias", ALIAS)) as client:
        with pytest.raises(botocore.exceptions.ParamValidationError):
            client.get_alias(FunctionName="f", Alias="live")
        client.get_alias(FunctionName="f", Name="live")


# The policy

ACTION_OF = {
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "Invoke": "lambda:InvokeFunction",
}
NOT_BY_PEOPLE = {"cloudwatch:SetAlarmState"}
"""Arming an alarm again is the operations function's."""

BESIDES = {"ssm:GetParametersByPath", "kms:Decrypt", "kms:GenerateDataKey", "execute-api:Invoke"}
"""Finding the stage (``yard.deployment``), the bucket's key (S3 asks for it), and calling the API."""


def test_the_policy_on_the_page_allows_the_calls_that_are_made_and_no_others() -> None:
    (policy,) = [json.loads(block.text) for block in blocks(PAGE) if block.language == "json"]
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    made = {("lambda", operation) for _, answers in LAMBDA.values() for operation, _ in answers}
    made |= {("s3", operation) for _, answers in S3.values() for operation, _ in answers}
    made |= {("cloudwatch", operation) for _, answers in CLOUDWATCH.values() for operation, _ in answers}
    made |= {("cloudwatch", operation) for _, answers in NUMBERS.values() for operation, _ in answers}
    made |= {("logs", operation) for _, answers in LINES.values() for operation, _ in answers}
    made |= {("states", operation) for _, answers in STATES.values() for operation, _ in answers}
    made |= {("logs", operation) for _, answers in LOGS.values() for operation, _ in answers}
    calls = {ACTION_OF.get(name, f"{service}:{name}") for service, name in made}
    assert allowed == (calls - NOT_BY_PEOPLE) | BESIDES


# The signature


class Listener(http.server.BaseHTTPRequestHandler):
    """Keeps the one request that it gets."""

    heard: dict[str, Any]

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["content-length"]))
        type(self).heard = {"headers": {k.lower(): v for k, v in self.headers.items()}, "body": data}
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl_signs_as_botocore_does() -> None:
    """The embedded cloud does not check signatures, so the page's curl is compared with botocore."""
    (command,) = commands("curl")
    keys = {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
    }
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        variables = {**keys, "AWS_REGION": "eu-central-1", "API": address, "PATH": os.environ["PATH"]}
        subprocess.run(["bash", "-euc", command], cwd=ROOT, env=variables, check=True, timeout=30)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    heard = Listener.heard
    given = dict(re.findall(r"(\w+)=([^,\s]+)", heard["headers"]["authorization"]))
    signed = {name: heard["headers"][name] for name in given["SignedHeaders"].split(";")}
    assert {"host", "x-amz-date", "x-amz-security-token"} <= set(signed)
    request = AWSRequest("POST", f"{address}/v2/models/digits/infer", data=heard["body"], headers=signed)
    request.context["timestamp"] = signed["x-amz-date"]
    request.context["payload_signing_enabled"] = True
    auth = SigV4Auth(Credentials(*keys.values()), "execute-api", "eu-central-1")
    expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert hmac.compare_digest(given["Signature"], expected)
    assert hashlib.sha256(heard["body"]).hexdigest() in auth.canonical_request(request)
