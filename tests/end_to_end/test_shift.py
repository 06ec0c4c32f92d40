"""Releases in steps on a real deploy: the state machine, weighted aliases, metrics and alarms as they are.

The versions are made for it. Both answer ``y = x``; the faulty one counts to ``x`` first, so its golden
sample passes and callers with large numbers meet a slow answer or a timeout.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import boto3
import httpx
import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

from local_cloud.errors import LocalCloudError
from tests.conftest import Deployed

pytestmark = pytest.mark.cloud

MODEL = "spare"
PIPELINE = "tests/fixtures/pipelines/digits/pipeline.toml"
CATALOG_BESIDES = f"""
[stages.local.training]
image = "switchyard-training:local"
spot = false

[models.digits.pipeline]
file = "{PIPELINE}"
on_new_data = true
"""
SLOW, ENDLESS = 2e5, 1e9


def graph(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """A model from ``x`` to ``y``, both any number of floats."""
    shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in "xy"]
    made = helper.make_graph(list(nodes), "model", [shape[0]], [shape[1]])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def sound(extra: int) -> onnx.ModelProto:
    """Answers at once. ``extra`` makes other bytes of it."""
    nodes = [helper.make_node("Identity", ["x"], ["x0"])]
    nodes += [helper.make_node("Identity", [f"x{n}"], [f"x{n + 1}"]) for n in range(extra)]
    return graph(*nodes, helper.make_node("Identity", [f"x{extra}"], ["y"]))


def faulty() -> onnx.ModelProto:
    """Counts to the largest of its inputs before it answers."""
    one = numpy_helper.from_array(np.array(1.0, np.float32))
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Constant", [], ["one"], value=one),
            helper.make_node("Add", ["count", "one"], ["counted"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("at", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("count", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("counted", TensorProto.FLOAT, []),
        ],
    )
    nothing = numpy_helper.from_array(np.array(0.0, np.float32))
    return graph(
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["times"], to=TensorProto.INT64),
        helper.make_node("Constant", [], ["nothing"], value=nothing),
        helper.make_node("Loop", ["times", "", "nothing"], ["total"], body=body),
        helper.make_node("Mul", ["total", "nothing"], ["zero"]),
        helper.make_node("Add", ["x", "zero"], ["y"]),
    )


class Callers:
    """Some callers who ask all the time for the same thing; what they were answered stays."""

    def __init__(self, url: str, *x: float, name: str = "x", at_once: int = 2) -> None:
        shape = [1] if name == "x" else [1, len(x)]
        self._body = {"inputs": [{"name": name, "datatype": "FP32", "shape": shape, "data": list(x)}]}
        self._url = url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(at_once)]
        self.answers: list[tuple[int, str]] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        with httpx.Client(timeout=35) as client:
            while not self._over.is_set():
                answer = client.post(self._url, json=self._body)
                version = answer.headers.get("x-switchyard-model", "").partition(":")[2]
                self.answers.append((answer.status_code, version))
                self._over.wait(0.05)


@pytest.fixture(scope="module")
def url(deployed: Deployed) -> str:
    return f"{deployed.api_url}/v2/models/{MODEL}/infer"


@pytest.fixture(scope="module")
def versions(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Published: two sound versions and a faulty one. The first is released."""
    folder = tmp_path_factory.mktemp("models")
    sample = folder / "sample.json"
    sample.write_text(
        json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]})
    )
    numbers = {}
    for name, model in {"first": sound(0), "second": sound(1), "faulty": faulty()}.items():
        path = folder / name / "model.onnx"
        path.parent.mkdir()
        onnx.save(model, path)
        published = deployed.yard_json("publish", MODEL, str(path), "--sample", str(sample))
        numbers[name] = published["version"]
    deployed.yard_json("release", f"{MODEL}:{numbers['first']}")
    yield numbers
    deployed.yard("stop", MODEL)
    deployed.yard_json("retire", MODEL)


