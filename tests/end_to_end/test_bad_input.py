"""Bad input, end to end: a clear error that says what to do; nothing changes, nothing is lost."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.conftest import ROOT, Deployed

DIGITS = ROOT / "examples" / "digits"


@pytest.fixture(scope="module")
def url(deployed: Deployed) -> str:
    """A released model to send nonsense to, the second one of the deployment."""
    deployed.yard_json("publish", "spare", str(DIGITS / "v1" / "model.onnx"))
    deployed.yard_json("release", "spare:1")
    return f"{deployed.api_url}/v2/models/spare"


@pytest.fixture(scope="module", autouse=True)
def _tidy(deployed: Deployed) -> Any:
    yield
    deployed.yard_json("retire", "spare")


def image(**changes: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "FP32", "shape": [1, 64], "data": [0.0] * 64, **changes}


BODIES: dict[str, tuple[bytes, int, str]] = {
    "not JSON": (b"hello", 400, "JSON"),
    "NaN": (b'{"inputs": [{"name": "image", "data": [NaN]}]}', 400, "JSON"),
    "not an object": (b"[1, 2]", 400, "object"),
    "no inputs": (b"{}", 400, "inputs"),
    "wrong name": (json.dumps({"inputs": [image(name="picture")]}).encode(), 400, "image"),
    "wrong datatype": (json.dumps({"inputs": [image(datatype="INT64")]}).encode(), 400, "FP32"),
    "wrong shape": (json.dumps({"inputs": [image(shape=[1, 63], data=[0.0] * 63)]}).encode(), 400, "64"),
    "wrong count of values": (json.dumps({"inputs": [image(data=[0.0] * 63)]}).encode(), 400, "64"),
    "too many tensors": (json.dumps({"inputs": [image(), image()]}).encode(), 400, "image"),
    "a string for a number": (json.dumps({"inputs": [image(data=["x"] * 64)]}).encode(), 400, "image"),
    "an unknown output": (
        json.dumps({"inputs": [image()], "outputs": [{"name": "mood"}]}).encode(),
        400,
        "label",
    ),
    "7 MB": (b'{"inputs": "' + b"x" * 7_000_000 + b'"}', 413, ""),
}


@pytest.mark.cloud
@pytest.mark.parametrize("name", BODIES)
def test_a_bad_request_is_a_4xx_that_says_what_was_expected(url: str, name: str) -> None:
    body, status, expected = BODIES[name]
    answer = httpx.post(
        f"{url}/infer", content=body, headers={"content-type": "application/json"}, timeout=35
    )
    assert answer.status_code == status
    said = answer.json()
    assert expected in said.get("error", said.get("message", ""))


@pytest.mark.cloud
def test_an_unknown_model_is_a_404_over_http(deployed: Deployed) -> None:
    answer = httpx.get(f"{deployed.api_url}/v2/models/cats", timeout=35)
    assert answer.status_code == 404
    assert "cats" in answer.json()["error"]


def graph_with_external_data(location: str) -> bytes:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    made = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "escape",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [weight],
    )
    return bytes(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())


def graph_that_cannot_load() -> bytes:
    made = helper.make_graph(
        [helper.make_node("NoSuchOperator", ["x"], ["y"])],
        "broken",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
    )
    return bytes(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())


FILES: dict[str, tuple[bytes, bytes]] = {
    "a text": (b"not a model at all", b"ONNX"),
    "a pickle": (pickle.dumps({"weights": np.zeros(3)}), b"pickle"),
    "a graph that onnxruntime cannot load": (graph_that_cannot_load(), b"onnxruntime"),
    "external data outside its folder": (graph_with_external_data("../../etc/passwd"), b"passwd"),
    "external data at an absolute path": (graph_with_external_data("/etc/passwd"), b"/etc/passwd"),
}


@pytest.mark.cloud
@pytest.mark.parametrize("name", FILES)
def test_an_unsafe_or_broken_artifact_is_refused_and_nothing_is_stored(
    deployed: Deployed, tmp_path: Path, name: str
) -> None:
    content, expected = FILES[name]
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    done = deployed.yard("publish", "digits", str(path))
    assert done.returncode == 1, done.stderr
    assert expected in done.stderr
    assert b"hint:" in done.stderr
    assert b"Traceback" not in done.stderr


REFUSED: dict[str, tuple[tuple[str, ...], int, bytes]] = {
    "a version that does not exist": (("release", "spare:99"), 1, b"spare:99"),
    "a model that is not in the catalog": (("publish", "cats", "model.onnx"), 2, b"not in the catalog"),
    "a model that is nowhere": (("versions", "cats"), 1, b"cats"),
    "a misspelled reference": (("release", "spare"), 2, b"name:version"),
    "a misspelled name": (("versions", "Spare!"), 2, b"not a model name"),
    "a misspelled command": (("relaese", "spare:1"), 2, b"release"),
    "a metric without a value": (("publish", "spare", "x.onnx", "--metric", "accuracy"), 2, b"accuracy=0.97"),
    "a file that is not there": (("publish", "spare", "nowhere.onnx"), 1, b"nowhere.onnx"),
    "data that is not there": (("invoke", "spare", "--data", "nowhere.json"), 2, b"nowhere.json"),
    "an alias that reads like a version": (
        ("rollback", "spare", "--alias", "v7"),
        2,
        b"reads like a version",
    ),
    "an alias that does not exist": (("rollback", "spare", "--alias", "shadow"), 1, b"spare@shadow"),
    "a stage that is not deployed": (("status", "--stage", "staging"), 1, b"`staging` is not deployed"),
    "a version that is not served": (("invoke", "spare", "--version", "9"), 1, b"spare:9"),
}


@pytest.mark.cloud
@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_command_says_why_and_what_to_do(deployed: Deployed, url: str, name: str) -> None:
    words, code, expected = REFUSED[name]
    before = standing(deployed)
    done = deployed.yard(*words)
    assert done.returncode == code, done.stderr
    assert expected in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""
    assert standing(deployed) == before


def standing(deployed: Deployed) -> Any:
    """What a stage serves, without what is measured: alarms come and go by themselves."""
    status = deployed.yard_json("status")
    served = [
        (item["ref"], item["version"], item["lambda_version"], item["weights"]) for item in status["aliases"]
    ]
    return served, [(item["model"], item["by_number"]) for item in status["models"]]


@pytest.mark.cloud
def test_invoke_reads_a_request_from_stdin_and_writes_the_answer_to_stdout(
    deployed: Deployed, url: str
) -> None:
    done = deployed.yard("invoke", "spare", "--data", "-", stdin=json.dumps({"inputs": [image()]}).encode())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model_version"] == "1"


@pytest.mark.cloud
def test_a_request_over_the_limit_is_refused_before_it_is_sent(deployed: Deployed, url: str) -> None:
    done = deployed.yard("invoke", "spare", "--data", "-", stdin=BODIES["7 MB"][0])
    assert done.returncode == 1
    assert b"takes at most" in done.stderr


def yard_elsewhere(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """The command line in an empty folder, with no cloud of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"PYTHONPATH": str(ROOT), "SWITCHYARD_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "yard.main", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)


def test_without_a_running_cloud_the_command_to_start_it_is_named(tmp_path: Path) -> None:
    done = yard_elsewhere(tmp_path, "status")
    assert done.returncode == 1
    assert b"yard local up" in done.stderr


def test_local_status_without_a_cloud_exits_1(tmp_path: Path) -> None:
    done = yard_elsewhere(tmp_path, "local", "status", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"running": False}


def test_local_up_outside_a_project_is_refused(tmp_path: Path) -> None:
    done = yard_elsewhere(tmp_path, "local", "up")
    assert done.returncode == 2
    assert b"models.toml" in done.stderr


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text((ROOT / "models.toml").read_text())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = {**os.environ, "SWITCHYARD_HOME": str(tmp_path / "home")}
        done = subprocess.run(
            [sys.executable, "-m", "yard.main", "local", "up", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=False,
        )
    assert done.returncode == 1
    assert str(port).encode() in done.stderr
    assert b"hint:" in done.stderr
