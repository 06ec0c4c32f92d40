"""The project under the embedded cloud's strict profile: https, IAM and bucket policies enforced.

What the roles in the stacks may do is enough for a deploy, a release and a rollback, and the bucket
itself refuses what would break the store's first law, to its administrator too. At the end the stage is
given to its roles: every command runs as each of them, and is refused to whom it is not for.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import numpy as np
import onnx
import pytest
from botocore.exceptions import ClientError
from onnx import TensorProto, helper
from scipy import ndimage
from typer.testing import CliRunner

from local_cloud.cloud import Cloud
from local_cloud.deploy import deploy
from local_cloud.errors import LocalCloudError
from model_store.adapters.s3 import S3Store
from model_store.publish import publish
from tests.conftest import ROOT, Deployed
from tests.docs.pages import blocks
from training.data.prepared import prepare
from training.data.s3 import kept_requests
from yard.main import app

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

pytestmark = pytest.mark.cloud

KEEPS_REQUESTS = """
[models.digits.capture]
rate = 1
rows_per_hour = 100000
min_accuracy = 0.95
"""

DIGITS = ROOT / "examples" / "digits"

CAPTURED = """
name = "asked"
task = "classification"
[source]
kind = "captured"
model = "digits"
stage = "local"
alias = "live"
since = {since}
until = {until}
labels = true
[columns]
features = ["image_*"]
target = "label"
group = "request_id"
"""


@pytest.fixture(scope="module")
def strict(strict_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The project deployed where every call is checked against a policy."""
    subprocess.run([sys.executable, "-m", "layers.build", "--for", "local"], cwd=ROOT, check=True)
    made = Deployed(strict_cloud, tmp_path_factory.mktemp("strict-catalog") / "models.toml")
    made.more = KEEPS_REQUESTS
    made.deploy()
    baseline = ("--baseline", str(DIGITS / "baseline.npz"))
    for version, more in (("v1", baseline), ("v2", ())):
        made.yard_json("publish", "digits", str(DIGITS / version / "model.onnx"), *more)
    return made


@pytest.fixture(scope="module")
def store(strict: Deployed) -> tuple[S3Client, str]:
    """The bucket of the store, and a client with the credentials of the account's administrator."""
    environment = strict.cloud.environment()
    session = boto3.Session("test", "test", region_name=strict.cloud.region)
    made: dict[str, Any] = {
        "endpoint_url": strict.cloud.endpoint_url,
        "verify": environment["AWS_CA_BUNDLE"],
    }
    bucket = session.client("ssm", **made).get_parameter(Name="/switchyard/local/bucket")["Parameter"]
    return session.client("s3", **made), bucket["Value"]


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return str(error.value.response["Error"]["Code"])


def test_a_plain_write_is_denied_to_the_administrator(store: tuple[S3Client, str]) -> None:
    """Law 1: every key is written once; the bucket policy enforces it."""
    s3, bucket = store
    assert refused(s3.put_object, Bucket=bucket, Key="models/x", Body=b"1") == "AccessDenied"


def test_a_conditional_write_is_accepted_once(store: tuple[S3Client, str]) -> None:
    """Law 1."""
    s3, bucket = store
    s3.put_object(Bucket=bucket, Key="models/once", Body=b"1", IfNoneMatch="*")
    again = refused(s3.put_object, Bucket=bucket, Key="models/once", Body=b"2", IfNoneMatch="*")
    assert again == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="models/once")["Body"].read() == b"1"


def test_a_multipart_upload_is_accepted_with_a_conditional_completion_only(
    store: tuple[S3Client, str],
) -> None:
    """Law 1."""
    s3, bucket = store
    for key, condition in (("models/blind", {}), ("models/careful", {"IfNoneMatch": "*"})):
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"1")
        complete: dict[str, Any] = {
            "Bucket": bucket,
            "Key": key,
            "UploadId": upload,
            "MultipartUpload": {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]},
            **condition,
        }
        if condition:
            s3.complete_multipart_upload(**complete)
        else:
            assert refused(s3.complete_multipart_upload, **complete) == "AccessDenied"
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)


def test_a_manifest_cannot_be_overwritten(store: tuple[S3Client, str]) -> None:
    """Law 1."""
    s3, bucket = store
    key = "models/digits/versions/000000001.json"
    before = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert refused(s3.put_object, Bucket=bucket, Key=key, Body=b"{}") == "AccessDenied"
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == before


def test_the_roles_suffice_for_release_rollback_and_deploy(strict: Deployed) -> None:
    """Law 4 with least privilege: the operations function re-releases what is live on a new base."""
    for version in (1, 2):
        strict.yard_json("release", f"digits:{version}")
    assert strict.yard_json("rollback", "digits")["version"] == 1
    strict.deploy(memory_mb=768)
    (live,) = strict.yard_json("status", "digits")["aliases"]
    assert (live["version"], live["memory_mb"], live["disagreements"]) == (1, 768, [])


