"""Real ONNX models in real model layers, and a caller that comes in the way API Gateway does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from examples.digits.steps import build
from functions.inference.adapters.memory import MemoryCaptures
from functions.inference.capture import Recorder
from functions.inference.door import HttpDoor
from functions.inference.limits import Limits
from functions.inference.released import Released
from functions.inference.request_log import RequestLog
from functions.inference.served import Served, Unreleased, load_served
from functions.inference.service import ModelService
from functions.protocol.tensors import DATATYPES, DTYPES, Array
from model_store.contract import environment, parquet
from model_store.contract.capture import CaptureSettings
from model_store.contract.digest import Digest
from model_store.contract.events import http_event, read_answer
from model_store.contract.extensions import DOMAIN, OPERATORS
from model_store.contract.manifest import PICTURES, ArtifactFile, Golden, Manifest
from model_store.contract.tensors import TensorData, TensorSpec
from tests.unit import pictures, text_graphs

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}

SAMPLES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "BYTES": ["", "é€😀"],
    **{name: [0, int(np.iinfo(dtype).max)] for name, dtype in DTYPES.items() if dtype.kind in "iu"},
    **{name: [0.0, float(np.finfo(dtype).max)] for name, dtype in DTYPES.items() if dtype.kind == "f"},
}

WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3) / 10


@dataclass
class Layer:
    """A model layer as a release lays it out, and the environment that goes with it."""

    package: Path
    manifest: Manifest
    environ: dict[str, str]

    def load(self) -> Served:
        served = load_served(self.environ, package=str(self.package))
        assert isinstance(served, Served)
        return served


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, or what of it stands before the binary data."""
        length = self.headers.get("inference-header-content-length")
        text = self.body if length is None else self.body[: int(length)]
        return json.loads(text, parse_constant=_refuse)

    @property
    def data(self) -> bytes:
        """What follows the JSON."""
        return self.body[int(self.headers["inference-header-content-length"]) :]


