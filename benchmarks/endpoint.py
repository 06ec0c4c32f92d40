"""The endpoint container against a hand-written server: the same model, bodies, load and machine.

    python -m benchmarks.endpoint [--rounds 7] [--seconds 1] [--peers FOLDER] [--write]

``--peers`` installs other servers into virtual environments below FOLDER (``benchmarks.peers``) and measures
them in the same rounds; with all of them it takes seven minutes. ``--write`` puts the tables into
``docs/benchmarks.md``.

The model is the perceptron 1000-500-250-100-1, where the server and not the arithmetic is what is measured.
Servers are started once and measured in turn, round after round; a figure is the median of the rounds with
their smallest and largest. CPU is the server's own, user and system, per answered request. Load comes from
``wrk`` (Debian: ``apt-get install wrk``) in a process of its own. Time and memory are those of all processes
that a server has started; memory that several share is counted once (PSS).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from benchmarks import peers
from benchmarks.report import write_section
from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.tensors import TensorData, TensorSpec

SIZES = (1000, 500, 250, 100, 1)
PATH = "/v2/models/perceptron/infer"
TICKS = os.sysconf("SC_CLK_TCK")
PEER_NAMES = frozenset(peer.name for peer in peers.PEERS)

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


RAW, OURS, PLAIN = "raw ASGI", "endpoint", "endpoint, batching off"


@dataclass(frozen=True)
class Case:
    """One way of asking."""

    name: str
    binary: bool
    connections: int


CASES = tuple(
    Case(f"{'binary' if binary else 'JSON'}, {count} connection{'s' if count > 1 else ''}", binary, count)
    for count in (1, 16, 64)
    for binary in (False, True)
)


@dataclass
class Server:
    """A server that runs, and how it is asked."""

    name: str
    process: subprocess.Popen[bytes]
    url: str
    binary: bool
    first_answer_s: float

    def takes(self, case: Case) -> bool:
        return (self.binary or not case.binary) and (self.name != PLAIN or case.connections == 64)


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
def running(
    name: str, command: peers.Command, url: str, folder: Path, *, binary: bool = True
) -> Iterator[Server]:
    """A server in a session of its own, from its first answer to its end.

    Raises ``peers.NotInstalledError`` if it gives none within a minute and a half.
    """
    log = folder / f"{name}.log".replace(" ", "-")
    body = (folder / "body-False").read_bytes()
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.line,
            env={**os.environ, **command.environ},
            stdout=output,
            stderr=output,
            cwd=folder if name in PEER_NAMES else None,
            start_new_session=True,
        )
        try:
            if not answers(url, body, process):
                said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
                why = next((line for line in reversed(said) if "Error" in line), said[-1])
                raise peers.NotInstalledError(f"it does not answer: {why[:160]}")
            yield Server(name, process, url, binary, time.perf_counter() - started)
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(15)


def answers(url: str, body: bytes, process: subprocess.Popen[bytes]) -> bool:
    """Ask until there is an answer; no if the server ends before."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    deadline = time.perf_counter() + 90
    while time.perf_counter() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                answer.read()
                return True
        except OSError:
            time.sleep(0.01)
    return False


