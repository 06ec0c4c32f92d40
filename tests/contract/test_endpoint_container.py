"""The container's code as a real process, held to SageMaker's contract and to the protocol's.

Source of the contract: Amazon SageMaker developer guide, "Custom inference code with hosting services":
``GET /ping`` and ``POST /invocations`` on port 8080 (or ``SAGEMAKER_BIND_TO_PORT``), a container started as
``IMAGE serve``, SIGTERM and 30 seconds later SIGKILL, the model in a folder.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
import tritonclient.grpc
import tritonclient.http
from onnx import TensorProto, helper

from functions.inference.served import load_served
from functions.inference.service import ModelService
from functions.protocol.tensors import Array
from model_store.contract import environment
from model_store.contract.tensors import TensorSpec
from switchyard_client import files
from tests.unit.functions.conftest import Layer, lay_out, lay_out_pictures, onnx_model
from tests.unit.pictures import digit

ROOT = Path(__file__).parents[2]
TABLE = np.arange(8, dtype=np.float32) * 1.5


class Endpoint:
    """One process of the container's code, and what it said on its standard output."""

    def __init__(self, layer: Layer, folder: Path, *, cwd: Path = ROOT, **environ: str) -> None:
        known = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHYARD_")}
        self.model = layer.manifest.model
        self.process = subprocess.Popen(
            [sys.executable, "-m", "functions.endpoint", "serve"],
            cwd=cwd,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **known,
                **layer.environ,
                "SWITCHYARD_MODEL_DIR": str(folder),
                "SWITCHYARD_HOST": "127.0.0.1",
                "SAGEMAKER_BIND_TO_PORT": "0",
                "SWITCHYARD_GRPC_PORT": "off",
                "SWITCHYARD_THREADS": "1",
                **environ,
            },
        )
        self.lines: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = int(self.wait_for("listening")["port"])
        self.url = f"http://127.0.0.1:{self.port}"

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(json.loads(line))
                self._news.notify_all()

    def wait_for(self, event: str) -> dict[str, Any]:
        """The first line that tells this event."""
        with self._news:
            found = self._news.wait_for(
                lambda: next((line for line in self.lines if line.get("event") == event), None), timeout=30
            )
        assert found, f"no {event} among {self.lines}"
        return found

    def ready(self) -> Endpoint:
        self.grpc_port = self.wait_for("ready")["grpc_port"]
        return self

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=20)

    def infer(self, *rows: tuple[int, int], client: httpx.Client | None = None) -> httpx.Response:
        """Ask the patient model: (turns, index) per row."""
        post = client.post if client else httpx.post
        return post(f"{self.url}/v2/models/{self.model}/infer", json=patient_body(*rows), timeout=60)

    def metric(self, name: str, **labels: str) -> float:
        """One sample of ``/metrics``, whose labels include these."""
        for line in self.get("/metrics").text.splitlines():
            found = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
            wanted = [f'{label}="{value}"' for label, value in labels.items()]
            if found and found[1] == name and all(label in found[2] for label in wanted):
                return float(found[3])
        raise AssertionError(f"no sample {name} {labels}")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.terminate()
        code = self.process.wait(40)
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def patient_body(*rows: tuple[int, int]) -> dict[str, Any]:
    def column(name: str, at: int) -> dict[str, Any]:
        data = [row[at] for row in rows]
        return {"name": name, "datatype": "INT64", "shape": [len(rows), 1], "data": data}

    return {"inputs": [column("turns", 0), column("index", 1)]}


def patient_layer(package: Path) -> Layer:
    """A model that takes as long as it is asked to, and refuses an index outside its table of eight."""
    scalar = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        helper.make_tensor_value_info("before", TensorProto.INT64, []),
    ]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["before", "i"], ["after"]),
        ],
        "body",
        scalar,
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.INT64, []),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["turns"], ["most"], keepdims=0),
        helper.make_node("Loop", ["most", "", "zero"], ["spent"], body=body),
        helper.make_node("Mul", ["spent", "zero"], ["nothing"]),
        helper.make_node("Add", ["index", "nothing"], ["at"]),
        helper.make_node("Gather", ["table", "at"], ["value"]),
    ]
    inputs = [TensorSpec("turns", "INT64", ("n", 1)), TensorSpec("index", "INT64", ("n", 1))]
    outputs = [TensorSpec("value", "FP32", ("n", 1))]
    model = onnx_model(nodes, inputs, outputs, {"table": TABLE, "zero": np.array(0, np.int64)})
    golden = {"turns": np.zeros((1, 1), np.int64), "index": np.full((1, 1), 3, np.int64)}
    return lay_out(
        package,
        {"model.onnx": model.SerializeToString()},
        inputs=inputs,
        outputs=outputs,
        golden=golden,
        model="patient",
        version=1,
    )