class Kept:
    """A recorder that keeps every request and writes at once, and what it wrote."""

    def __init__(self, served: Released, **more: Any) -> None:
        self.captures = MemoryCaptures()
        settings, log = CaptureSettings(1.0, 10_000), RequestLog({}, lambda _: None)
        self.recorder = Recorder(lambda: self.captures, served, settings, log, write_every_s=0, **more)

    @property
    def rows(self) -> list[dict[str, Any]]:
        self.recorder.drain()
        found = []
        for data in self.captures.kept.values():
            columns, _ = parquet.read(data)
            names = [column.name for column in columns]
            found += [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return found


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


@dataclass
class Caller:
    """Calls an app through the same door as API Gateway; keeps the log lines it wrote."""

    served: Served | Unreleased
    limits: Limits = field(default_factory=Limits)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.service = ModelService(self.served, self.limits)
        self.door = HttpDoor(self.service, RequestLog(self.served.labels, self.lines.append))

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def event(self, event: object, context: object = None) -> Reply:
        return Reply(*read_answer(self.door(event, context)))

    def get(self, path: str) -> Reply:
        return self.event(http_event("GET", path))

    def post(
        self,
        path: str,
        body: object,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        event = http_event("POST", path, content, content_type=content_type)
        event["headers"] |= headers or {}
        return self.event(event)

    def binary(self, document: Mapping[str, Any], *data: bytes, path: str | None = None) -> Reply:
        """Send a request with binary data the way the extension has it."""
        text = json.dumps(document).encode()
        return self.post(
            path or f"/v2/models/{self.served.model}/infer",
            b"".join([text, *data]),
            content_type="application/octet-stream",
            headers={"inference-header-content-length": str(len(text))},
        )

    def infer(self, *inputs: Mapping[str, Any], **rest: Any) -> Reply:
        return self.post(f"/v2/models/{self.served.model}/infer", {"inputs": list(inputs), **rest})


def tensor(name: str, array: Array) -> TensorData:
    return TensorData(name, DATATYPES[array.dtype], tuple(array.shape), tuple(array.reshape(-1).tolist()))


def value_info(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, ONNX_TYPES[spec.datatype], list(spec.shape))


def onnx_model(
    nodes: Iterable[onnx.NodeProto],
    inputs: Iterable[TensorSpec],
    outputs: Iterable[TensorSpec],
    constants: Mapping[str, Array] | None = None,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [value_info(spec) for spec in inputs],
        [value_info(spec) for spec in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def lay_out(
    package: Path,
    files: Mapping[str, bytes],
    *,
    inputs: Iterable[TensorSpec],
    outputs: Iterable[TensorSpec],
    golden: Mapping[str, Array],
    model: str = "digits",
    version: int = 2,
    entry: str = "model.onnx",
    kind: str = "onnx",
    lineage: Mapping[str, str] | None = None,
) -> Layer:
    """Write ``switchyard_model`` as a release would; the golden outputs are not looked at here."""
    for path, data in files.items():
        target = package / environment.FILES_FOLDER / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    manifest = Manifest(
        model=model,
        version=version,
        files=tuple(ArtifactFile(path, Digest.of(data), len(data)) for path, data in files.items()),
        entry=entry,
        kind=kind,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        golden=Golden(tuple(tensor(name, array) for name, array in golden.items()), ()),
        created_at="2026-11-22T09:00:00+00:00",
        created_by="tests",
        lineage=dict(lineage or {}),
    )
    slim = replace(manifest, golden=manifest.golden.without_values())
    (package / environment.MANIFEST_FILE).write_bytes(slim.to_json())
    (package / environment.GOLDEN_FILE).write_text(json.dumps(manifest.golden.as_json()))
    environ = {
        environment.MODEL: model,
        environment.VERSION: str(version),
        environment.DIGEST: str(manifest.digest),
        environment.STAGE: "test",
    }
    return Layer(package, manifest, environ)


@pytest.fixture(autouse=True)
def event_loop_of_mangum() -> Iterator[None]:
    """Mangum runs on the thread's current event loop and never closes it: Lambda ends with its process."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Where a layer's model folder is laid out."""
    return tmp_path / "python" / environment.MODEL_PACKAGE


@pytest.fixture
def linear_layer(package: Path) -> Layer:
    """``digits:2``: x [batch, 4] to scores [batch, 3] and label [batch]."""
    inputs = [TensorSpec("x", "FP32", ("batch", 4))]
    outputs = [TensorSpec("scores", "FP32", ("batch", 3)), TensorSpec("label", "INT64", ("batch",))]
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    model = onnx_model(nodes, inputs, outputs, {"weights": WEIGHTS})
    return lay_out(
        package,
        {"model.onnx": model.SerializeToString()},
        inputs=inputs,
        outputs=outputs,
        golden={"x": np.ones((1, 4), np.float32)},
    )


@pytest.fixture
def every_datatype_layer(package: Path) -> Layer:
    """One input and one output per datatype, each passed on unchanged; BF16 goes with no strings."""
    inputs = [TensorSpec(f"in_{name.lower()}", name, (f"n_{name.lower()}", "k")) for name in ONNX_TYPES]
    outputs = [TensorSpec(f"out_{name.lower()}", name, (f"n_{name.lower()}", "k")) for name in ONNX_TYPES]
    nodes = [helper.make_node("Identity", [i.name], [o.name]) for i, o in zip(inputs, outputs, strict=True)]
    golden = {
        spec.name: np.array(SAMPLES[spec.datatype], dtype=DTYPES[spec.datatype]).reshape(1, 2)
        for spec in inputs
    }
    model = onnx_model(nodes, inputs, outputs)
    return lay_out(
        package, {"model.onnx": model.SerializeToString()}, inputs=inputs, outputs=outputs, golden=golden
    )


@pytest.fixture
def arithmetic_layer(package: Path) -> Layer:
    """a [n] and b [m] to their sum and quotient: shapes may not fit each other, and 0/0 is NaN."""
    inputs = [TensorSpec("a", "FP32", ("n",)), TensorSpec("b", "FP32", ("m",))]
    outputs = [TensorSpec("sum", "FP32", ("n",)), TensorSpec("quotient", "FP32", ("n",))]
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Div", ["a", "b"], ["quotient"]),
    ]
    ones = np.ones(2, np.float32)
    return lay_out(
        package,
        {"model.onnx": onnx_model(nodes, inputs, outputs).SerializeToString()},
        inputs=inputs,
        outputs=outputs,
        golden={"a": ones, "b": ones},
    )


@pytest.fixture
def external_layer(package: Path) -> Layer:
    """The linear model with its weights in a second file."""
    inputs = [TensorSpec("x", "FP32", ("batch", 4))]
    outputs = [TensorSpec("scores", "FP32", ("batch", 3))]
    model = onnx_model(
        [helper.make_node("MatMul", ["x", "weights"], ["scores"])], inputs, outputs, {"weights": WEIGHTS}
    )
    (weights,) = model.graph.initializer
    data = weights.raw_data
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "weights.bin", "offset": "0", "length": str(len(data))}.items():
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    return lay_out(
        package,
        {"model.onnx": model.SerializeToString(), "weights.bin": data},
        inputs=inputs,
        outputs=outputs,
        golden={"x": np.ones((1, 4), np.float32)},
    )


@pytest.fixture
def pipeline_layer(package: Path) -> Layer:
    """Three steps: bytes to ``x``, the linear model, and its label as a word. ``scores`` pass by."""
    pixels, word = TensorSpec("pixels", "UINT8", ("batch", 4)), TensorSpec("word", "BYTES", ("batch",))
    x, label = TensorSpec("x", "FP32", ("batch", 4)), TensorSpec("label", "INT64", ("batch",))
    scores = TensorSpec("scores", "FP32", ("batch", 3))
    before = onnx_model([helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT)], [pixels], [x])
    linear = [
        helper.make_node("MatMul", ["x", "weights"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    words = np.array(["low", "middle", "high"], object)
    after = onnx_model(
        [helper.make_node("Gather", ["words", "label"], ["word"])], [label], [word], {"words": words}
    )
    graphs = {
        "before.onnx": before,
        "model.onnx": onnx_model(linear, [x], [scores, label], {"weights": WEIGHTS}),
        "after.onnx": after,
    }
    files = {name: graph.SerializeToString() for name, graph in graphs.items()}
    files["pipeline.json"] = json.dumps({"steps": list(graphs)}).encode()
    return lay_out(
        package,
        files,
        inputs=[pixels],
        outputs=[scores, word],
        golden={"pixels": np.ones((1, 4), np.uint8)},
        entry="pipeline.json",
    )


@pytest.fixture
def text_model_layer(package: Path) -> Layer:
    """A sentence to a verdict, by a tokeniser that only the text layer has."""
    return lay_out(
        package,
        text_graphs.files(),
        inputs=[TensorSpec("text", "BYTES", (1,))],
        outputs=[TensorSpec("verdict", "BYTES", (1,))],
        golden={"text": np.array(["good"], object)},
        entry="pipeline.json",
        lineage={OPERATORS: DOMAIN},
    )


def lay_out_pictures(folder: Path) -> Layer:
    """Files of handwritten digits to words (ADR 64)."""
    artifact = build(folder / "artifact", files=True)
    return lay_out(
        folder / "python" / environment.MODEL_PACKAGE,
        {path.name: path.read_bytes() for path in artifact.iterdir()},
        inputs=[TensorSpec("file", "BYTES", ("batch",))],
        outputs=[
            TensorSpec("probabilities", "FP32", ("batch", 10)),
            TensorSpec("digit", "BYTES", ("batch",)),
        ],
        golden={"file": np.array([pictures.text(pictures.digit(3))], object)},
        entry="pipeline.json",
        lineage={PICTURES: "file"},
    )


@pytest.fixture(scope="session")
def picture_layer(tmp_path_factory: pytest.TempPathFactory) -> Layer:
    return lay_out_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def digits(linear_layer: Layer) -> Caller:
    """``digits:2``, served."""
    return Caller(linear_layer.load())


@pytest.fixture
def every_datatype(every_datatype_layer: Layer) -> Caller:
    return Caller(every_datatype_layer.load())


@pytest.fixture
def arithmetic(arithmetic_layer: Layer) -> Caller:
    return Caller(arithmetic_layer.load())


@pytest.fixture
def unreleased() -> Caller:
    """A function that no release has reached yet."""
    return Caller(load_served({environment.MODEL: "digits", environment.STAGE: "test"}))
