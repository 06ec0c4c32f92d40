"""Releases in steps on a real deploy: the state machine, weighted aliases, metrics and alarms as they are.

The versions are made for it. Both answer ``y = x``; the faulty one counts to ``x`` first, so its golden
sample passes and callers with large numbers meet a slow answer or a timeout. Those of ``digits`` tell one story
of monitoring: what was trained, the same but slow, and the same but endless for images it was not checked with.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from html import escape
from itertools import count
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
from tests.end_to_end.digits import DIGITS

pytestmark = pytest.mark.cloud

MODEL = "spare"
SEEN = "echo"
"""Serves the digits network here, under a name that nothing else in this module has."""

PIPELINE = "tests/fixtures/pipelines/digits/pipeline.toml"
CATALOG_BESIDES = f"""
[stages.local.training]
image = "switchyard-training:local"
spot = false

[models.digits.pipeline]
file = "{PIPELINE}"
on_new_data = true

[models.echo.alarms]
p99_ms = 150

[models.echo.stages.local]
timeout_s = 4
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


def counting() -> onnx.GraphProto:
    """The body of a loop that counts."""
    one = numpy_helper.from_array(np.array(1.0, np.float32))
    return helper.make_graph(
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


def faulty() -> onnx.ModelProto:
    """Counts to the largest of its inputs before it answers."""
    nothing = numpy_helper.from_array(np.array(0.0, np.float32))
    return graph(
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["times"], to=TensorProto.INT64),
        helper.make_node("Constant", [], ["nothing"], value=nothing),
        helper.make_node("Loop", ["times", "", "nothing"], ["total"], body=counting()),
        helper.make_node("Mul", ["total", "nothing"], ["zero"]),
        helper.make_node("Add", ["x", "zero"], ["y"]),
    )


PIXEL = 36
"""One that many images have ink on, and many have not."""


def digits_that_count(*, slow: float = 0.0, endless: bool = False) -> onnx.ModelProto:
    """The trained model, which counts before it answers: so far for every image, or for ever for inky ones."""
    made = onnx.load(DIGITS / "v1" / "model.onnx")
    graph_ = made.graph
    (first,) = (one.name for one in graph_.output if one.type.tensor_type.elem_type == TensorProto.FLOAT)
    for node in graph_.node:
        node.output[:] = [f"{name}_soon" if name == first else name for name in node.output]
        node.input[:] = [f"{name}_soon" if name == first else name for name in node.input]
    numbers: dict[str, Any] = {
        "slow": np.array(slow, np.float32),
        "much": np.array(ENDLESS if endless else 0, np.float32),
        "none": np.array(0, np.float32),
        "pixel": np.array(PIXEL, np.int64),
    }
    graph_.initializer.extend(numpy_helper.from_array(value, name) for name, value in numbers.items())
    graph_.node.extend(
        [
            helper.make_node("Gather", [graph_.input[0].name, "pixel"], ["ink"], axis=1),
            helper.make_node("ReduceMax", ["ink"], ["most"], keepdims=0),
            helper.make_node("Mul", ["most", "much"], ["far"]),
            helper.make_node("Add", ["far", "slow"], ["to"]),
            helper.make_node("Cast", ["to"], ["times"], to=TensorProto.INT64),
            helper.make_node("Loop", ["times", "", "none"], ["total"], body=counting()),
            helper.make_node("Mul", ["total", "none"], ["zero"]),
            helper.make_node("Add", [f"{first}_soon", "zero"], [first]),
        ]
    )
    return made


def image_of(pixels: Any) -> dict[str, Any]:
    """A request for one image."""
    image = {"name": "image", "datatype": "FP32", "shape": [1, 64], "data": pixels.tolist()}
    return {"inputs": [image]}


def request_for(x: float) -> dict[str, Any]:
    """A request for one number."""
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [x]}]}


class Callers:
    """Some callers who ask all the time, in turn for each of these; what they were answered stays."""

    def __init__(self, url: str, *bodies: dict[str, Any], at_once: int = 2) -> None:
        self._bodies = bodies
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
            for turn in count():
                if self._over.is_set():
                    return
                answer = client.post(self._url, json=self._bodies[turn % len(self._bodies)])
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


def let_minutes_last(deployed: Deployed, seconds: float | None) -> None:
    """How long a minute of CloudWatch is; ``None`` for what it is."""
    door = f"{deployed.cloud.endpoint_url}/_switchyard/bad-day"
    answer = httpx.delete(door) if seconds is None else httpx.post(door, json={"minute_s": seconds})
    answer.raise_for_status()