def rotated_and_noisy(images: Any) -> Any:
    random = np.random.default_rng(35)
    turned = ndimage.rotate(images.reshape(-1, 8, 8), 35, axes=(1, 2), reshape=False, order=1)
    return np.clip(turned.reshape(-1, 64) + random.normal(0, 2, images.shape), 0, 16).astype(np.float32)


def compared(strict: Deployed, least: int) -> dict[str, Any]:
    """``yard drift``, when at least so many rows are there: a function writes some seconds after it answers."""
    end = time.monotonic() + 120
    while True:
        done = strict.yard("drift", "digits", "--version", "1", "--json")
        found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"rows": 0}
        if found["rows"] >= least:
            assert done.returncode == (1 if found["drifted"] else 0)
            return found
        assert time.monotonic() < end, f"{found['rows']} of {least} rows came: {done.stderr.decode()}"
        time.sleep(0.5)


def highest(metrics: Any, name: str, at_least: int) -> float:
    """The largest value of a metric of the model, when so many were counted."""
    end = time.monotonic() + 60
    while True:
        now = time.time()
        points = metrics.get_metric_statistics(
            Namespace="Switchyard/local",
            MetricName=name,
            Dimensions=[{"Name": "model", "Value": "digits"}],
            StartTime=now - 7_200,
            EndTime=now + 60,
            Period=86_400,
            Statistics=["Maximum", "SampleCount"],
        )["Datapoints"]
        if sum(point["SampleCount"] for point in points) >= at_least:
            return max(float(point["Maximum"]) for point in points)
        assert time.monotonic() < end, f"`{name}` was not counted"
        time.sleep(0.2)


def wait_for_alarm(metrics: Any, what: str) -> None:
    end = time.monotonic() + 90
    while True:
        found = metrics.describe_alarms(AlarmNames=[f"switchyard/local/digits/{what}"])["MetricAlarms"]
        if found[0]["StateValue"] == "ALARM":
            return
        assert time.monotonic() < end, found
        time.sleep(0.5)


