"""The endpoint container against a hand-written server: the same model, bodies, load and machine.

    python -m benchmarks.endpoint [--rounds 7] [--seconds 2]

The model is the perceptron 1000-500-250-100-1, where the server and not the arithmetic is what is measured.
Servers are started once and measured in turn, round after round; a figure is the median of the rounds with
their smallest and largest. CPU is the server's own, user and system, per answered request. Load comes from
``wrk`` (Debian: ``apt-get install wrk``) in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.tensors import TensorData, TensorSpec

SIZES = (1000, 500, 250, 100, 1)
PATH = "/v2/models/perceptron/infer"
TICKS = os.sysconf("SC_CLK_TCK")

LUA = """
wrk.method = "POST"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
{headers}
function done(summary, latency, requests)
  io.stderr:write(string.format('{{"requests": %d, "us": %d, "p50": %d, "p95": %d, "bad": %d}}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
      + summary.errors.timeout))
end
"""


@dataclass(frozen=True)
class Case:
    """One way of asking."""

    name: str
    binary: bool
    connections: int
    servers: tuple[str, ...]


CASES = (
    Case("JSON, 1 connection", False, 1, ("raw ASGI", "endpoint")),
    Case("binary, 1 connection", True, 1, ("raw ASGI", "endpoint")),
    Case("JSON, 16 connections", False, 16, ("raw ASGI", "endpoint")),
    Case("binary, 16 connections", True, 16, ("raw ASGI", "endpoint")),
    Case("JSON, 64 connections", False, 64, ("raw ASGI", "endpoint", "endpoint, batching off")),
    Case("binary, 64 connections", True, 64, ("raw ASGI", "endpoint", "endpoint, batching off")),
)


@dataclass(frozen=True)
class Sample:
    """What one server did in one case of one round."""

    per_second: float
    cpu_ms: float
    p50_ms: float
    p95_ms: float


def perceptron(folder: Path) -> dict[str, str]:
    """Write the model folder; returns the environment that names the model."""
    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for layer, (rows, columns) in enumerate(itertools.pairwise(SIZES)):
        final = layer == len(SIZES) - 2
        weight = (rng.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)
        weights.append(onnx.numpy_helper.from_array(weight, f"w{layer}"))
        weights.append(onnx.numpy_helper.from_array(np.zeros(columns, np.float32), f"b{layer}"))
        out = "y" if final else f"g{layer}"
        nodes.append(helper.make_node("Gemm", [last, f"w{layer}", f"b{layer}"], [out]))
        if not final:
            nodes.append(helper.make_node("Relu", [out], [f"r{layer}"]))
        last = f"r{layer}"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
        for name, size in (("x", SIZES[0]), ("y", SIZES[-1]))
    ]
    graph = helper.make_graph(nodes, "perceptron", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data = model.SerializeToString()
    golden = TensorData("x", "FP32", (1, SIZES[0]), tuple(map(float, rng.random(SIZES[0], np.float32))))
    manifest = Manifest(
        model="perceptron",
        version=1,
        files=(ArtifactFile("model.onnx", Digest.of(data), len(data)),),
        entry="model.onnx",
        inputs=(TensorSpec("x", "FP32", ("n", SIZES[0])),),
        outputs=(TensorSpec("y", "FP32", ("n", SIZES[-1])),),
        golden=Golden((golden,), ()),
        created_at="2026-11-22T09:00:00+00:00",
        created_by="benchmark",
    )
    (folder / environment.FILES_FOLDER).mkdir(parents=True)
    (folder / environment.FILES_FOLDER / "model.onnx").write_bytes(data)
    (folder / environment.MANIFEST_FILE).write_bytes(manifest.to_json())
    return {
        environment.MODEL: "perceptron",
        environment.VERSION: "1",
        environment.DIGEST: str(manifest.digest),
        "SWITCHYARD_MODEL_DIR": str(folder),
    }


def write_bodies(folder: Path) -> dict[bool, Path]:
    """The two bodies, as scripts for the load generator."""
    array = np.random.default_rng(1).random((1, SIZES[0]), np.float32)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, SIZES[0]]}
    plain = json.dumps({"inputs": [{**tensor, "data": array.reshape(-1).tolist()}]}).encode()
    data = array.tobytes()
    text = json.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    scripts = {}
    for binary, body in ((False, plain), (True, text + data)):
        headers = 'wrk.headers["Content-Type"] = "application/json"'
        if binary:
            headers = (
                'wrk.headers["Content-Type"] = "application/octet-stream"\n'
                f'wrk.headers["Inference-Header-Content-Length"] = "{len(text)}"'
            )
        target = folder / f"body-{binary}"
        target.write_bytes(body)
        scripts[binary] = folder / f"load-{binary}.lua"
        scripts[binary].write_text(LUA.format(body=target, headers=headers))
    return scripts


@contextmanager
def running(command: list[str], environ: Mapping[str, str], port: int) -> Iterator[int]:
    """A server, from its first answer to its end. Yields its process id."""
    process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=1):
                    break
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    break
            except OSError:
                pass
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> float:
    """What a process holds in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(pid: int, port: int, script: Path, connections: int, seconds: float) -> Sample:
    """Load a server for a while."""
    before = cpu_s(pid)
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", script, f"http://127.0.0.1:{port}{PATH}"],
        capture_output=True,
        text=True,
        check=True,
    )
    spent = cpu_s(pid) - before
    said = json.loads(done.stderr)
    if said["bad"]:
        raise SystemExit(f"{said['bad']} of {said['requests']} requests failed: nothing to compare")
    return Sample(
        per_second=said["requests"] / said["us"] * 1e6,
        cpu_ms=spent / said["requests"] * 1000,
        p50_ms=said["p50"] / 1000,
        p95_ms=said["p95"] / 1000,
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        print("skipped: the load generator wrk is not installed (Debian: apt-get install wrk)")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model"
        named = perceptron(model)
        scripts = write_bodies(folder)
        raw, ours, plain = free_port(), free_port(), free_port()
        endpoint = [sys.executable, "-m", "functions.endpoint"]
        quiet = {
            **named,
            "SWITCHYARD_HOST": "127.0.0.1",
            "SWITCHYARD_GRPC_PORT": "off",
            "SWITCHYARD_THREADS": "1",
        }
        with (
            running(
                [sys.executable, "-m", "benchmarks.raw_asgi", str(model / "files/model.onnx"), str(raw)],
                {},
                raw,
            ) as raw_pid,
            running(endpoint, {**quiet, "SAGEMAKER_BIND_TO_PORT": str(ours)}, ours) as ours_pid,
            running(
                endpoint,
                {**quiet, "SAGEMAKER_BIND_TO_PORT": str(plain), "SWITCHYARD_BATCHING": "off"},
                plain,
            ) as plain_pid,
        ):
            servers = {
                "raw ASGI": (raw_pid, raw),
                "endpoint": (ours_pid, ours),
                "endpoint, batching off": (plain_pid, plain),
            }
            cases = [case for case in CASES if asked.case in case.name]
            samples: dict[tuple[str, str], list[Sample]] = {}
            for number in range(asked.rounds + 1):
                for case in cases:
                    for server in case.servers:
                        pid, port = servers[server]
                        seconds = asked.seconds if number else 1
                        sample = measure(pid, port, scripts[case.binary], case.connections, seconds)
                        if number:  # the first round warms up
                            samples.setdefault((case.name, server), []).append(sample)
            report(cases, samples, asked.rounds, asked.seconds)
            held = ", ".join(f"{server} {memory_mb(pid):.0f} MB" for server, (pid, _) in servers.items())
            print(f"\nMemory at the end: {held}.")
    return 0


def report(
    cases: list[Case], samples: dict[tuple[str, str], list[Sample]], rounds: int, seconds: float
) -> None:
    """Print the table; the last column is against the hand-written server in the same rounds."""
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}; "
        f"{rounds} interleaved rounds of {seconds:g} s, median (smallest to largest)\n"
    )
    print("| case | server | CPU ms per request | requests/s | p50 ms | p95 ms | CPU against raw ASGI |")
    print("|---|---|---|---|---|---|---|")
    for case in cases:
        base = samples[case.name, "raw ASGI"]
        for server in case.servers:
            mine = samples[case.name, server]
            ratios = [one.cpu_ms / other.cpu_ms for one, other in zip(mine, base, strict=True)]
            print(
                f"| {case.name} | {server} | {_spread([s.cpu_ms for s in mine], 3)} "
                f"| {statistics.median(s.per_second for s in mine):.0f} "
                f"| {statistics.median(s.p50_ms for s in mine):.2f} "
                f"| {statistics.median(s.p95_ms for s in mine):.2f} | {_spread(ratios, 2)} |"
            )


def _spread(values: list[float], digits: int) -> str:
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    raise SystemExit(main())