def digits_layer(package: Path) -> Layer:
    """The digits example's first version."""
    path = ROOT / "examples" / "digits" / "v1" / "model.onnx"
    graph = onnx.load(path).graph

    def spec(info: onnx.ValueInfoProto) -> TensorSpec:
        tensor = info.type.tensor_type
        kind = "FP32" if tensor.elem_type == TensorProto.FLOAT else "INT64"
        sizes = tuple(size.dim_param or size.dim_value for size in tensor.shape.dim)
        return TensorSpec(info.name, kind, sizes)

    return lay_out(
        package,
        {"model.onnx": path.read_bytes()},
        inputs=[spec(info) for info in graph.input],
        outputs=[spec(info) for info in graph.output],
        golden={"image": np.ones((1, 64), np.float32)},
        version=1,
    )


Start = Callable[..., Endpoint]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts endpoints on the patient model, and ends every one of them."""
    started: list[Endpoint] = []

    def begin(layer: Layer | None = None, **environ: str) -> Endpoint:
        layer = layer or patient_layer(tmp_path / f"model{len(started)}")
        endpoint = Endpoint(layer, layer.package, cwd=ROOT, **environ)
        started.append(endpoint)
        return endpoint

    yield begin
    for endpoint in started:
        endpoint.stop()


@pytest.fixture(scope="module")
def turns_per_second(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How fast the patient model's loop turns on this machine."""
    package = tmp_path_factory.mktemp("pace") / "model"
    layer = patient_layer(package)
    served = layer.load()
    inputs = {"turns": np.full((1, 1), 20_000, np.int64), "index": np.zeros((1, 1), np.int64)}
    began = time.perf_counter()
    served.predictor(inputs, ("value",))
    return 20_000 / (time.perf_counter() - began)


@pytest.fixture
def a_second(turns_per_second: float) -> int:
    """As many turns as take about a second."""
    return int(turns_per_second)


def test_ping_says_no_while_the_model_loads_and_yes_afterwards(start: Start, tmp_path: Path) -> None:
    layer = patient_layer(tmp_path / "model")
    # A pipe in the place of the graph: whoever reads it waits, as if the disk were slow.
    graph = layer.package / "files" / "model.onnx"
    manifest = layer.package / "manifest.json"
    held, data = tmp_path / "held.json", manifest.read_bytes()
    manifest.rename(held)
    os.mkfifo(manifest)
    endpoint = start(layer)
    answer = endpoint.get("/ping")
    assert (answer.status_code, answer.json()["state"]) == (503, "starting")
    assert endpoint.get("/v2/health/live").status_code == 200
    assert endpoint.get("/v2/health/ready").status_code == 503
    refused = endpoint.infer((0, 1))
    assert (refused.status_code, refused.headers["content-type"]) == (503, "application/json")
    assert graph.exists()
    manifest.write_bytes(data)
    endpoint.ready()
    assert endpoint.get("/ping").status_code == 200
    assert endpoint.infer((0, 1)).json()["outputs"][0]["data"] == [1.5]


def test_a_model_that_is_not_its_digest_is_never_served(start: Start, tmp_path: Path) -> None:
    """Law 2: the digest is checked when the model is loaded; a mismatch refuses to serve."""
    layer = patient_layer(tmp_path / "model")
    graph = layer.package / "files" / "model.onnx"
    data = bytearray(graph.read_bytes())
    data[-1] ^= 1
    graph.write_bytes(bytes(data))
    endpoint = start(layer)
    endpoint.wait_for("broken")
    answer = endpoint.get("/ping")
    assert (answer.status_code, answer.json()["state"]) == (503, "broken")
    assert "model.onnx" in answer.json()["reason"]
    assert endpoint.get("/v2/health/live").status_code == 503
    assert endpoint.infer((0, 1)).status_code == 503


