"""The endpoint on a GPU, as a fraction of what the device can do. Skips with the reason where there is none.

    python -m benchmarks.gpu [--rounds 7] [--seconds 2]

The floor is the same network as a CUDA graph on data that is already on the device, measured in the same
run: nothing is copied, nothing is parsed, nothing waits. Latency is compared at one connection with batch 1,
throughput at 64 connections with the floor's best batch. The server is the container's process, once with the
torch engine (an exported program) and once with onnxruntime (the same weights as ONNX).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from benchmarks import peers
from benchmarks.endpoint import LUA, measure, running
from benchmarks.report import write_section
from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.tensors import TensorData, TensorSpec

WIDTH, LAYERS = 4096, 8
"""A perceptron that keeps a GPU busy: 134 million weights, 0.27 GFLOP per row."""

BATCHES = (1, 2, 4, 8, 16, 32)
PATH = "/v2/models/wide/infer"


def why_not() -> str | None:
    """Why nothing can be measured here; ``None`` if it can."""
    try:
        import torch
    except ModuleNotFoundError:
        return "torch is not installed"
    if not torch.cuda.is_available():
        return "torch finds no GPU here"
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return "this onnxruntime has no CUDA provider (install onnxruntime-gpu)"
    if shutil.which("wrk") is None:
        return "the load generator wrk is not installed (Debian: apt-get install wrk)"
    return None


def network() -> Any:
    """The network, its weights from a fixed seed."""
    import torch

    torch.manual_seed(0)
    parts: list[torch.nn.Module] = []
    for _ in range(LAYERS):
        parts += [torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU()]
    return torch.nn.Sequential(*parts).eval()


def floor_ms(model: Any, rows: int) -> float:
    """Milliseconds per run of a CUDA graph on resident data: the median of many, by the device's clock."""
    import torch

    x = torch.rand(rows, WIDTH, device="cuda")
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(3):
            model(x)
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph, stream=stream):
        model(x)
    times: list[float] = []
    for _ in range(50):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        began.record()
        graph.replay()
        ended.record()
        ended.synchronize()
        times.append(began.elapsed_time(ended))
    return statistics.median(times)


def artifacts(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """The network as each engine takes it: engine, kind, file."""
    import torch

    model = network()
    rows = torch.export.Dim("rows")
    shapes = ({0: rows},)
    program = torch.export.export(model, (torch.rand(2, WIDTH),), dynamic_shapes=shapes)
    torch.export.save(program, folder / "model.pt2")
    yield "torch", "torch-export", folder / "model.pt2"
    torch.onnx.export(
        model,
        (torch.rand(2, WIDTH),),
        folder / "model.onnx",
        dynamic_shapes=shapes,
        input_names=["x"],
        output_names=["y"],
        external_data=False,
    )
    yield "onnxruntime", "onnx", folder / "model.onnx"


def lay_out(package: Path, kind: str, file: Path) -> dict[str, str]:
    """Write the model folder; returns the environment that names it."""
    data = file.read_bytes()
    golden = TensorData("x", "FP32", (1, WIDTH), (0.5,) * WIDTH)
    manifest = Manifest(
        model="wide",
        version=1,
        files=(ArtifactFile(file.name, Digest.of(data), len(data)),),
        entry=file.name,
        inputs=(TensorSpec("x", "FP32", ("n", WIDTH)),),
        outputs=(TensorSpec("y", "FP32", ("n", WIDTH)),),
        golden=Golden((golden,), ()),
        created_at="2026-11-22T09:00:00+00:00",
        created_by="benchmark",
        kind=kind,
    )
    files = package / environment.FILES_FOLDER
    files.mkdir(parents=True)
    shutil.copy(file, files)
    (package / environment.MANIFEST_FILE).write_bytes(manifest.to_json())
    return {
        environment.MODEL: "wide",
        environment.VERSION: "1",
        environment.DIGEST: str(manifest.digest),
        "SWITCHYARD_MODEL_DIR": str(package),
    }


def load_script(folder: Path) -> Path:
    """One row as a binary tensor, for the load generator."""
    array = np.random.default_rng(1).random((1, WIDTH), np.float32)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, WIDTH]}
    plain = json.dumps({"inputs": [{**tensor, "data": array.reshape(-1).tolist()}]}).encode()
    (folder / "body-False").write_bytes(plain)
    inputs = [{**tensor, "parameters": {"binary_data_size": array.nbytes}}]
    text = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    body, script = folder / "body-True", folder / "load.lua"
    body.write_bytes(text + array.tobytes())
    header = f'wrk.headers["Inference-Header-Content-Length"] = "{len(text)}"'
    script.write_text(LUA.format(body=body, headers=header))
    return script


def run(rounds: int, seconds: int, say: Callable[[str], None]) -> str:
    """Measure both engines beside the floor and return the section's text."""
    import torch

    model = network().cuda()
    floors = {rows: floor_ms(model, rows) for rows in BATCHES}
    best = max(rows / floors[rows] * 1000 for rows in BATCHES)
    del model
    torch.cuda.empty_cache()
    said = (
        f"`python -m benchmarks.gpu --write` on {torch.cuda.get_device_name(0)}: {LAYERS} layers of {WIDTH}, "
        f"{rounds} rounds of {seconds} s. The floor is a CUDA graph on resident data: {floors[1]:.3f} ms at "
        f"batch 1, {best:.0f} rows/s at its best batch.\n"
    )
    lines = [
        said,
        "| engine | p50 at 1 connection | floor / p50 | rows/s at 64 connections | rows/s / floor |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        script = load_script(folder)
        servers = []
        for engine, kind, file in artifacts(folder):
            port = peers.free_port()
            environ = {
                **lay_out(folder / engine, kind, file),
                "SWITCHYARD_HOST": "127.0.0.1",
                "SWITCHYARD_GRPC_PORT": "off",
                "SWITCHYARD_DEVICE": "cuda",
                "SWITCHYARD_WORKERS": "2",
                "SAGEMAKER_BIND_TO_PORT": str(port),
            }
            command = peers.Command([sys.executable, "-m", "functions.endpoint"], environ)
            url = f"http://127.0.0.1:{port}{PATH}"
            servers.append(stack.enter_context(running(engine, command, url, folder)))
            say(f"{engine} answers")
        for server in servers:
            measure(server, script, 64, 1)  # every batch size is seen, and captured
        single: dict[str, list[float]] = {server.name: [] for server in servers}
        many: dict[str, list[float]] = {server.name: [] for server in servers}
        for _ in range(rounds):
            for server in servers:
                single[server.name].append(measure(server, script, 1, seconds).p50_ms)
                many[server.name].append(measure(server, script, 64, seconds).per_second)
        for server in servers:
            p50, rate = statistics.median(single[server.name]), statistics.median(many[server.name])
            lines.append(
                f"| {server.name} | {p50:.3f} ms | {floors[1] / p50:.2f} | {rate:.0f} | {rate / best:.2f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and print, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    asked = parser.parse_args()
    reason = why_not()
    if reason is not None:
        print(f"skipped: {reason}")
        return 0
    began = time.perf_counter()
    text = run(asked.rounds, asked.seconds, print)
    print(f"{text}\n{time.perf_counter() - began:.0f} s")
    if asked.write:
        write_section("GPU", text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
