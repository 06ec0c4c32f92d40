"""A heavy model on EC2 goes the whole road: the real MiniLM on two fleets, by REST and by gRPC, behind one alias.

As ``test_heavy`` on SageMaker. Machines are processes of the container's code on the embedded cloud, whose load
balancer carries an unmodified client's gRPC; stacks, gateway, releases and ledger are the ones that AWS gets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import boto3
import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as by_grpc
import tritonclient.http as by_rest

from examples.minilm.build import build, weights
from local_cloud import cloud as embedded
from local_cloud.deploy import deploy
from model_store.contract.deployment import stack_name
from model_store.contract.endpoints import ENDPOINT_HEADER
from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.stage import Stage
from tests.conftest import ROOT, Deployed
from tests.end_to_end.test_heavy import SENTENCES, Sentence, _sample
from yard import deployment

pytestmark = pytest.mark.cloud

CATALOG = """
[stages.local]
auth = "none"
keep_data = false
runtime_layer = "build/layers/local"
endpoint_image = "switchyard-endpoint:local"
vpc = "vpc-0123456789abcdef0"
vpc_subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
grpc_certificate = "arn:aws:acm:us-east-1:000000000000:certificate/01234567-89ab-cdef-0123-456789abcdef"
grpc_callers = ["10.0.0.0/16"]

[models.minilm]
target = "ec2"
instance_type = "m5.large"
versions = []
memory_mb = 512
timeout_s = 20
"""

MOVES = 6
REQUESTS = int(os.environ.get("SWITCHYARD_HEAVY_REQUESTS", "240"))
CALLERS = 4
WAYS = ("rest", "grpc")


@dataclass
class Fleets:
    """The deployed stage, what is asked of it, and what each version answers."""

    made: Deployed
    sentences: list[Sentence]

    def redeploy(self) -> None:
        deploy(self.made.cloud, root=ROOT, catalog=self.made.catalog, on_progress=self.made.said.append)

    @property
    def grpc_host(self) -> str:
        """What the stack says where gRPC callers find it."""
        make: Any = boto3.client  # its stubs want a literal name
        cloudformation = make(
            "cloudformation",
            endpoint_url=self.made.cloud.endpoint_url,
            region_name=self.made.cloud.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        name = stack_name("local", "Model-minilm")
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        return next(str(item["OutputValue"]) for item in stack["Outputs"] if item["OutputKey"] == "GrpcHost")

    def client(self, way: str) -> Any:
        if way == "grpc":
            return by_grpc.InferenceServerClient(self.grpc_host)
        address = self.made.api_url.removeprefix("http://")
        return by_rest.InferenceServerClient(address, connection_timeout=35, network_timeout=35)

    def ask(self, client: Any, number: int = 0, **more: Any) -> tuple[str, bool]:
        """Ask for a sentence; the version that answered, and whether its answer is that version's."""
        sentence = self.sentences[number % len(self.sentences)]
        kind = by_grpc if isinstance(client, by_grpc.InferenceServerClient) else by_rest
        inputs = []
        for name, array in (("input_ids", sentence.ids), ("attention_mask", sentence.mask)):
            tensor = kind.InferInput(name, list(array.shape), "INT64")
            tensor.set_data_from_numpy(array)
            inputs.append(tensor)
        answer = client.infer("minilm", inputs, **more)
        said = answer.get_response()
        version = str(said["model_version"] if isinstance(said, dict) else said.model_version)
        return version, bool(np.allclose(answer.as_numpy("embedding"), sentence.answers[version], atol=1e-4))

    def answered_by(self) -> list[tuple[str, bool]]:
        """Who answers now, by each way."""
        found = []
        for way in WAYS:
            with self.client(way) as client:
                found.append(self.ask(client))
        return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Version 1 answers mean embeddings, version 2 the same at length 1."""
    folder, found = tmp_path_factory.mktemp("minilm"), weights()
    made = {}
    for version, unit_length in (("1", False), ("2", True)):
        made[version] = folder / version / "model.onnx"
        made[version].parent.mkdir()
        made[version].write_bytes(build(found, unit_length=unit_length).SerializeToString())
    return made


def answers_of(files: dict[str, Path]) -> list[Sentence]:
    """What onnxruntime itself says."""
    sessions = {
        version: onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for version, path in files.items()
    }
    found = []
    for ids in SENTENCES:
        tokens = np.array([ids], np.int64)
        fed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        answers = {version: np.asarray(it.run(None, fed)[0]) for version, it in sessions.items()}
        found.append(Sentence(tokens, fed["attention_mask"], answers))
    return found


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> Iterator[Fleets]:
    """The stage after its first deploy: a gateway, a load balancer, no machine, and two versions in the store."""
    os.environ["SWITCHYARD_CLOUD_PARENT_PID"] = str(os.getpid())
    subprocess.run([sys.executable, "-m", "layers.build", "--for", "local"], cwd=ROOT, check=True)
    home = tmp_path_factory.mktemp("fleets")
    made = Deployed(embedded.start(home), home / "models.toml")
    try:
        made.catalog.write_text(CATALOG)
        stage = Fleets(made, answers_of(files))
        stage.redeploy()
        sample = home / "sample.json"
        sample.write_text(json.dumps({"inputs": [tensor.as_json() for tensor in _sample()]}))
        for path in files.values():
            made.yard_json("publish", "minilm", str(path), "--sample", str(sample))
        yield stage
    finally:
        embedded.stop(home)


@pytest.fixture
def room(fleets: Fleets, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The release room, in this process."""
    for name, value in fleets.made.environment().items():
        if name.startswith(("AWS_", "SWITCHYARD_")):
            monkeypatch.setenv(name, value)
    return deployment.find("local").releases(lambda _: None)