def test_plain_images_are_no_drift_and_turned_noisy_ones_raise_metric_alarm_and_report(
    strict: Deployed, tmp_path: Path
) -> None:
    """With least privilege: the function may only write rows, the monitor reads them and writes reports.

    Comes before those who ask the same picture a hundred times, which is drift.
    """
    certificate = strict.cloud.environment()["AWS_CA_BUNDLE"]
    session: Any = boto3.Session("test", "test", region_name=strict.cloud.region)
    client = partial(session.client, endpoint_url=strict.cloud.endpoint_url, verify=certificate)
    (live,) = strict.yard_json("status", "digits")["aliases"]
    assert live["version"] == 1
    with np.load(DIGITS / "held_out.npz") as file:
        images, labels = file["image"].astype(np.float32), file["label"]
    before = compared(strict, 0)["rows"]
    context = ssl.create_default_context(cafile=certificate)

    def send(sent: Any, name: str) -> None:
        with httpx.Client(verify=context, timeout=35) as http:
            for start in range(0, len(sent), 60):
                rows = sent[start : start + 60]
                image = {"name": "image", "datatype": "FP32", "shape": [len(rows), 64], "data": rows.tolist()}
                body = {"id": f"{name}{start}", "inputs": [image]}
                answer = http.post(f"{strict.api_url}/v2/models/digits/infer", json=body)
                assert answer.status_code == 200, answer.text

    send(images, "plain")
    plain = compared(strict, before + 360)
    assert plain["drifted"] == []
    monitor = client("lambda")
    ran = monitor.invoke(FunctionName="switchyard-local-Monitor", Payload=b'{"action": "compare"}')
    assert "FunctionError" not in ran, ran["Payload"].read()
    assert json.loads(ran["Payload"].read())["judged"] == 1
    metrics = client("cloudwatch")
    assert highest(metrics, "DriftPsi", 1) < 0.25
    (alarm,) = metrics.describe_alarms(AlarmNames=["switchyard/local/digits/drift"])["MetricAlarms"]
    assert alarm["StateValue"] != "ALARM"

    send(np.concatenate([rotated_and_noisy(images)] * 3), "moved")
    moved = compared(strict, before + 4 * 360)
    assert moved["metrics"]["DriftPsi"] > 0.25
    assert moved["worst"]["DriftPsi"].startswith("image[")
    ran = monitor.invoke(FunctionName="switchyard-local-Monitor", Payload=b'{"action": "compare"}')
    assert "FunctionError" not in ran
    assert highest(metrics, "DriftPsi", 2) > 0.25
    wait_for_alarm(metrics, "drift")

    bucket = client("ssm").get_parameter(Name="/switchyard/local/capture-bucket")["Parameter"]["Value"]
    keys = [item["Key"] for item in client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
    assert any(key.startswith("reports/digits/000000001/") for key in keys)
    told = tmp_path / "labels.csv"
    rows = [f"plain{at - at % 60},{at % 60},{label}" for at, label in enumerate(labels)]
    told.write_text("\n".join(["id,row,label", *rows]))
    assert strict.yard_json("truth", "digits", str(told))["labels"] == 360
    done = strict.yard("drift", "digits", "--version", "1", "--json", "--out", str(tmp_path / "page.html"))
    found = json.loads(done.stdout)
    assert (found["labelled"], found["metrics"]["Accuracy"]) == (360, pytest.approx(0.9389, abs=1e-4))
    ran = monitor.invoke(FunctionName="switchyard-local-Monitor", Payload=b'{"action": "compare"}')
    assert "FunctionError" not in ran
    assert highest(metrics, "Accuracy", 1) == pytest.approx(0.9389, abs=1e-4)
    wait_for_alarm(metrics, "accuracy")

    # What was labelled is what the next version can be trained on; what was turned and noisy is not.
    now = datetime.now(UTC)
    declared = CAPTURED.format(since=(now - timedelta(hours=2)).isoformat(), until=now.isoformat())
    (tmp_path / "data.toml").write_text(declared)
    asked: dict[str, Any] = {"ssm": client("ssm"), "client": client("s3")}
    made = prepare(tmp_path / "data.toml", tmp_path / "kept", stage=lambda name: kept_requests(name, **asked))
    assert (made.facts["rows"]["kept"], made.classes) == (360, tuple("0123456789"))
    parts = (made.train, made.validation, made.test)
    seen = {
        (row.tobytes(), int(target))
        for part in parts
        for row, target in zip(part.inputs, part.targets, strict=True)
    }
    assert seen == {(row.tobytes(), int(label)) for row, label in zip(images, labels, strict=True)}
    assert "features drifted" in (tmp_path / "page.html").read_text()


ROWS, WIDTH = 614_400, 64  # 150 MiB of weights


def too_large_for_a_layer(folder: Path, last: str) -> Path:
    """``y`` is ``last`` of row ``i`` of a table beside the graph: 157 MB to carry, nothing to compute."""
    folder.mkdir()
    table = TensorProto(
        name="table", data_type=TensorProto.FLOAT, dims=[ROWS, WIDTH], data_location=TensorProto.EXTERNAL
    )
    for key, value in {"location": "table.bin", "offset": "0", "length": str(ROWS * WIDTH * 4)}.items():
        entry = table.external_data.add()
        entry.key, entry.value = key, value
    shapes: dict[str, tuple[int, list[str | int | None]]] = {
        "i": (TensorProto.INT64, ["n"]),
        "y": (TensorProto.FLOAT, ["n", WIDTH]),
    }
    i, y = (helper.make_tensor_value_info(name, *shape) for name, shape in shapes.items())
    rows = [helper.make_node("Gather", ["table", "i"], ["rows"])]
    graph = helper.make_graph([*rows, helper.make_node(last, ["rows"], ["y"])], "table", [i], [y], [table])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    np.arange(ROWS * WIDTH, dtype=np.float32).tofile(folder / "table.bin")
    return folder


def test_the_roles_suffice_for_a_release_in_steps_there_and_back(strict: Deployed) -> None:
    """The state machine may ask the operations function, and that weighs, watches, reads and takes back."""
    context = ssl.create_default_context(cafile=strict.cloud.environment()["AWS_CA_BUNDLE"])
    url = f"{strict.api_url}/v2/models/digits/infer"
    body = (DIGITS / "request.json").read_bytes()
    over = threading.Event()

    def call() -> None:
        with httpx.Client(verify=context, timeout=35) as client:
            while not over.is_set():
                assert client.post(url, content=body).status_code == 200
                over.wait(0.1)

    caller = threading.Thread(target=call)
    caller.start()
    steps = ("--shift", "50", "--bake", "1s", "--min-requests", "2")
    try:
        done = strict.yard_json("release", "digits:2", *steps, "--hold", "60s")
    finally:
        over.set()
        caller.join()
    assert done["phase"] == "done"
    assert strict.yard_json("rollback", "digits")["version"] == 1

    back = strict.yard("release", "digits:2", *steps, "--hold", "1s")
    assert (back.returncode, b"of the 2 requests that this step waits for" in back.stderr) == (1, True)
    (live,) = strict.yard_json("status", "digits")["aliases"]
    assert (live["version"], live["weights"], live["disagreements"]) == (1, {}, [])


def test_a_function_may_ask_its_own_versions_by_number_and_say_which_there_are(strict: Deployed) -> None:
    """Law 2 with least privilege: the version that was asked for answers, through its own Lambda alias."""
    context = ssl.create_default_context(cafile=strict.cloud.environment()["AWS_CA_BUNDLE"])
    address = f"{strict.api_url}/v2/models/digits/versions"
    strict.yard_json("release", "digits:2")
    pinned = httpx.get(f"{address}/1", verify=context, timeout=35)
    assert (pinned.status_code, pinned.headers["x-switchyard-model"]) == (200, "digits:1")
    nowhere = httpx.get(f"{address}/9", verify=context, timeout=35)
    assert nowhere.status_code == 404
    assert nowhere.json()["error"].endswith("by number there are also: 1")
    assert strict.yard_json("rollback", "digits")["version"] == 1


def test_a_mirror_may_ask_its_shadow_and_the_daily_look_may_ask_everything(strict: Deployed) -> None:
    """Laws 3 and 6 with least privilege: the role reaches its shadow, the daily look every version."""
    context = ssl.create_default_context(cafile=strict.cloud.environment()["AWS_CA_BUNDLE"])
    url = f"{strict.api_url}/v2/models/digits/infer"
    body = (DIGITS / "request.json").read_bytes()
    for version in (2, 1):
        strict.yard_json("release", f"digits:{version}")
    strict.yard_json("shadow", "digits:2", "--sample", "99%")
    end = time.monotonic() + 90
    while not strict.yard_json("shadow", "digits")["compared"]:
        assert time.monotonic() < end, "nothing of the mirror reached its shadow"
        answer = httpx.post(url, content=body, verify=context, timeout=35)
        assert (answer.status_code, answer.json()["model_version"]) == (200, "1")
        # What is asked here is kept, too: a thousand times one picture would be drift to the next test.
        time.sleep(1)
    assert strict.yard_json("shadow", "digits", "--stop")["running"] is False

    asked: Any = boto3.Session("test", "test", region_name=strict.cloud.region).client(
        "lambda",
        endpoint_url=strict.cloud.endpoint_url,
        verify=strict.cloud.environment()["AWS_CA_BUNDLE"],
    )
    ran = asked.invoke(FunctionName="switchyard-local-Operations", Payload=b'{"action": "keep-awake"}')
    assert "FunctionError" not in ran
    (model,) = strict.yard_json("status", "digits")["models"]
    assert {item["version"]: item["awake"] for item in model["awake"]} == {1: True, 2: True}


def test_a_model_too_large_for_a_layer_is_released_and_rolled_back_like_any_other(
    strict: Deployed, tmp_path: Path
) -> None:
    """Laws 2 and 6 with least privilege: its function may read it from the store, verifies it, and no more."""
    context = ssl.create_default_context(cafile=strict.cloud.environment()["AWS_CA_BUNDLE"])
    url = f"{strict.api_url}/v2/models/echo/infer"
    sample = {"inputs": [{"name": "i", "datatype": "INT64", "shape": [2], "data": [0, ROWS - 1]}]}
    (tmp_path / "sample.json").write_text(json.dumps(sample))

    def answered() -> tuple[str, float]:
        answer = httpx.post(url, json=sample, verify=context, timeout=35)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-switchyard-model"], answer.json()["outputs"][0]["data"][-1]

    for step in ("Identity", "Neg"):
        folder = too_large_for_a_layer(tmp_path / step, step)
        strict.yard_json("publish", "echo", str(folder), "--sample", str(tmp_path / "sample.json"))
    plan = strict.yard_json("release", "echo:1", "--dry-run")
    assert plan["actions"][0]["what"].endswith("version; model: S3 at start, 512 MB")
    last = float(np.float32(ROWS * WIDTH - 1))
    for version, value in ((1, last), (2, -last)):
        strict.yard_json("release", f"echo:{version}")
        assert answered() == (f"echo:{version}", value)
    assert strict.yard_json("rollback", "echo")["version"] == 1
    assert answered() == ("echo:1", last)
    (live,) = strict.yard_json("status", "echo")["aliases"]
    assert (live["placement"], live["disagreements"]) == ("S3 at start, 512 MB", [])


def test_a_version_whose_bytes_are_gone_never_serves_and_the_refusal_says_which(
    strict: Deployed, store: tuple[S3Client, str], tmp_path: Path
) -> None:
    """Laws 2 and 5: the start fails, so the check does, and nothing moves."""
    s3, bucket = store
    folder = too_large_for_a_layer(tmp_path / "model", "Abs")
    sample = {"inputs": [{"name": "i", "datatype": "INT64", "shape": [1], "data": [7]}]}
    (tmp_path / "sample.json").write_text(json.dumps(sample))
    published = strict.yard_json("publish", "echo", str(folder), "--sample", str(tmp_path / "sample.json"))
    (live,) = strict.yard_json("status", "echo")["aliases"]
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    s3.delete_object(Bucket=bucket, Key=f"blobs/sha256/{digest[:2]}/{digest}")

    refused = strict.yard("release", f"echo:{published['version']}")
    said = refused.stderr.decode()
    assert refused.returncode == 1
    assert "failed to start" in said
    assert f"`blobs/sha256/{digest[:2]}/{digest}`" in said
    (still,) = strict.yard_json("status", "echo")["aliases"]
    assert (still["version"], still["lambda_version"]) == (live["version"], live["lambda_version"])


def test_the_front_may_ask_the_models_whether_they_are_ready(strict: Deployed) -> None:
    certificate = strict.cloud.environment()["AWS_CA_BUNDLE"]

    context = ssl.create_default_context(cafile=certificate)
    answer = httpx.get(f"{strict.api_url}/v2/health/ready", verify=context, timeout=35)
    said = json.loads(answer.content)
    assert answer.status_code == 503
    assert "spare" in answer.text
    assert "may not" not in answer.text, said


# The roles. From here on the stage is theirs: the deployer has deployed it with `roles_only`.

PEOPLE = ("Publisher", "Releaser", "OnCall", "Reader", "Restorer", "Deployer")
STRANGER = "Stranger"
"""A role of the account that nobody gave anything."""

EVERYBODY = set(PEOPLE)
WHO_LOOKS = {"Releaser", "OnCall", "Reader", "Restorer"}
WHO_RELEASES = {"Releaser", "Restorer"}
WHO_PUBLISHES = {"Publisher", "Restorer"}
WHO_MOVES = {"Releaser", "OnCall", "Restorer"}


@dataclass(frozen=True)
class CloudAs(Cloud):
    """The embedded cloud as one role sees it."""

    credentials: tuple[tuple[str, str], ...] = ()

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **dict(self.credentials)}