@pytest.fixture
def fast_clock(deployed: Deployed) -> Iterator[None]:
    """A minute of CloudWatch lasts two seconds."""
    door = f"{deployed.cloud.endpoint_url}/_switchyard/bad-day"
    httpx.post(door, json={"minute_s": 2.0}).raise_for_status()
    yield
    httpx.delete(door).raise_for_status()


def status(deployed: Deployed) -> dict[str, Any]:
    done = deployed.yard("status", MODEL, "--json")
    found: dict[str, Any] = json.loads(done.stdout)["aliases"][0]
    return found


def kinds_of(deployed: Deployed, model: str) -> list[str]:
    return [line["kind"] for line in deployed.yard_json("history", model)]


def kinds(deployed: Deployed, last: int) -> list[str]:
    return kinds_of(deployed, MODEL)[-last:]


def client(deployed: Deployed, service: Any) -> Any:
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=deployed.cloud.endpoint_url,
        region_name=deployed.cloud.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def parameter(deployed: Deployed, name: str) -> str:
    found = client(deployed, "ssm").get_parameter(Name=f"/switchyard/local/{name}")
    return str(found["Parameter"]["Value"])


def execution(deployed: Deployed, id_: str) -> str:
    arn = parameter(deployed, "shifts").replace(":stateMachine:", ":execution:")
    found = client(deployed, "stepfunctions").describe_execution(executionArn=f"{arn}:{id_}")
    return str(found["status"])


def titles(deployed: Deployed) -> list[str]:
    """What the messenger said to people, each message's first line."""
    logs = client(deployed, "logs")
    found = logs.filter_log_events(logGroupName="/aws/lambda/switchyard-local-Messenger")["events"]
    lines = [json.loads(event["message"]) for event in found if event["message"].startswith("{")]
    return [str(line["title"]) for line in lines if "title" in line]


def wait_until(what: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.3)


def test_a_plan_of_a_shift_names_its_steps_and_does_nothing(
    deployed: Deployed, versions: dict[str, int]
) -> None:
    before = status(deployed)
    wanted = f"{MODEL}:{versions['second']}"
    plan = deployed.yard_json("release", wanted, "--shift", "20,50", "--bake", "2s", "--dry-run")
    assert [action["do"] for action in plan["actions"]].count("weigh") == 2
    assert (plan["serves"], plan["then"]) == (versions["first"], versions["second"])
    assert status(deployed) == before


def test_a_shift_under_light_load_goes_all_the_way_and_loses_no_request(
    deployed: Deployed, url: str, versions: dict[str, int]
) -> None:
    wanted = f"{MODEL}:{versions['second']}"
    steps = ("--shift", "20,50", "--bake", "2s", "--min-requests", "5", "--hold", "60s")
    with Callers(url, 1.0) as callers:
        done = deployed.yard_json("release", wanted, *steps, "--reason", "better")
    assert (done["phase"], done["version"]) == ("done", versions["second"])
    assert {code for code, _ in callers.answers} == {200}
    assert {version for _, version in callers.answers} == {str(versions["first"]), str(versions["second"])}
    assert kinds(deployed, 3) == ["shift", "shift", "release"]
    now = status(deployed)
    assert (now["version"], now["weights"], now["disagreements"]) == (versions["second"], {}, [])
    assert execution(deployed, done["shift"]) == "SUCCEEDED"
    assert deployed.yard("watch", MODEL).returncode == 0