def firing(deployed: Deployed, model: str) -> set[str]:
    """The alarms on a model that are in ALARM now, of every kind, by the ends of their names."""
    prefix = f"switchyard/local/{model}/"
    found = client(deployed, "cloudwatch").describe_alarms(
        AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm", "CompositeAlarm"], StateValue="ALARM"
    )
    return {
        alarm["AlarmName"].removeprefix(prefix)
        for alarm in (*found["MetricAlarms"], *found["CompositeAlarms"])
    }


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
    with Callers(url, request_for(1.0)) as callers:
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
    with Callers(url, request_for(ENDLESS)) as callers:
        done = deployed.yard("release", wanted, *steps, "--json")
    assert done.returncode == 1, done.stderr.decode()
    assert "invocations failed" in json.loads(done.stdout)["said"]
    assert {code for code, version in callers.answers if version == str(versions["second"])} == {200}
    assert kinds(deployed, 2) == ["shift", "alarm"]
    now = status(deployed)
    assert (now["version"], now["weights"], now["disagreements"]) == (versions["second"], {}, [])
    assert deployed.yard("watch", MODEL).returncode == 1


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
    with Callers(url, request_for(1.0)) as callers:
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
    with Callers(url, request_for(1.0)) as callers:
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


BAND_PERIODS = 7
"""More than the embedded cloud wants of a metric before it expects anything of it."""


def shifted_back(deployed: Deployed, ref: str) -> tuple[str, str]:
    """Shift ``ref`` in until something takes it back: which alarm did, and its reason."""
    steps = ("--shift", "50", "--bake", "10m", "--min-requests", "1", "--hold", "60s")
    done = deployed.yard("release", ref, *steps, "--json")
    assert (done.returncode, json.loads(done.stdout)["phase"]) == (1, "taken back"), done.stderr.decode()
    line = deployed.yard_json("history", SEEN)[-1]
    assert (line["kind"], line["version"], line["weights"]) == ("alarm", 1, {})
    return line["by"], line["reason"]


def page_of(deployed: Deployed) -> str:
    found = client(deployed, "cloudwatch").get_dashboard(DashboardName=f"switchyard-local-{SEEN}")
    return str(found["DashboardBody"])