@dataclass(frozen=True)
class Did:
    """What a command came to."""

    done: bool
    said: str

    @property
    def denied(self) -> bool:
        """Refused by AWS, and said so; not by a mistake of the test."""
        return not self.done and ("AccessDenied" in self.said or "not authorized" in self.said)


class Staff:
    """The stage's roles, and what they do."""

    def __init__(self, strict: Deployed) -> None:
        self.place = strict
        self._given: dict[str, tuple[tuple[str, str], ...]] = {}

    def client(self, service: str, who: str = "") -> Any:
        make: Any = boto3.client  # its stubs want a literal name
        given = dict(self.credentials(who)) if who else {}
        return make(
            service,
            endpoint_url=self.place.cloud.endpoint_url,
            region_name=self.place.cloud.region,
            aws_access_key_id=given.get("AWS_ACCESS_KEY_ID", "test"),
            aws_secret_access_key=given.get("AWS_SECRET_ACCESS_KEY", "test"),
            aws_session_token=given.get("AWS_SESSION_TOKEN"),
            verify=self.place.cloud.environment()["AWS_CA_BUNDLE"],
        )

    def arn(self, who: str) -> str:
        path = "" if who.startswith(STRANGER) else "switchyard/"
        name = who if who.startswith(STRANGER) else f"switchyard-local-{who}-{self.place.cloud.region}"
        return f"arn:aws:iam::{self.place.cloud.account}:role/{path}{name}"

    def hire(self, who: str, *documents: dict[str, Any]) -> None:
        """Make a role that is none of the stage's, with these policies."""
        trusted = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{self.place.cloud.account}:root"},
            "Action": "sts:AssumeRole",
        }
        iam = self.client("iam")
        iam.create_role(RoleName=who, AssumeRolePolicyDocument=json.dumps({"Statement": [trusted]}))
        for number, document in enumerate(documents):
            iam.put_role_policy(
                RoleName=who, PolicyName=f"policy-{number}", PolicyDocument=json.dumps(document)
            )

    def credentials(self, who: str) -> tuple[tuple[str, str], ...]:
        if who not in self._given:
            given = self.client("sts").assume_role(RoleArn=self.arn(who), RoleSessionName="ana")
            found = given["Credentials"]
            self._given[who] = (
                ("AWS_ACCESS_KEY_ID", found["AccessKeyId"]),
                ("AWS_SECRET_ACCESS_KEY", found["SecretAccessKey"]),
                ("AWS_SESSION_TOKEN", found["SessionToken"]),
            )
        return self._given[who]

    def yard(self, who: str, *words: str, **more: str) -> Did:
        """Run a command in this process as ``who``; a process for each would take minutes.

        ``more`` is what its environment has besides.
        """
        environment = {
            **self.place.environment(),
            **dict(self.credentials(who)),
            **more,
            "SSL_CERT_FILE": self.place.cloud.environment()["AWS_CA_BUNDLE"],
        }
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(boto3, "DEFAULT_SESSION", None)
            done = CliRunner().invoke(app, words)
        return Did(done.exit_code == 0, f"{done.output}\n{done.exception or ''}")

    def attach(self, who: str, policy: str) -> None:
        """Give a hired role the managed policy of one of the stage's."""
        name = f"switchyard/switchyard-local-{policy}-{self.place.cloud.region}"
        arn = f"arn:aws:iam::{self.place.cloud.account}:policy/{name}"
        self.client("iam").attach_role_policy(RoleName=who, PolicyArn=arn)

    def parameter(self, name: str) -> str:
        return str(self.client("ssm").get_parameter(Name=f"/switchyard/local/{name}")["Parameter"]["Value"])

    def deploy(self, who: str) -> None:
        """Run ``cdk deploy --all`` as ``who``."""
        cloud = CloudAs(**vars(self.place.cloud), credentials=self.credentials(who))
        # What the CDK remembers of an account belongs to a key.
        home = self.place.cloud.home / f"cdk-of-{who}"
        cloud = replace(cloud, credentials=(*cloud.credentials, ("CDK_HOME", str(home))))
        deploy(cloud, root=ROOT, catalog=self.place.catalog, on_progress=lambda _: None)

    def serves(self) -> str:
        """The Lambda version that answers for digits, and what it is noted for."""
        alias = self.client("lambda").get_alias(FunctionName="switchyard-local-digits", Name="live")
        return f"{alias['FunctionVersion']} {alias['Description']} {alias.get('RoutingConfig')}"

    def wait_for_a_share(self) -> None:
        """Until the shift has begun: then nothing changes for as long as its first step bakes."""
        end = time.monotonic() + 90
        while "AdditionalVersionWeights': {'" not in self.serves():
            assert time.monotonic() < end, "the shift never began"
            time.sleep(0.2)

    def keys(self) -> set[str]:
        bucket = self.client("ssm").get_parameter(Name="/switchyard/local/bucket")["Parameter"]["Value"]
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {item["Key"] for page in pages for item in page["Contents"]}