def processes(root: int) -> Iterator[tuple[Path, list[str]]]:
    """A server's first process, those of its session and all that came from them, with their ``/proc``."""
    found: dict[int, tuple[Path, list[str]]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with suppress(OSError):
                fields = (place / "stat").read_text().rsplit(")", 1)[1].split()
                found[int(place.name)] = place, fields
    mine = {pid for pid, (_, fields) in found.items() if int(fields[3]) == root} | {root}
    more = mine
    while more:
        more = {pid for pid, (_, fields) in found.items() if int(fields[1]) in mine and pid not in mine}
        mine |= more
    yield from (found[pid] for pid in mine if pid in found)


def cpu_s(root: int) -> float:
    """User and system time of a server's processes so far."""
    return sum(int(fields[11]) + int(fields[12]) for _, fields in processes(root)) / TICKS


def memory_mb(root: int) -> float:
    """What a server's processes hold in memory."""
    held = 0
    for place, _ in processes(root):
        with suppress(OSError):
            for line in (place / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    held += int(line.split()[1])
    return held / 1000


def measure(server: Server, script: Path, connections: int, seconds: float) -> Sample:
    """Load a server for a while."""
    before = cpu_s(server.process.pid)
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", script, server.url],
        capture_output=True,
        text=True,
        check=True,
    )
    spent = cpu_s(server.process.pid) - before
    said = json.loads(done.stderr)
    if said["bad"] or not said["requests"]:
        raise SystemExit(f"{server.name}: {said['bad']} of {said['requests']} requests failed")
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
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    parser.add_argument("--peers", type=Path, help="install other servers below this folder and measure them")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        print("skipped: the load generator wrk is not installed (Debian: apt-get install wrk)")
        return 0
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        scripts, servers, skipped = start(folder, asked.peers, stack)
        cases = [case for case in CASES if asked.case in case.name]
        samples: Samples = {}
        for number in range(asked.rounds + 1):
            for case in cases:
                for server in servers:
                    if server.takes(case):
                        seconds = asked.seconds if number else 1
                        sample = measure(server, scripts[case.binary], case.connections, seconds)
                        if number:  # the first round warms up
                            samples.setdefault((case.name, server.name), []).append(sample)
        text = report(cases, servers, samples, skipped, asked.rounds, asked.seconds)
    print(text)
    if asked.write:
        write_section("Endpoint container", text)
    return 0


Samples = dict[tuple[str, str], list[Sample]]


def start(
    folder: Path, others: Path | None, stack: ExitStack
) -> tuple[dict[bool, Path], list[Server], dict[str, str]]:
    """Every server that starts, and why the others do not."""
    model = folder / "model"
    named = perceptron(model)
    scripts = write_bodies(folder)
    graph = str(model / "files/model.onnx")
    served = peers.Served("perceptron", graph, SIZES[:1], SIZES[-1:])
    quiet = {
        **named,
        "SWITCHYARD_HOST": "127.0.0.1",
        "SWITCHYARD_GRPC_PORT": "off",
        "SWITCHYARD_THREADS": "1",
    }
    endpoint = [sys.executable, "-m", "functions.endpoint"]
    ports = [peers.free_port() for _ in range(3)]
    commands = {
        RAW: peers.Command([sys.executable, "-m", "benchmarks.raw_asgi", graph, str(ports[0])]),
        OURS: peers.Command(endpoint, {**quiet, "SAGEMAKER_BIND_TO_PORT": str(ports[1])}),
        PLAIN: peers.Command(
            endpoint, {**quiet, "SAGEMAKER_BIND_TO_PORT": str(ports[2]), "SWITCHYARD_BATCHING": "off"}
        ),
    }
    servers = [
        stack.enter_context(running(name, command, f"http://127.0.0.1:{port}{PATH}", folder))
        for (name, command), port in zip(commands.items(), ports, strict=True)
    ]
    skipped: dict[str, str] = {}
    for number, peer in enumerate(peers.PEERS if others else ()):
        assert others is not None
        place = folder / f"peer{number}"
        place.mkdir()
        for script in folder.glob("body-*"):
            shutil.copy(script, place)
        try:
            home = peers.install(peer, others.absolute())
            port = peers.free_port()
            command = peer.write(place, home, served, port)
            url = peer.url(served, port)
            servers.append(stack.enter_context(running(peer.name, command, url, place, binary=peer.binary)))
        except peers.NotInstalledError as error:
            skipped[peer.name] = str(error)
    return scripts, servers, skipped


def report(
    cases: list[Case],
    servers: list[Server],
    samples: Samples,
    skipped: dict[str, str],
    rounds: int,
    seconds: float,
) -> str:
    """The tables; the last column is against the hand-written server in the same rounds."""
    lines = [
        INTRODUCTION.format(
            machine=platform.machine(),
            processors=os.cpu_count(),
            python=platform.python_version(),
            rounds=rounds,
            seconds=f"{seconds:g}",
            load=f"{os.getloadavg()[1]:.0f}",
        ),
        "| bar | wanted | measured | met |",
        "|---|---|---|---|",
        *bars(cases, servers, samples),
        "",
        "| server | start to first answer | memory at the end |",
        "|---|---|---|",
        *(
            f"| {server.name} | {server.first_answer_s:.2f} s | {memory_mb(server.process.pid):.0f} MB |"
            for server in servers
        ),
        "",
        "| case | server | CPU ms per request | requests/s | p50 ms | p95 ms | CPU against raw ASGI |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        base = samples[case.name, RAW]
        for server in servers:
            mine = samples.get((case.name, server.name))
            if mine is None:
                continue
            ratios = [one.cpu_ms / other.cpu_ms for one, other in zip(mine, base, strict=True)]
            lines.append(
                f"| {case.name} | {server.name} | {_spread([s.cpu_ms for s in mine], 3)} "
                f"| {_median(mine, 'per_second'):.0f} | {_median(mine, 'p50_ms'):.2f} "
                f"| {_median(mine, 'p95_ms'):.2f} | {_spread(ratios, 2)} |"
            )
    for name, reason in skipped.items():
        lines += ["", f"{name} was not measured: {reason}."]
    return "\n".join(lines) + "\n"


INTRODUCTION = """`python -m benchmarks.endpoint --peers FOLDER --write`: the perceptron 1000-500-250-100-1,
one onnxruntime thread and one worker each, against a hand-written server on raw ASGI (uvicorn, orjson,
`session.run` on the loop; no checks, queue, metrics or drain) and the products that install
([`benchmarks/peers.py`](../benchmarks/peers.py)). Servers are measured in turn, round after round; CPU is the
server's own, of all its processes, per answered request. The load comes from `wrk`.

{machine}, {processors} processors shared with other work (a load of {load} at the end), Python {python};
{rounds} interleaved rounds of {seconds} s, median (smallest to largest). Requests per second are what a
server gets of processors that it shares with other work: a server of two processes gets two shares.
Models that compute are [measured apart](#models-that-compute), and a GPU by `benchmarks/gpu.py`.
"""


def bars(cases: list[Case], servers: list[Server], samples: Samples) -> Iterator[str]:
    """What is wanted of the endpoint, one line each; what was not measured is left out."""
    products = [server for server in servers if server.name in PEER_NAMES]
    for case in cases:
        mine = samples[case.name, OURS]
        if case.connections == 1:
            base = samples[case.name, RAW]
            ratio = statistics.median(a.cpu_ms / b.cpu_ms for a, b in zip(mine, base, strict=True))
            yield _bar(f"CPU, {case.name}, against the hand-written server", "≤", 1.15, ratio)
        asked = [samples[case.name, each.name] for each in products if each.takes(case)]
        if not asked:
            continue
        best = min(_median(each, "cpu_ms") for each in asked)
        yield _bar(f"CPU, {case.name}, against the best product", "≤", 1, _median(mine, "cpu_ms") / best)
        if case.connections == 1:
            best = min(_median(each, "p95_ms") for each in asked)
            yield _bar(f"p95, {case.name}, against the best product", "≤", 1, _median(mine, "p95_ms") / best)
        if case.connections == 64:
            best = max(_median(each, "per_second") for each in asked)
            ratio = _median(mine, "per_second") / best
            yield _bar(f"requests/s, {case.name}, against the best product", "≥", 2, ratio)
    if products:
        ours = next(server for server in servers if server.name == OURS)
        least = min(memory_mb(each.process.pid) for each in products)
        held = memory_mb(ours.process.pid)
        yield _bar("memory at the end, against the smallest product", "≤", 1, held / least)
    for triton in (server for server in products if server.name == "Triton"):
        ratio = ours.first_answer_s / triton.first_answer_s
        yield _bar("start to first answer, against Triton", "≤", 0.5, ratio)


def _bar(what: str, sign: str, wanted: float, found: float) -> str:
    met = found <= wanted if sign == "≤" else found >= wanted
    return f"| {what} | {sign} {wanted:g} | {found:.2f} | {'yes' if met else '**no**'} |"


def _median(samples: list[Sample], what: str) -> float:
    values: list[float] = [getattr(sample, what) for sample in samples]
    return statistics.median(values)


def _spread(values: list[float], digits: int) -> str:
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    raise SystemExit(main())