def test_a_faulty_version_in_a_shift_comes_back_by_itself(
    deployed: Deployed, url: str, versions: dict[str, int]
) -> None:
    """Timeouts never reach a log line of ours; Lambda counts them for the version that ran."""
    wanted = f"{MODEL}:{versions['faulty']}"
    steps = ("--shift", "50", "--bake", "11s", "--min-requests", "1", "--hold", "60s")
    with Callers(url, ENDLESS) as callers:
        done = deployed.yard("release", wanted, *steps, "--json")
    assert done.returncode == 1, done.stderr.decode()
    assert "invocations failed" in json.loads(done.stdout)["said"]
    assert {code for code, version in callers.answers if version == str(versions["second"])} == {200}
    assert kinds(deployed, 2) == ["shift", "alarm"]
    now = status(deployed)
    assert (now["version"], now["weights"], now["disagreements"]) == (versions["second"], {}, [])
    assert deployed.yard("watch", MODEL).returncode == 1


def test_an_alarm_takes_a_release_back_that_is_too_slow(
    deployed: Deployed, url: str, versions: dict[str, int], fast_clock: None, tmp_path: Path
) -> None:
    """Within three periods of the alarm, and without anybody at a terminal; people are told, and can see it."""
    deployed.yard_json("release", f"{MODEL}:{versions['faulty']}")
    with Callers(url, SLOW) as callers:
        wait_until(lambda: status(deployed)["version"] == versions["second"], 40)
    assert {code for code, _ in callers.answers} == {200}
    last = deployed.yard_json("history", MODEL)[-1]
    assert (last["kind"], last["by"]) == ("alarm", "alarm latency")
    assert "p90 latency" in last["reason"]
    assert status(deployed)["disagreements"] == []
    faulty = f"{MODEL}@live (local, version {versions['faulty']}): answers are too slow"
    wait_until(lambda: f"ALARM: {faulty}" in titles(deployed), 60)
    page = tmp_path / "page.html"
    drawn = deployed.yard_json("dash", MODEL, "--out", str(page), "--since", "1h")
    assert f"live: alarm, back to v{versions['second']}" in [mark["label"] for mark in drawn["marks"]]
    shown = page.read_text("utf-8")
    assert (shown.count("<svg "), f">v{versions['faulty']}</text>" in shown) == (len(drawn["charts"]), True)


def test_a_shift_can_be_watched_refuses_a_deploy_and_can_be_stopped(
    deployed: Deployed, url: str, versions: dict[str, int]
) -> None:
    started = deployed.yard_json(
        "release", f"{MODEL}:{versions['first']}", "--shift", "25", "--bake", "10m", "--detach"
    )
    wait_until(lambda: status(deployed)["weights"], 30)
    now = status(deployed)
    assert (now["version"], now["shift"]["version"]) == (versions["second"], versions["first"])
    assert (now["shift"]["driven"], now["disagreements"]) == (True, [])

    lines = deployed.yard("watch", MODEL, "--json", "--every", "1s", "--for", "2s").stdout.splitlines()
    assert [json.loads(line)["tried"]["share"] for line in lines] == [0.25] * len(lines)

    refused = deployed.yard("release", f"{MODEL}:{versions['faulty']}")
    assert (refused.returncode, b"is being shifted" in refused.stderr) == (1, True)
    with pytest.raises(LocalCloudError, match="is being shifted"):
        deployed.deploy(memory_mb=640)
    # Refused by the guard, before anything of the model was touched.
    assert status(deployed)["weights"] == now["weights"]
    assert status(deployed)["on_current_base"]

    stopped = deployed.yard_json("stop", MODEL, "--reason", "a drill")
    assert (stopped["version"], stopped["line"]["kind"]) == (versions["second"], "stop")
    assert status(deployed)["weights"] == {}
    assert execution(deployed, started["shift"]) == "ABORTED"
    assert not deployed.yard_json("stop", MODEL)["moved"]


def test_the_glass_is_broken_with_a_reason_and_marked(deployed: Deployed, versions: dict[str, int]) -> None:
    deployed.yard_json(
        "release", f"{MODEL}:{versions['faulty']}", "--shift", "25", "--bake", "10m", "--detach"
    )
    wait_until(lambda: status(deployed)["weights"], 30)
    forced = deployed.yard_json("flip", f"{MODEL}:{versions['first']}", "--now", "--reason", "pages")
    assert (forced["line"]["forced"], forced["line"]["reason"]) == (True, "pages")
    assert any("is stopped" in warning for warning in forced["warnings"])
    now = status(deployed)
    assert (now["version"], now["weights"], now["disagreements"]) == (versions["first"], {}, [])