def marks_widget(deployed: Deployed) -> str:
    """What CloudWatch shows in the page's widget: asked as its user guide says that it asks."""
    (widget,) = (one for one in json.loads(page_of(deployed))["widgets"] if one["type"] == "custom")
    now = round(time.time() * 1000) + 1000
    event = {
        **widget["properties"]["params"],
        "widgetContext": {
            "dashboardName": f"switchyard-local-{SEEN}",
            "widgetId": "widget-3",
            "accountId": deployed.cloud.account,
            "locale": "en",
            "timezone": {"label": "UTC", "offsetISO": "+00:00", "offsetInMinutes": 0},
            "period": 300,
            "isAutoPeriod": True,
            "timeRange": {"mode": "relative", "start": now - 3_600_000, "end": now},
            "theme": "light",
            "linkCharts": True,
            "title": widget["properties"]["title"],
            "forms": {"all": {}},
            "params": widget["properties"]["params"],
            "width": 1784,
            "height": 438,
        },
    }
    name = widget["properties"]["endpoint"].rpartition(":function:")[2]
    ran = client(deployed, "lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    said = ran["Payload"].read()
    assert "FunctionError" not in ran, said
    return str(json.loads(said))


@pytest.fixture(scope="module")
def digits(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Sequence[dict[str, Any]]:
    """Published: as trained, slow, endless; the first serves, the second did for a moment. Returns requests."""
    folder = tmp_path_factory.mktemp("digits")
    with np.load(DIGITS / "held_out.npz") as file:
        images = file["image"].astype(np.float32)
    clean = images[images[:, PIXEL] == 0][0]
    (folder / "sample.json").write_text(json.dumps(image_of(clean)))
    sample = ("--sample", str(folder / "sample.json"))
    trained = onnx.load(DIGITS / "v1" / "model.onnx")
    endless = digits_that_count(endless=True)
    for model in (trained, digits_that_count(slow=SLOW), endless):
        onnx.save(model, folder / "model.onnx")
        deployed.yard_json("publish", SEEN, str(folder / "model.onnx"), *sample)
    for version in (1, 2):
        deployed.yard_json("release", f"{SEEN}:{version}")
    deployed.yard_json("rollback", SEEN, "--reason", "before anybody called")
    return [image_of(image) for image in images[images[:, PIXEL] > 0][:40]]


def test_monitoring_sees_it_tells_it_takes_it_back_and_shows_it(
    deployed: Deployed, digits: Sequence[dict[str, Any]], tmp_path: Path
) -> None:
    """One story with every kind of alarm, judged on what callers met.

    A slow version that somebody forced is what a band and user pain tell people of, and a person takes back.
    Shifted in, it is taken back by its latency, and so is one that gives callers up. Nothing was deployed
    meanwhile, and the deployed page marks all of it (law 4).
    """
    page = page_of(deployed)
    let_minutes_last(deployed, 0.3)
    with Callers(f"{deployed.api_url}/v2/models/{SEEN}/infer", *digits, at_once=3) as callers:
        # A band expects nothing before it has seen some periods of five minutes.
        learnt = time.monotonic() + BAND_PERIODS * 5 * 0.3
        wait_until(lambda: callers.answers and time.monotonic() > learnt, 90)
        deployed.yard_json("flip", f"{SEEN}:2", "--now", "--reason", "the new one, whatever it says")
        wait_until(lambda: "latency-band" in firing(deployed, SEEN), 90)
        # Shorter minutes have too few answers in them for a composite to stand still.
        let_minutes_last(deployed, 2.0)
        wait_until(lambda: "Alias/live/user-pain" in firing(deployed, SEEN), 90)
        (model,) = deployed.yard_json("status", SEEN)["models"]
        states = {alarm["name"].removeprefix(f"switchyard/local/{SEEN}/"): alarm for alarm in model["alarms"]}
        assert states["Alias/live/user-pain"]["state"] == "ALARM"
        shown = tmp_path / "while.html"
        deployed.yard_json("dash", SEEN, "--out", str(shown), "--since", "1h")
        assert f">{SEEN}/live/user-pain: ALARM</li>" in shown.read_text("utf-8")
        pain = f"ALARM: {SEEN}@live (local, version 2): its callers are not served as they should be"
        wait_until(lambda: pain in titles(deployed), 60)
        assert any("longer than was to be expected" in title for title in titles(deployed))
        assert deployed.yard_json("rollback", SEEN, "--reason", "slow <again>")["version"] == 1

        by, why = shifted_back(deployed, f"{SEEN}:2")
        assert (by, "p90 latency" in why) == ("alarm latency", True), why
        by, why = shifted_back(deployed, f"{SEEN}:3")
        # Whichever is first: an answer that is given up is a fault, and a slow one.
        assert by in ("alarm faults", "alarm latency")
        assert "answers were server faults" in why
    let_minutes_last(deployed, None)
    assert {code for code, version in callers.answers if version == "1"} == {200}
    assert {version for _, version in callers.answers} >= {"1", "2"}

    said = deployed.yard_json("status", SEEN)
    (live,), (model,) = said["aliases"], said["models"]
    assert (live["version"], live["weights"], live["disagreements"]) == (1, {}, [])
    (taken,) = model["taken_back"]
    assert (taken["ref"], taken["version"], "server faults" in taken["why"]) == (f"{SEEN}@live", 1, True)
    drawn = deployed.yard_json("dash", SEEN, "--out", str(tmp_path / "page.html"), "--since", "1h")
    assert [mark["label"].removeprefix("live: ") for mark in drawn["marks"]] == [
        *("v1", "v2", "rollback, back to v1", "v2, forced", "rollback, back to v1"),
        *("v2 50%", "alarm, back to v1", "v3 50%", "alarm, back to v1"),
    ]
    html = (tmp_path / "page.html").read_text("utf-8")
    widget = marks_widget(deployed)
    for place, charts in ((html, len(drawn["charts"])), (widget, 3)):
        assert place.count("<svg ") == charts
        assert place.count("<title>live: alarm, back to v1</title>") == 2 * charts
        for mark in drawn["marks"]:
            assert f'<td class="moved">{mark["label"]}</td>' in place
            assert escape(mark["why"][:300]) in place
    assert page_of(deployed) == page


def test_the_digits_that_count_answer_as_the_trained_ones() -> None:
    import onnxruntime

    with np.load(DIGITS / "held_out.npz") as file:
        images = file["image"].astype(np.float32)
    clean = images[images[:, PIXEL] == 0][:5]
    answers = []
    for made in (onnx.load(DIGITS / "v1" / "model.onnx"), digits_that_count(slow=10), digits_that_count()):
        session = onnxruntime.InferenceSession(made.SerializeToString())
        answers.append(session.run(None, {"image": clean}))
    for counted in answers[1:]:
        for ours, trained in zip(counted, answers[0], strict=True):
            np.testing.assert_allclose(ours, trained, rtol=1e-6)


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
    with Callers(f"{deployed.api_url}/v2/models/digits/infer", image_of(np.zeros(64))) as callers:
        done = deployed.yard_json("pipeline", PIPELINE, "--out", str(tmp_path))
    assert (done["version"], done["live"]["version"], done["phase"]) == ("digits:2", "digits:1", "done")
    assert done["candidate"]["metrics"]["accuracy"] > done["live"]["metrics"]["accuracy"]
    assert {code for code, _ in callers.answers} == {200}
    assert kinds_of(deployed, "digits") == ["release", "shift", "release"]