@pytest.fixture(scope="module")
def staff(strict: Deployed) -> Staff:
    """The stage after a deploy of the deployer's own, which lets nobody write but the stage's roles.

    It leaves another base for `digits`, which waits for its wave.
    """
    made = Staff(strict)
    made.hire(STRANGER)
    written = strict.catalog.read_text().replace("memory_mb = 768", "memory_mb = 896")
    said = 'keep_data = false\nroles_only = true\nrebase = "waves"'
    strict.catalog.write_text(written.replace("keep_data = false", said))
    made.deploy("Deployer")
    assert made.yard("Releaser", "release", "digits:2").done
    assert made.yard("Releaser", "release", "digits:1").done
    return made


def test_a_deploy_is_refused_to_who_reads(staff: Staff) -> None:
    with pytest.raises(LocalCloudError, match="cdk deploy"):
        staff.deploy("Reader")


READING = {
    "versions": (("versions", "digits"), EVERYBODY),
    "show": (("show", "digits:1"), EVERYBODY),
    "diff": (("diff", "digits:1", "digits:2"), EVERYBODY),
    "verify": (("verify", "digits:1"), EVERYBODY),
    "pull": (("pull", "digits:1", "--no-cache"), EVERYBODY),
    "history": (("history", "digits"), EVERYBODY),
    "pins": (("pins", "digits"), EVERYBODY),
    "status": (("status", "digits"), WHO_LOOKS),
    "top": (("top", "--once"), WHO_LOOKS),
    "metrics": (("metrics", "digits"), WHO_LOOKS),
    "cost": (("cost",), WHO_LOOKS),
    "logs": (("logs", "digits"), WHO_LOOKS),
    "dash": (("dash", "digits"), WHO_LOOKS),
    "shadow, to look": (("shadow", "digits"), WHO_LOOKS),
    "release, the plan": (("release", "digits:2", "--dry-run"), WHO_LOOKS),
    "collect, the plan": (("collect",), WHO_LOOKS),
    "invoke": (("invoke", "digits", "--data", str(DIGITS / "request.json")), EVERYBODY),
}
"""Commands that change nothing, and whose they are. The stage's API is open: whoever finds it may call."""