def test_a_version_is_provisioned_released_and_asked_by_rest_and_by_grpc(fleets: Fleets) -> None:
    """Laws 1 to 7 where the model is on machines: the procedure is the one of every model."""
    made = fleets.made
    refused = made.yard("release", "minilm:1")
    assert refused.returncode == 1
    assert b"`minilm:1` has no endpoint on stage `local`" in refused.stderr
    assert b"yard provision minilm:1" in refused.stderr
    for version in ("1", "2"):
        assert made.yard_json("provision", f"minilm:{version}", "--no-deploy")["changed"]
    fleets.redeploy()
    with fleets.client("grpc") as client, pytest.raises(by_grpc.InferenceServerException, match="503"):
        fleets.ask(client)
    for version in ("1", "2"):
        made.yard_json("release", f"minilm:{version}")
        assert fleets.answered_by() == [(version, True)] * 2


def test_status_says_what_is_kept_warm_and_what_it_costs(fleets: Fleets) -> None:
    """Law 6."""
    status = fleets.made.yard_json("status", "minilm")
    (model,) = status["models"]
    kept = [(item["version"], item["status"], item["per_hour"]) for item in model["endpoints"]]
    assert kept == [(version, "InService", 0.096) for version in (1, 2)]
    assert status["aliases"][0]["disagreements"] == []


def test_whoever_names_an_endpoint_is_led_there_whatever_is_live(fleets: Fleets) -> None:
    found = fleets.made.yard_json("status", "minilm")["models"][0]["endpoints"]
    with fleets.client("grpc") as client:
        for item in found:
            headers = {ENDPOINT_HEADER: item["endpoint"]}
            assert fleets.ask(client, headers=headers) == (str(item["version"]), True)


class Callers:
    """Threads that ask, every other one by gRPC, and write down who answered and what went wrong."""

    def __init__(self, fleets: Fleets) -> None:
        self.heard: Counter[tuple[str, str, bool]] = Counter()
        self.failures: list[str] = []
        self._fleets = fleets
        self._going = threading.Event()

    def __enter__(self) -> Self:
        self._going.set()
        # Where to ask is looked up here: by now the environment is the deployment's, and stays so.
        clients = [(way, self._fleets.client(way)) for way in WAYS * (CALLERS // 2)]
        self._threads = [threading.Thread(target=self._call, args=client) for client in clients]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going.clear()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 120
        while self.heard.total() < count and not self.failures:
            assert time.monotonic() < deadline, self.heard
            time.sleep(0.01)

    def _call(self, way: str, client: Any) -> None:
        number = 0
        with client:
            while self._going.is_set():
                try:
                    self.heard[(way, *self._fleets.ask(client, number))] += 1
                except Exception as error:  # noqa: BLE001 - whatever went wrong is a failed request
                    self.failures.append(f"{way}: {error!r}")
                number += 1


def test_a_deploy_replaces_every_fleet_under_load_and_moves_no_alias(fleets: Fleets) -> None:
    """Law 4, for REST and gRPC alike: after a rollback another machine setting is another fleet of the same version.

    Law 10: the old machines go when nothing is led to them any more, and finish what they were asked.
    """
    made = fleets.made

    def endpoints() -> set[str]:
        found = made.yard_json("status", "minilm")["models"][0]["endpoints"]
        return {str(item["endpoint"]) for item in found}

    made.yard_json("rollback", "minilm", "--reason", "back")
    before = endpoints()
    made.catalog.write_text(
        made.catalog.read_text().replace("timeout_s = 20", "timeout_s = 20\nmax_batch = 16")
    )
    with Callers(fleets) as callers:
        callers.wait_for(20)
        fleets.redeploy()
        callers.wait_for(callers.heard.total() + 20)
    assert callers.failures == []
    assert set(callers.heard) == {(way, "1", True) for way in WAYS}
    after = endpoints()
    assert (len(after), after & before) == (2, set())
    assert made.yard("status", "minilm").returncode == 0


def test_flips_and_rollbacks_under_load_fail_no_request_and_no_call(fleets: Fleets, room: Stage) -> None:
    """Law 6: a rollback is a flip, by both ways; law 2: every answer is that of the version it names."""
    controller = Controller(room)
    with Callers(fleets) as callers:
        for move in range(MOVES):
            callers.wait_for(REQUESTS * (move + 1) // (MOVES + 2))
            if move % 2:
                moved = controller.rollback("minilm", reason="back")
            else:
                moved = controller.release(ByVersion("minilm", 2), reason="on")
            assert moved.warnings == ()
        callers.wait_for(REQUESTS)
    assert callers.failures == []
    assert {true for _, _, true in callers.heard} == {True}
    assert {(way, version) for way, version, _ in callers.heard} == {
        (way, version) for way in WAYS for version in ("1", "2")
    }


def test_status_names_grpc_that_did_not_follow_and_what_it_says_completes_it(
    fleets: Fleets, room: Stage
) -> None:
    """Law 3: as a command leaves it that died between the alias and the load balancer."""
    made = fleets.made
    assert room.grpc is not None
    before = room.grpc.led("minilm", "live")
    assert before is not None
    made.yard_json("release", "minilm:2")
    room.grpc.lead("minilm", "live", before)
    assert [version for version, _ in fleets.answered_by()] == ["2", "1"]
    said = made.yard("status", "minilm")
    assert said.returncode == 1
    assert b"gRPC calls go to version 1" in said.stderr
    assert b"`yard release minilm:2` again moves them" in said.stderr
    made.yard_json("release", "minilm:2")
    assert fleets.answered_by() == [("2", True)] * 2
    assert made.yard("status", "minilm").returncode == 0
