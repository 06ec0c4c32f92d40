"""Hostile bodies against the decoder: no answer is a 5xx, and memory does not grow.

``python -m benchmarks.fuzz [--bodies 100000] [--seed N]``. Bodies are made from requests that work, JSON
and binary, by cutting, repeating, flipping and splicing; shapes, sizes and headers lie. Every one goes
through the handler as API Gateway would send it. The tests run a smaller number of the same bodies.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from functions.inference.door import HttpDoor
from functions.inference.request_log import RequestLog
from functions.inference.served import Served, load_served
from functions.inference.service import ModelService
from functions.protocol.tensors import DTYPES
from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.events import http_event
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.tensors import TensorData, TensorSpec

Handler = Callable[[object, object], dict[str, Any]]

_PROTO = {
    "BOOL": TensorProto.BOOL, "UINT8": TensorProto.UINT8, "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32, "UINT64": TensorProto.UINT64, "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16, "INT32": TensorProto.INT32, "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16, "FP32": TensorProto.FLOAT, "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16, "BYTES": TensorProto.STRING,
}  # fmt: skip

_PIECES = [
    b"NaN",
    b"-Infinity",
    b"1e400",
    b"1e39",
    b"65520",
    b"18446744073709551616",
    b"-1",
    b"1.5",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"[[[[",
    b"]]]]",
    b'"',
    b"\\",
    b"\x00",
    b"\xff",
    b"\xf0\x9f\x98\x80",
    b"\\ud800",
    b"\xed\xa0\x80",
    b'"FP64"',
    b'"BYTES"',
    b"[-1,2]",
    b"[0,2]",
    b"[4611686018427387904,2]",
    b"[2147483648]",
    b'"inputs"',
    b'"data"',
    b'"outputs":[{"name":"out_FP32"}],',
    b'"parameters":{"binary_data_output":true},',
    b'{"binary_data":1}',
    b'"parameters":{"binary_data_size":8}',
    b'{"binary_data_size":9223372036854775807}',
    b",",
    b":",
    b"[1,",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x00\x00\x00\x00",
]


_ODD: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.5,
    2**63,
    2**64,
    2**70,
    1e308,
    "",
    "FP32",
    "BYTES",
    "é" * 50,
    [],
    {},
    [[]],
    [{}],
    [1, 0],
    [0, 2],
    [1, 2],
    [2, 2],
    [2**62, 2],
    [2**31],
    [-1, 2],
    [True, 2],
    [1, 2, 3],
    [[1, 0]],
    [[1], [0]],
    [[[1, 0]]],
    ["a", "b"],
    [True, False],
    [None, None],
    [65520, 0],
    [1e39, 0],
    [256, 0],
    [0.5, 0],
    [2**53 + 1, 0],
    {"binary_data_size": 8},
    {"binary_data_size": -1},
    {"binary_data_size": 2**63},
    {"binary_data_output": True},
    {"binary_data_output": 1},
    [{"name": "out_FP32"}],
    [{"name": "out_FP32", "parameters": {"binary_data": True}}],
    [{"name": "out_BYTES"}, {"name": "out_BYTES"}],
    [{"name": "nobody"}],
    [{"name": 5}],
    ["\ud800", "a"],
]
"""What callers write where something else belongs."""


def make_handler(folder: Path) -> Handler:
    """A function with one input and output per datatype, as a release lays it out in ``folder``.

    What goes in as BF16 comes out as FP32: a graph that takes strings can give none.
    """
    inputs = [TensorSpec(f"in_{name}", name, (f"n_{name}", 2)) for name in _PROTO]
    outputs = [
        TensorSpec(f"out_{name}", "FP32" if name == "BF16" else name, (f"n_{name}", 2)) for name in _PROTO
    ]

    def declared(spec: TensorSpec) -> Any:
        return helper.make_tensor_value_info(spec.name, _PROTO[spec.datatype], list(spec.shape))

    nodes = [
        helper.make_node("Identity", [i.name], [o.name])
        if i.datatype == o.datatype
        else helper.make_node("Cast", [i.name], [o.name], to=_PROTO[o.datatype])
        for i, o in zip(inputs, outputs, strict=True)
    ]
    graph = helper.make_graph(nodes, "fuzz", [*map(declared, inputs)], [*map(declared, outputs)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data = model.SerializeToString()
    manifest = Manifest(
        model="fuzz",
        version=1,
        files=(ArtifactFile("model.onnx", Digest.of(data), len(data)),),
        entry="model.onnx",
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        golden=Golden((TensorData("in_FP32", "FP32", (1, 2), (0.0, 1.0)),), ()),
        created_at="2026-11-22T00:00:00Z",
        created_by="fuzz",
    )
    (folder / environment.FILES_FOLDER).mkdir(parents=True)
    (folder / environment.FILES_FOLDER / "model.onnx").write_bytes(data)
    (folder / environment.MANIFEST_FILE).write_bytes(manifest.to_json())
    environ = {
        environment.MODEL: "fuzz",
        environment.VERSION: "1",
        environment.DIGEST: str(manifest.digest),
    }
    served = load_served(environ, package=str(folder))
    assert isinstance(served, Served)
    return HttpDoor(ModelService(served), RequestLog(served.labels, lambda _line: None))


def hostile_events(seed: int) -> Iterator[dict[str, Any]]:
    """Events without end; the same seed gives the same ones."""
    chance = random.Random(seed)
    while True:
        request, data = _request(chance)
        way = chance.random()
        if way < 0.5:
            _twist(chance, request)
        text = json.dumps(request).encode()
        header: str | None = str(len(text)) if data else None
        body = text + data
        if way > 0.6:
            body = _mutated(chance, body)
        if chance.random() < 0.15:
            header = chance.choice([None, "0", "1", str(len(body)), str(len(body) + 1), "-1", "x", "9" * 30])
        content_type = chance.choice(["application/json", "application/octet-stream", "", "text/plain"])
        event = http_event("POST", "/v2/models/fuzz/infer", body, content_type=content_type)
        if header is not None:
            event["headers"]["inference-header-content-length"] = header
        if chance.random() < 0.02:
            event["isBase64Encoded"] = not event["isBase64Encoded"]
        yield event


def _twist(chance: random.Random, request: dict[str, Any]) -> None:
    """Leave it JSON, and make one or two members of it something else."""
    for _ in range(chance.choice([1, 1, 2])):
        inputs = request.get("inputs")
        tensors = [one for one in inputs if isinstance(one, dict)] if isinstance(inputs, list) else []
        owner: dict[str, Any] = chance.choice([request, *tensors])
        members = [*owner, "outputs", "parameters", "id", "data", "shape"]
        owner[chance.choice(members)] = copy.deepcopy(chance.choice(_ODD))


def _request(chance: random.Random) -> tuple[dict[str, Any], bytes]:
    """A request that works: some inputs as JSON, some as binary data."""
    inputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for name, dtype in DTYPES.items():
        rows = chance.choice([0, 1, 1, 2])
        values = ["é", "a"] * rows if name == "BYTES" else [1, 0] * rows
        tensor: dict[str, Any] = {"name": f"in_{name}", "datatype": name, "shape": [rows, 2]}
        if chance.random() < 0.4:
            if name == "BYTES":
                data = b"".join(len(v.encode()).to_bytes(4, "little") + v.encode() for v in map(str, values))
            else:
                data = np.array(values, dtype).tobytes()
            parts.append(data)
            tensor["parameters"] = {"binary_data_size": len(data)}
        else:
            tensor["data"] = [bool(v) for v in values] if name == "BOOL" else values
        inputs.append(tensor)
    request: dict[str, Any] = {"id": "1", "inputs": inputs}
    if chance.random() < 0.3:
        request["parameters"] = {"binary_data_output": chance.random() < 0.7}
    return request, b"".join(parts)


def _mutated(chance: random.Random, body: bytes) -> bytes:
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        start = chance.randrange(len(body) + 1)
        end = min(len(body), start + chance.choice((0, 0, 1, 1, 4, 20, 200)))
        piece = chance.choice((b"", bytes([chance.randrange(256)]), body[start:end] * 3, *_PIECES))
        body = body[:start] + piece + body[end:]
    return body


def run(handler: Handler, bodies: int, seed: int) -> Counter[int]:
    """Send so many bodies; raises ``AssertionError`` with the event of the first that got a 5xx."""
    statuses: Counter[int] = Counter()
    for event, _ in zip(hostile_events(seed), range(bodies), strict=False):
        status = handler(event, None)["statusCode"]
        assert status < 500, json.dumps(event)
        statuses[status] += 1
    return statuses


def rss_mb() -> float:
    """The memory of this process."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def main() -> None:
    """Warm up with a tenth, then hold memory to what it was."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--bodies", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20_261_122)
    options = parser.parse_args()
    asyncio.set_event_loop(asyncio.new_event_loop())
    with tempfile.TemporaryDirectory() as folder:
        handler = make_handler(Path(folder) / environment.MODEL_PACKAGE)
        statuses = run(handler, options.bodies // 10, options.seed)
        before = rss_mb()
        statuses += run(handler, options.bodies - options.bodies // 10, options.seed + 1)
        grown = rss_mb() - before
    sys.stdout.write(f"{statuses.total()} bodies: {dict(sorted(statuses.items()))}; memory {grown:+.1f} MB\n")
    assert grown < 16, f"memory has grown by {grown:.1f} MB"


if __name__ == "__main__":
    main()