def of_each_kind(roles: set[str], turn: int) -> list[str]:
    """One who may, another one each time, and whoever may not; each command is a process of its own."""
    may, may_not = sorted(roles), sorted(set(PEOPLE) - roles)
    return [may[turn % len(may)], *(may_not[turn % len(may_not)] for _ in may_not[:1]), STRANGER]


@pytest.mark.parametrize(
    ("command", "who"),
    [
        (command, who)
        for turn, (command, (_, roles)) in enumerate(READING.items())
        for who in of_each_kind(roles, turn)
    ],
)
def test_a_command_that_looks_runs_with_its_role_and_is_refused_without(
    staff: Staff, command: str, who: str, tmp_path: Path
) -> None:
    words, roles = READING[command]
    where = {"pull": (str(tmp_path / "pulled"),), "dash": ("--out", str(tmp_path / "page.html"))}
    did = staff.yard(who, *words, *where.get(words[0], ()))
    assert (did.done, did.denied) == (who in roles, who not in roles), did.said


def test_who_looks_at_a_page_sees_its_marks_drawn_with_the_function_s_own_least_rights(staff: Staff) -> None:
    """CloudWatch asks in the name of who looks; the function reads ledgers and metrics, and nothing else."""
    asked: dict[str, Any] = {"FunctionName": "switchyard-local-Marks", "Payload": b'{"model": "digits"}'}
    for who in sorted(WHO_LOOKS):
        ran = staff.client("lambda", who).invoke(**asked)
        drawn = json.loads(ran["Payload"].read())
        assert "FunctionError" not in ran, drawn
        assert (drawn.count("<svg "), "<title>live: v2</title>" in drawn) == (3, True), drawn[:500]
    for who in ("Publisher", STRANGER):
        assert refused(staff.client("lambda", who).invoke, **asked) == "AccessDeniedException"