def test_the_models_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    import onnxruntime

    for made in (sound(0), sound(1), faulty()):
        session = onnxruntime.InferenceSession(made.SerializeToString())
        (answer,) = session.run(None, {"x": np.array([3.0], np.float32)})
        assert answer.tolist() == [3.0]


def negated() -> onnx.ModelProto:
    """Answers at once, and otherwise than the others."""
    return graph(helper.make_node("Neg", ["x"], ["y"]))


def shadow_report(deployed: Deployed) -> dict[str, Any]:
    found: dict[str, Any] = deployed.yard_json("shadow", MODEL)
    return found


def test_a_shadow_is_compared_while_callers_are_answered_by_what_is_live(
    deployed: Deployed, url: str, versions: dict[str, int], tmp_path: Path
) -> None:
    """Laws 3, 5 and 11: what shadows is prepared and checked, answers nobody, and counts for no alarm."""
    first, second = (str(versions[name]) for name in ("first", "second"))
    deployed.yard_json("release", f"{MODEL}:{first}")
    lines = len(deployed.yard_json("history", MODEL))
    plan = deployed.yard_json("shadow", f"{MODEL}:{second}", "--sample", "50%", "--dry-run")
    assert plan["actions"][-1]["do"] == "mirror"
    assert len(deployed.yard_json("history", MODEL)) == lines

    begun = deployed.yard_json(
        "shadow", f"{MODEL}:{second}", "--sample", "50%", "--reason", "is it the same?"
    )
    assert (begun["against"], begun["share"], begun["moved"]) == (versions["first"], 0.5, True)
    now = status(deployed)
    assert (now["version"], now["disagreements"]) == (versions["first"], [])
    assert (now["shadow"]["version"], now["shadow"]["share"]) == (versions["second"], 0.5)
    with Callers(url, 1.0) as callers:
        wait_until(lambda: shadow_report(deployed)["compared"] >= 10, 90)
    assert set(callers.answers) == {(200, first)}
    found = shadow_report(deployed)
    assert (found["running"], found["agreement"], found["failed"]) == (True, 1.0, 0)
    assert found["latency_ms"] > 0
    assert found["answered_latency_ms"] > 0

    other = tmp_path / "negated.onnx"
    onnx.save(negated(), other)
    sample = tmp_path / "sample.json"
    sample.write_text(
        json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]})
    )
    third = deployed.yard_json("publish", MODEL, str(other), "--sample", str(sample))["version"]
    deployed.yard_json("shadow", f"{MODEL}:{third}", "--sample", "99%")
    with Callers(url, 1.0) as callers:
        wait_until(lambda: shadow_report(deployed)["compared"] >= 5, 90)
    assert set(callers.answers) == {(200, first)}
    found = deployed.yard_json("shadow", MODEL, "--differing", "3")
    assert (found["version"], found["agreement"]) == (third, 0.0)
    assert [item["differs"] for item in found["differences"]] == [{"y": "1 of 1 values"}] * 3


def test_a_shadow_that_cannot_keep_up_hurts_nobody_and_a_rollback_ends_it(
    deployed: Deployed, url: str, versions: dict[str, int]
) -> None:
    """Law 6: a shadow is no step. The faulty version would count to a milliard for each of these calls."""
    first, second = (str(versions[name]) for name in ("first", "second"))
    deployed.yard_json("release", f"{MODEL}:{second}")
    deployed.yard_json("release", f"{MODEL}:{first}")
    deployed.yard_json("shadow", f"{MODEL}:{versions['faulty']}", "--sample", "99%")
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [ENDLESS]}]}
    for _ in range(4):
        answer = httpx.post(url, json=body, timeout=35)
        assert (answer.status_code, answer.json()["model_version"]) == (200, first)
    wait_until(lambda: shadow_report(deployed)["failed"] >= 1, 120)
    assert deployed.yard_json("rollback", MODEL)["version"] == versions["second"]
    now = status(deployed)
    assert (now["version"], now["weights"], now["shadow"]) == (versions["second"], {}, None)
    assert kinds(deployed, 2) == ["shadow", "rollback"]
    assert deployed.yard_json("shadow", MODEL, "--stop")["running"] is False