def test_without_a_version_there_is_nothing_to_serve(start: Start, tmp_path: Path) -> None:
    layer = patient_layer(tmp_path / "model")
    layer.environ = {environment.MODEL: "patient"}
    endpoint = start(layer)
    assert environment.VERSION in endpoint.wait_for("broken")["reason"]


def test_an_idle_server_ends_with_0_soon_after_sigterm(start: Start) -> None:
    endpoint = start().ready()
    began = time.monotonic()
    assert endpoint.stop() == 0
    assert time.monotonic() - began < 10


def test_sigterm_under_load_loses_no_request(start: Start, a_second: int) -> None:
    """What was accepted is answered; what is new is refused in words, or finds nobody listening."""
    endpoint = start(SWITCHYARD_WORKERS="1").ready()
    answers: list[int | str] = []

    def caller(number: int) -> None:
        with httpx.Client() as client:
            while True:
                try:
                    answer = endpoint.infer((a_second // 100, number % 8), client=client)
                except httpx.ConnectError:
                    answers.append("refused")
                    return
                except httpx.HTTPError as error:
                    answers.append(type(error).__name__)
                    return
                answers.append(answer.status_code)
                if answer.status_code == 503:
                    assert answer.headers["connection"] == "close"
                    return
                assert answer.json()["outputs"][0]["data"] == [TABLE[number % 8]]

    with ThreadPoolExecutor(8) as pool:
        callers = [pool.submit(caller, number) for number in range(8)]
        time.sleep(0.7)
        endpoint.terminate()
        for each in callers:
            each.result(40)
    assert endpoint.stop() == 0
    assert set(answers) <= {200, 503, "refused"}
    assert answers.count(200) > 8


def test_a_draining_server_finishes_and_refuses_what_is_new(start: Start, a_second: int) -> None:
    endpoint = start(SWITCHYARD_WORKERS="1").ready()
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(endpoint.infer, (a_second, 2))
        time.sleep(0.3)
        endpoint.terminate()
        endpoint.wait_for("draining")
        ping = endpoint.get("/ping")
        refused = endpoint.infer((0, 1))
        assert (ping.status_code, ping.json()["state"]) == (503, "draining")
        assert (refused.status_code, refused.headers["connection"]) == (503, "close")
        assert "about to stop" in refused.json()["error"]
        assert long.result().json()["outputs"][0]["data"] == [3.0]
    assert endpoint.stop() == 0


def test_a_poisoned_request_harms_neither_the_worker_nor_who_shares_its_batch(
    start: Start, a_second: int
) -> None:
    endpoint = start(SWITCHYARD_WORKERS="1", SWITCHYARD_BATCHING="on").ready()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(endpoint.infer, (a_second // 2, 0))
        time.sleep(0.15)
        # These arrive while the first one runs, so they leave together.
        rows = [1, 2, 3, 99, 4, 5, 6, 7]
        others = [pool.submit(endpoint.infer, (0, index)) for index in rows]
        assert first.result().status_code == 200
        answers = [other.result() for other in others]
    assert [answer.status_code for answer in answers] == [400 if row == 99 else 200 for row in rows]
    assert all(
        answer.json()["outputs"][0]["data"] == [TABLE[row]]
        for row, answer in zip(rows, answers, strict=True)
        if row != 99
    )
    assert endpoint.metric("switchyard_batch_rows_bucket", le="8.0") >= 1
    assert endpoint.metric("switchyard_batch_rows_sum") == 9
    assert endpoint.metric("switchyard_batch_rows_count") < 9
    assert endpoint.get("/ping").status_code == 200
    assert endpoint.infer((0, 1)).status_code == 200


def test_a_full_queue_answers_429_and_keeps_what_it_has(start: Start, a_second: int) -> None:
    endpoint = start(SWITCHYARD_WORKERS="1", SWITCHYARD_QUEUE_SIZE="2", SWITCHYARD_BATCHING="off").ready()
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(endpoint.infer, (a_second, 0))
        time.sleep(0.3)
        others = [pool.submit(endpoint.infer, (0, 1)) for _ in range(5)]
        statuses = sorted(other.result().status_code for other in others)
        assert first.result().status_code == 200
    assert statuses == [200, 200, 429, 429, 429]
    assert endpoint.metric("switchyard_requests_total", outcome="queue_full") == 3


def test_who_hangs_up_leaves_the_queue(start: Start, a_second: int) -> None:
    endpoint = start(SWITCHYARD_WORKERS="1", SWITCHYARD_BATCHING="off").ready()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(endpoint.infer, (2 * a_second, 0))
        time.sleep(0.2)
        body = json.dumps(patient_body((a_second, 1))).encode()
        with socket.create_connection(("127.0.0.1", endpoint.port)) as caller:
            caller.sendall(
                b"POST /v2/models/patient/infer HTTP/1.1\r\nhost: x\r\ncontent-length: "
                + str(len(body)).encode()
                + b"\r\n\r\n"
                + body
            )
            time.sleep(0.5)
            assert endpoint.metric("switchyard_queue_depth") == 1
        time.sleep(0.5)
        assert endpoint.metric("switchyard_queue_depth") == 0
        assert first.result().status_code == 200
    assert endpoint.metric("switchyard_requests_total", outcome="cancelled") == 1


def test_a_request_that_takes_too_long_is_told_so_and_stopped(start: Start, a_second: int) -> None:
    endpoint = start(SWITCHYARD_WORKERS="1", SWITCHYARD_TIMEOUT_S="1").ready()
    answer = endpoint.infer((60 * a_second, 0))
    assert answer.status_code == 504
    began = time.monotonic()
    assert endpoint.infer((0, 1)).status_code == 200
    assert time.monotonic() - began < 5


def test_a_model_that_proves_slow_leaves_the_event_loop(start: Start, a_second: int) -> None:
    """Its golden sample is quick; what a caller asks of it is not."""
    endpoint = start().ready()
    assert endpoint.wait_for("ready")["on_loop"]
    assert endpoint.infer((a_second // 4, 1)).status_code == 200
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(endpoint.infer, (2 * a_second, 2))
        time.sleep(0.3)
        assert endpoint.get("/ping").status_code == 200
        assert not long.done()
        assert long.result().status_code == 200


def test_metrics_name_one_model_one_version_and_seven_outcomes(start: Start) -> None:
    """Law 11: a fixed, documented set of dimensions, whatever callers send."""
    endpoint = start().ready()
    for path in ("patient", "other", "x" * 100):
        httpx.post(f"{endpoint.url}/v2/models/{path}/infer", json=patient_body((0, 1)))
    page = endpoint.get("/metrics").text
    labels = set(re.findall(r'(\w+)="([^"]*)"', page))
    assert {value for name, value in labels if name == "model"} == {"patient"}
    assert {value for name, value in labels if name == "version"} == {"1"}
    assert {name for name, _ in labels} == {"model", "version", "outcome", "le"}
    assert len({value for name, value in labels if name == "outcome"}) == 7


def test_sagemaker_carries_no_headers_so_the_content_type_and_the_attributes_do(start: Start) -> None:
    endpoint = start().ready()
    document = patient_body((0, 1))
    data = b"".join(np.array(tensor.pop("data"), np.int64).tobytes() for tensor in document["inputs"])
    for tensor in document["inputs"]:
        tensor["parameters"] = {"binary_data_size": 8}
    text = json.dumps({**document, "parameters": {"binary_data_output": True}}).encode()
    kind = "application/vnd.sagemaker-triton.binary+json;json-header-size="
    answer = httpx.post(
        f"{endpoint.url}/invocations",
        content=text + data,
        headers={"content-type": f"{kind}{len(text)}"},
    )
    assert answer.status_code == 200
    length = int(answer.headers["content-type"].removeprefix(kind))
    assert np.frombuffer(answer.content[length:], np.float32).tolist() == [1.5]
    assert "x-switchyard-model=patient:1" in answer.headers["x-amzn-sagemaker-custom-attributes"]
    plain = httpx.post(f"{endpoint.url}/invocations", json=patient_body((0, 2)))
    assert plain.json()["outputs"][0]["data"] == [3.0]
    assert plain.headers["x-switchyard-digest"].startswith("sha256:")


def test_what_is_not_served_is_said_as_the_function_says_it(start: Start) -> None:
    endpoint = start().ready()
    other = endpoint.get("/v2/models/other")
    assert (other.status_code, "`other`" in other.json()["error"]) == (404, True)
    assert endpoint.get("/v2/models/patient/versions/7").status_code == 404
    assert endpoint.get("/nowhere").json() == {"error": "there is no `GET /nowhere` here"}
    wrong = endpoint.get("/v2/models/patient/infer")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert endpoint.get("/v2/models/patient/openapi.json").json()["paths"]
    assert endpoint.get("/live/v2/models/patient/ready").status_code == 200


def test_a_body_beyond_the_limit_is_refused(start: Start) -> None:
    endpoint = start(SWITCHYARD_MAX_BODY_BYTES="100000").ready()
    answer = httpx.post(f"{endpoint.url}/v2/models/patient/infer", content=b" " * 300_000)
    assert answer.status_code == 413
    assert "100000" in answer.json()["error"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endpoint, Layer]]:
    layer = digits_layer(tmp_path_factory.mktemp("digits") / "model")
    endpoint = Endpoint(layer, layer.package, SWITCHYARD_GRPC_PORT="0").ready()
    yield endpoint, layer
    endpoint.stop()


@pytest.fixture
def images() -> Array:
    held_out: Array = np.random.default_rng(5).integers(0, 17, (3, 64)).astype(np.float32)
    return held_out


def clients(endpoint: Endpoint) -> Iterator[tuple[Any, Any]]:
    for module, port in ((tritonclient.http, endpoint.port), (tritonclient.grpc, endpoint.grpc_port)):
        client = module.InferenceServerClient(f"127.0.0.1:{port}")
        yield module, client
        client.close()


def test_json_and_binary_answers_are_the_function_s_byte_for_byte(
    digits: tuple[Endpoint, Layer], images: Array
) -> None:
    """Law 7: one protocol, whatever target serves it."""
    endpoint, layer = digits
    service = ModelService(load_served(layer.environ, package=str(layer.package)))
    tensor = {"name": "image", "datatype": "FP32", "shape": [3, 64]}
    plain = json.dumps({"id": "a", "inputs": [{**tensor, "data": images.reshape(-1).tolist()}]}).encode()
    text = json.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": images.nbytes}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    url = f"{endpoint.url}/v2/models/digits/infer"
    assert httpx.post(url, content=plain).content == service.infer(plain, "digits").body
    binary = httpx.post(
        url,
        content=text + images.tobytes(),
        headers={"inference-header-content-length": str(len(text))},
    )
    expected = service.infer(text + images.tobytes(), "digits", json_length=len(text))
    assert binary.content == expected.body
    assert binary.headers["inference-header-content-length"] == str(expected.json_length)
    wrong = b'{"inputs": []}'
    assert "`inputs` is empty" in httpx.post(url, content=wrong).json()["error"]


def test_files_of_pictures_are_words_over_http_and_grpc_and_odd_ones_end_nothing(
    start: Start, tmp_path: Path
) -> None:
    """ADR 64: the container reads them as the function does."""
    endpoint = start(lay_out_pictures(tmp_path / "pictures"), SWITCHYARD_GRPC_PORT="0").ready()
    three, zero = digit(3), digit(0, "JPEG")
    for module, client in clients(endpoint):
        tensor = module.InferInput("file", [2], "BYTES")
        tensor.set_data_from_numpy(files(three, zero))
        assert client.infer("digits", [tensor]).as_numpy("digit").tolist() == [b"three", b"zero"]
    url, alone = f"{endpoint.url}/v2/models/digits/infer", {"inference-header-content-length": "0"}
    odd = httpx.post(url, content=zero[:100], headers=alone)
    assert (odd.status_code, odd.json()["error"].partition(":")[0]) == (400, "picture 0 cannot be read")
    outputs = httpx.post(url, content=zero, headers=alone).json()["outputs"]
    assert [output["data"] for output in outputs if output["name"] == "digit"] == [["zero"]]


def test_unmodified_clients_get_the_function_s_answers_over_http_and_grpc(
    digits: tuple[Endpoint, Layer], images: Array
) -> None:
    endpoint, layer = digits
    served = layer.load()
    names = tuple(served.signature.outputs)
    expected = served.predictor({"image": images}, names)
    for module, client in clients(endpoint):
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("digits", "1")
        image = module.InferInput("image", [3, 64], "FP32")
        image.set_data_from_numpy(images)
        answer = client.infer("digits", [image], request_id="seven")
        for name in names:
            np.testing.assert_array_equal(answer.as_numpy(name), expected[name])
        with pytest.raises(tritonclient.utils.InferenceServerException, match="`nobody`"):
            client.infer("nobody", [image])
        short = module.InferInput("image", [3, 63], "FP32")
        short.set_data_from_numpy(images[:, :63].copy())
        with pytest.raises(tritonclient.utils.InferenceServerException, match=r"\[3, 63\]"):
            client.infer("digits", [short])


def test_grpc_metadata_are_the_rest_metadata(digits: tuple[Endpoint, Layer]) -> None:
    endpoint, _ = digits
    rest = endpoint.get("/v2/models/digits").json()
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{endpoint.grpc_port}")
    said = client.get_model_metadata("digits", as_json=True)
    server = client.get_server_metadata()
    client.close()
    assert (said["name"], said["versions"], said["platform"]) == ("digits", ["1"], rest["platform"])
    assert [int(size) for size in said["inputs"][0]["shape"]] == rest["inputs"][0]["shape"]
    assert (server.name, list(server.extensions)) == ("switchyard", ["binary_tensor_data"])


def test_a_stream_is_answered_in_order_and_survives_a_bad_request(
    digits: tuple[Endpoint, Layer], images: Array
) -> None:
    endpoint, layer = digits
    served = layer.load()
    name = next(iter(served.signature.outputs))
    expected = served.predictor({"image": images}, (name,))[name]
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{endpoint.grpc_port}")
    heard: list[tuple[Any, Any]] = []
    done = threading.Event()

    def hear(result: Any, error: Any) -> None:
        heard.append((result, error))
        if len(heard) == 4:
            done.set()

    client.start_stream(hear)
    for row in (0, 1, None, 2):
        tensor = tritonclient.grpc.InferInput("image", [1, 64 if row is not None else 3], "FP32")
        tensor.set_data_from_numpy(images[row : row + 1] if row is not None else np.zeros((1, 3), np.float32))
        client.async_stream_infer("digits", [tensor], request_id=str(row))
    assert done.wait(20)
    client.stop_stream()
    client.close()
    assert [error is not None for _, error in heard] == [False, False, True, False]
    for position, row in ((0, 0), (1, 1), (3, 2)):
        result = heard[position][0]
        assert result.get_response().id == str(row)
        np.testing.assert_allclose(result.as_numpy(name), expected[row : row + 1], rtol=1e-5, atol=1e-5)


def test_grpc_refuses_with_unavailable_while_draining(start: Start, a_second: int) -> None:
    endpoint = start(SWITCHYARD_WORKERS="1", SWITCHYARD_GRPC_PORT="0").ready()
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{endpoint.grpc_port}")

    def ask(turns: int) -> Any:
        inputs = []
        for name, value in (("turns", turns), ("index", 2)):
            tensor = tritonclient.grpc.InferInput(name, [1, 1], "INT64")
            tensor.set_data_from_numpy(np.full((1, 1), value, np.int64))
            inputs.append(tensor)
        return client.infer("patient", inputs).as_numpy("value")

    assert ask(0).tolist() == [[3.0]]
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(ask, a_second)
        time.sleep(0.3)
        endpoint.terminate()
        endpoint.wait_for("draining")
        with pytest.raises(tritonclient.utils.InferenceServerException) as refused:
            ask(0)
        assert "UNAVAILABLE" in str(refused.value.status())
        assert long.result().tolist() == [[3.0]]
    client.close()
    assert endpoint.stop() == 0