CHANGING = {
    "publish": (("publish", "digits", str(DIGITS / "v2" / "model.onnx"), "--new"), WHO_PUBLISHES),
    "pin": (("pin", "digits:2", "--reason", "for the audit"), WHO_PUBLISHES | WHO_RELEASES),
    "unpin": (("unpin", "digits:2"), WHO_PUBLISHES | WHO_RELEASES),
    "rebase": (("rebase", "--waves", "100", "--bake", "1s"), WHO_RELEASES),
    "release": (("release", "digits:3"), WHO_RELEASES),
    "rollback": (("rollback", "digits"), WHO_MOVES),
    "flip": (("flip", "digits:2", "--now", "--reason", "sevens"), WHO_MOVES),
    "flip back": (("flip", "digits:1", "--now", "--reason", "sevens"), WHO_MOVES),
    "shadow": (("shadow", "digits:2", "--sample", "10%"), WHO_RELEASES),
    "shadow, to stop": (("shadow", "digits", "--stop"), WHO_MOVES),
    "shift": (
        ("release", "digits:2", "--shift", "50", "--bake", "1h", "--hold", "1h", "--detach"),
        WHO_RELEASES,
    ),
    "watch": (("watch", "digits", "--for", "1s"), WHO_LOOKS),
    "stop": (("stop", "digits", "--reason", "odd sevens"), WHO_MOVES),
    "retire": (("retire", "digits"), WHO_RELEASES),
}
"""Commands that change something, in the order of a story, and whose they are."""


@pytest.mark.parametrize("command", CHANGING)
def test_a_command_that_changes_runs_with_its_role_and_does_nothing_without(
    staff: Staff, command: str
) -> None:
    """Law 3: to whom it is refused, neither the alias nor the store has changed."""
    words, roles = CHANGING[command]
    before = staff.serves(), staff.keys()
    for who in (*PEOPLE, STRANGER):
        if who not in roles:
            did = staff.yard(who, *words)
            assert did.denied, (who, did.said)
    assert (staff.serves(), staff.keys()) == before
    # Who restores carries the others' policies: what they do here, it does in its own test.
    for who in sorted(roles - {"Restorer"}):
        if command == "unpin":  # the one before has let go of every pin
            assert staff.yard(who, *CHANGING["pin"][0]).done
        did = staff.yard(who, *words)
        assert did.done, (who, did.said)
        # What follows from a move is said and not raised: it too must have been allowed.
        assert "not authorized" not in did.said, (who, did.said)
    if command == "shift":
        staff.wait_for_a_share()


def only(staff: Staff, roles: set[str], *words: str, **more: str) -> None:
    """A command runs as each of these roles, after it was refused to everybody else without a trace."""
    before = staff.keys()
    for who in (*PEOPLE, STRANGER):
        if who not in roles:
            did = staff.yard(who, *words, **more)
            assert did.denied, (who, did.said)
    assert staff.keys() == before
    for who in sorted(roles):
        did = staff.yard(who, *words, **more)
        assert did.done, (who, did.said)


def test_a_version_of_another_stage_is_promoted_by_who_publishes_here(staff: Staff, tmp_path: Path) -> None:
    """With a profile for each side: what reads there is none of this stage's roles."""
    changed = onnx.load(DIGITS / "v1" / "model.onnx")
    changed.doc_string = "the same numbers, other bytes"
    onnx.save(changed, tmp_path / "model.onnx")
    s3 = staff.client("s3")
    s3.create_bucket(Bucket="another-stage")
    staff.client("ssm").put_parameter(Name="/switchyard/another/bucket", Value="another-stage", Type="String")
    publish(S3Store("another-stage", client=s3), "digits", tmp_path / "model.onnx", created_by="ben")
    profiles = tmp_path / "credentials"
    words = ("promote", "digits:1", "--from", "another", "--to", "local")
    before = staff.keys()
    for who in ("Releaser", "OnCall", "Reader", "Deployer", STRANGER, "Publisher"):
        here = [f"{name.lower()} = {value}" for name, value in staff.credentials(who)]
        there = ["aws_access_key_id = test", "aws_secret_access_key = test"]
        profiles.write_text("\n".join(["[there]", *there, "[here]", *here, ""]))
        did = staff.yard(
            who,
            *(*words, "--from-profile", "there", "--to-profile", "here"),
            AWS_SHARED_CREDENTIALS_FILE=str(profiles),
        )
        assert (did.done, did.denied) == (who == "Publisher", who != "Publisher"), (who, did.said)
        assert (staff.keys() == before) == (who != "Publisher")