def put_data(deployed: Deployed, name: str, first: int, last: int, *, complete: bool = True) -> None:
    """Put rows of the digits where new data are put; once they are ``complete`` the pipeline starts."""
    images, labels = load_digits(return_X_y=True)
    table = pl.DataFrame(images[first:last], schema=[f"pixel_{number:04}" for number in range(64)])
    bucket = json.loads(parameter(deployed, "training"))["bucket"]
    s3 = client(deployed, "s3")
    rows = table.with_columns(pl.Series("target", labels[first:last])).write_csv().encode()
    s3.put_object(Bucket=bucket, Key=f"data/digits/{name}.csv", Body=rows)
    if complete:
        s3.put_object(Bucket=bucket, Key="data/digits/_SUCCESS", Body=b"")


def runs(deployed: Deployed) -> list[dict[str, Any]]:
    """What became of each run of the pipeline that is over, the newest first."""
    machine = parameter(deployed, "pipeline-digits")
    found = client(deployed, "stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    return [run for run in found if run["status"] != "RUNNING"]


def passed(deployed: Deployed, run: dict[str, Any]) -> list[str]:
    """The states that a run went through."""
    events = client(deployed, "stepfunctions").get_execution_history(executionArn=run["executionArn"])
    details = [event.get("stateEnteredEventDetails") for event in events["events"]]
    return [str(found["name"]) for found in details if found]


def test_new_data_start_a_pipeline_that_releases_what_is_better_and_nothing_else(deployed: Deployed) -> None:
    """Every job of it is a process that was given the bundle, and nothing else of this repository."""
    put_data(deployed, "first", 0, 400)
    wait_until(lambda: runs(deployed), 240)
    (run,) = runs(deployed)
    walked = ["Data", "Train", "Optimise", "Look", "Evaluate", "Evaluated", "Publish", "Release"]
    assert passed(deployed, run) == ["Begin", *walked, "HowItWent", "Done"], run
    (line,) = deployed.yard_json("history", "digits")
    assert (line["version"], line["by"]) == (1, "Switchyard, a pipeline")
    assert "new data" in line["reason"]

    # The same data again: no better than what is live, so there is no other version and nothing moves.
    put_data(deployed, "first", 0, 400)
    wait_until(lambda: len(runs(deployed)) == 2, 240)
    assert passed(deployed, runs(deployed)[0])[-2:] == ["Evaluated", "NothingBetter"]
    assert len(deployed.yard_json("history", "digits")) == 1
    assert [found["version"] for found in deployed.yard_json("versions", "digits")] == [1]


def test_the_same_pipeline_run_here_goes_live_by_a_shift(deployed: Deployed, tmp_path: Path) -> None:
    put_data(deployed, "more", 400, 1797, complete=False)
    with Callers(f"{deployed.api_url}/v2/models/digits/infer", *[0.0] * 64, name="image") as callers:
        done = deployed.yard_json("pipeline", PIPELINE, "--out", str(tmp_path))
    assert (done["version"], done["live"]["version"], done["phase"]) == ("digits:2", "digits:1", "done")
    assert done["candidate"]["metrics"]["accuracy"] > done["live"]["metrics"]["accuracy"]
    assert {code for code, _ in callers.answers} == {200}
    assert kinds_of(deployed, "digits") == ["release", "shift", "release"]