def test_a_lost_region_s_store_is_brought_back_by_who_restores(staff: Staff) -> None:
    """Law 1: what is there already stays what it is; and nobody but this role may do all of it."""
    s3, bucket = staff.client("s3"), staff.parameter("bucket")
    replica = "the-replica"
    s3.create_bucket(Bucket=replica)
    for number in (1, 2):
        key = f"models/digits/versions/{number:09d}.json"
        written = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        digests = set(re.findall(r"[0-9a-f]{64}", written.decode()))
        blobs = {f"blobs/sha256/{digest[:2]}/{digest}" for digest in digests} & staff.keys()
        for copied in (key, *blobs):
            data = s3.get_object(Bucket=bucket, Key=copied)["Body"].read()
            s3.put_object(Bucket=replica, Key=copied, Body=data)
    gone = "models/digits/removed/000000099.json"
    s3.put_object(Bucket=replica, Key=gone, Body=b'{"why": "it was collected there"}')
    readers = [staff.arn(who) for who in (*PEOPLE, STRANGER)]
    everybody = {
        "Effect": "Allow",
        "Principal": {"AWS": readers},
        "Action": ["s3:GetObject", "s3:ListBucket"],
    }
    arn = f"arn:aws:s3:::{replica}"
    allowed = {"Version": "2012-10-17", "Statement": [{**everybody, "Resource": [arn, f"{arn}/*"]}]}
    s3.put_bucket_policy(Bucket=replica, Policy=json.dumps(allowed))
    words = ("restore", "--from-bucket", replica)
    before = staff.keys()
    for who in (*PEOPLE, STRANGER):
        if who != "Restorer":
            did = staff.yard(who, *words)
            assert did.denied, (who, did.said)
    assert staff.keys() == before
    did = staff.yard("Restorer", *words)
    # What other tests left of the models may not be releasable, and is named; nothing was forbidden.
    assert not did.denied, did.said
    assert "the replica knows of nothing after" in did.said
    brought = staff.keys()
    assert gone in brought


def test_what_callers_sent_is_read_by_nobody_s_role_but_by_who_is_given_it(
    staff: Staff, tmp_path: Path
) -> None:
    """`yard drift` and `yard truth` touch the bucket of captures, and no role of the stage reaches it."""
    told = tmp_path / "labels.csv"
    told.write_text("id,row,label\nplain0,0,3\n")
    captured = f"arn:aws:s3:::{staff.parameter('capture-bucket')}"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": captured},
            {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"{captured}/*"},
            {
                "Effect": "Allow",
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": staff.parameter("capture-bucket-key"),
            },
        ],
    }
    analyst = f"{STRANGER}Analyst"
    staff.hire(analyst, policy)
    staff.attach(analyst, "Reader")
    for words in (("drift", "digits", "--version", "1", "--since", "1s"), ("truth", "digits", str(told))):
        only(staff, set(), *words)
        did = staff.yard(analyst, *words)
        assert did.done, did.said


def test_an_administrator_writes_nothing_into_a_store_that_is_the_roles_own(staff: Staff) -> None:
    """Law 3: the bucket's policy holds for whoever may do everything else."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    staff.hire("StrangerAdmin", {"Version": "2012-10-17", "Statement": [everything]})
    bucket = staff.client("ssm").get_parameter(Name="/switchyard/local/bucket")["Parameter"]["Value"]
    for who in ("", "StrangerAdmin"):
        s3 = staff.client("s3", who)
        key = "models/digits/releases/live/000000099.json"
        assert refused(s3.put_object, Bucket=bucket, Key=key, Body=b"1", IfNoneMatch="*") == "AccessDenied"
        assert s3.list_objects_v2(Bucket=bucket)["Contents"]


def test_the_page_s_policy_for_everybody_else_keeps_an_administrator_from_moving_an_alias(
    staff: Staff,
) -> None:
    """Law 3: what `docs/security.md` gives to an organisation, tried on a role that may do everything."""
    (boundary,) = [
        json.loads(block.text)
        for block in blocks(ROOT / "docs" / "security.md")
        if block.language == "json" and "OnlyOurRolesMoveAliases" in block.text
    ]
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    staff.hire("StrangerKept", {"Version": "2012-10-17", "Statement": [everything]}, boundary)
    lambda_ = staff.client("lambda", "StrangerKept")
    name = "switchyard-local-digits"
    assert lambda_.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    for call, asked in (
        (lambda_.update_alias, {"Name": "live", "Description": "mine"}),
        (lambda_.create_alias, {"Name": "mine", "FunctionVersion": "1"}),
        (lambda_.publish_version, {}),
        (lambda_.update_function_configuration, {"Description": "mine"}),
    ):
        assert refused(call, FunctionName=name, **asked) == "AccessDeniedException"
