"""The endpoint container on models whose arithmetic is most of the work, beside products and a bare session.

    python -m benchmarks.compute_bound [--rounds 7] [--seconds 3] [--peers FOLDER] [--write]

A ResNet-18-like net and a 6-layer text encoder (``benchmarks.models``), 16 connections. The image goes as a
binary tensor, to those that take one; the text's 128 numbers as JSON, to all. Every server has one worker and
one onnxruntime thread, and is measured in turn, round after round; so is ``session.run`` in a process of its
own, with one thread and nothing around it. What is compared is requests per second, round by round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import peers
from benchmarks.endpoint import LUA, OURS, PEER_NAMES, Server, measure, running
from benchmarks.models import SUBJECTS, Subject
from benchmarks.report import write_section
from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.tensors import TensorData, TensorSpec

CONNECTIONS = 16
BARE = "session.run"
FORMS = {"resnet": True, "encoder": False}
"""Which models are asked with binary tensors."""

Samples = dict[str, list[float]]
"""Requests per second of every server, round by round."""

RUN = """
import sys, time
import numpy as np
import onnxruntime as ort

options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
feed = {"x": np.load(sys.argv[2])}
session.run(None, feed)
for line in sys.stdin:
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < float(line):
        session.run(None, feed)
        count += 1
    print(count / (time.perf_counter() - began), flush=True)
"""


@dataclass
class Bare:
    """A process that runs the session in a loop when it is told to, for so many seconds."""

    process: subprocess.Popen[str]

    def per_second(self, seconds: float) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def lay_out(subject: Subject, folder: Path) -> dict[str, str]:
    """Write the model folder; returns the environment that names the model."""
    values = tuple(subject.input.reshape(-1).tolist())
    manifest = Manifest(
        model=subject.name,
        version=1,
        files=(ArtifactFile("model.onnx", Digest.of(subject.graph), len(subject.graph)),),
        entry="model.onnx",
        inputs=(TensorSpec("x", subject.datatype, subject.declared),),
        outputs=(TensorSpec(subject.output, "FP32", subject.output_shape),),
        golden=Golden((TensorData("x", subject.datatype, subject.input.shape, values),), ()),
        created_at="2026-11-22T00:00:00+00:00",
        created_by="benchmark",
    )
    (folder / environment.FILES_FOLDER).mkdir(parents=True)
    (folder / environment.FILES_FOLDER / "model.onnx").write_bytes(subject.graph)
    (folder / environment.MANIFEST_FILE).write_bytes(manifest.to_json())
    return {
        environment.MODEL: subject.name,
        environment.VERSION: "1",
        environment.DIGEST: str(manifest.digest),
        "SWITCHYARD_MODEL_DIR": str(folder),
    }


def write_bodies(subject: Subject, folder: Path) -> dict[bool, Path]:
    """The JSON body, which every server's first answer is asked with, and the binary one, as load scripts."""
    tensor = {"name": "x", "datatype": subject.datatype, "shape": list(subject.input.shape)}
    flat = subject.input.reshape(-1)
    data = [float(str(value)) for value in flat] if subject.datatype == "FP32" else flat.tolist()
    text = json.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": subject.input.nbytes}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    bodies = {False: json.dumps({"inputs": [{**tensor, "data": data}]}).encode()}
    bodies[True] = text + subject.input.tobytes()
    scripts = {}
    for binary, body in bodies.items():
        headers = 'wrk.headers["Content-Type"] = "application/json"'
        if binary:
            headers = (
                'wrk.headers["Content-Type"] = "application/octet-stream"\n'
                f'wrk.headers["Inference-Header-Content-Length"] = "{len(text)}"'
            )
        (folder / f"body-{binary}").write_bytes(body)
        scripts[binary] = folder / f"load-{binary}.lua"
        scripts[binary].write_text(LUA.format(body=folder / f"body-{binary}", headers=headers))
    return scripts


def run(subject: Subject, rounds: int, seconds: float, others: Path | None) -> tuple[Samples, dict[str, str]]:
    """Every server's requests per second, and why some have none."""
    binary = FORMS[subject.name]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        model = folder / "model"
        named = lay_out(subject, model)
        scripts = write_bodies(subject, folder)
        graph = str(model / environment.FILES_FOLDER / "model.onnx")
        row, answer = (tuple(map(int, sizes[1:])) for sizes in (subject.declared, subject.output_shape))
        served = peers.Served(subject.name, graph, row, answer, subject.datatype)
        bare = _bare(subject, folder, graph, stack)
        servers = [_endpoint(subject, folder, named, stack)]
        skipped: dict[str, str] = {}
        for peer in peers.PEERS if others else ():
            assert others is not None
            if binary and not peer.binary:
                skipped[peer.name] = "it takes no binary tensor"
                continue
            try:
                servers.append(_peer(peer, served, folder, others, stack))
            except peers.NotInstalledError as error:
                skipped[peer.name] = str(error)
        samples: Samples = {BARE: [], **{server.name: [] for server in servers}}
        for number in range(rounds + 1):
            found = {BARE: bare.per_second(seconds)}
            for server in servers:
                found[server.name] = measure(server, scripts[binary], CONNECTIONS, seconds).per_second
            if number:  # the first round warms up
                for who, value in found.items():
                    samples[who].append(value)
        return samples, skipped


def _bare(subject: Subject, folder: Path, graph: str, stack: ExitStack) -> Bare:
    np.save(folder / "x.npy", subject.input)
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-c", RUN, graph, str(folder / "x.npy")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    stack.callback(process.kill)
    return Bare(process)


def _endpoint(subject: Subject, folder: Path, named: dict[str, str], stack: ExitStack) -> Server:
    port = peers.free_port()
    environ = {
        **named,
        "SWITCHYARD_HOST": "127.0.0.1",
        "SWITCHYARD_GRPC_PORT": "off",
        "SWITCHYARD_THREADS": "1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    command = peers.Command([sys.executable, "-m", "functions.endpoint"], environ)
    url = f"http://127.0.0.1:{port}/v2/models/{subject.name}/infer"
    return stack.enter_context(running(OURS, command, url, folder))


def _peer(peer: peers.Peer, served: peers.Served, folder: Path, others: Path, stack: ExitStack) -> Server:
    place = folder / peer.name.replace(" ", "-").replace(",", "")
    place.mkdir()
    shutil.copy(folder / "body-False", place)
    home = peers.install(peer, others.absolute())
    port = peers.free_port()
    command = peer.write(place, home, served, port)
    return stack.enter_context(running(peer.name, command, peer.url(served, port), place, binary=peer.binary))


def bars(name: str, samples: Samples) -> Iterator[str]:
    """What is wanted of the endpoint with this model, one line each."""
    mine = samples[OURS]
    floor = _ratio(mine, samples[BARE])
    yield _bar(f"{name}, against `session.run` with the same thread", 0.95, floor)
    products = {who: values for who, values in samples.items() if who in PEER_NAMES}
    if products:
        best = max(products, key=lambda who: statistics.median(products[who]))
        yield _bar(f"{name}, against the best product ({best})", 1, _ratio(mine, products[best]))


def _ratio(mine: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(mine, theirs, strict=True))


def _bar(what: str, wanted: float, found: float) -> str:
    return f"| {what} | ≥ {wanted:g} | {found:.2f} | {'yes' if found >= wanted else '**no**'} |"


INTRODUCTION = """`python -m benchmarks.compute_bound --peers FOLDER --write`: a ResNet-18-like net
(binary tensors) and a 6-layer text encoder (JSON), {connections} connections, one worker and one
onnxruntime thread each, no batching to gain from: on a processor these models are their arithmetic.
{machine}, {processors} processors shared with other work (a load of {load} at the end), Python {python};
{rounds} interleaved rounds of {seconds:g} s. Ratios are medians of what the rounds say.
"""


def report(found: dict[str, tuple[Samples, dict[str, str]]], rounds: int, seconds: float) -> str:
    """The tables."""
    lines = [
        INTRODUCTION.format(
            connections=CONNECTIONS,
            machine=platform.machine(),
            processors=os.cpu_count(),
            load=f"{os.getloadavg()[1]:.0f}",
            python=platform.python_version(),
            rounds=rounds,
            seconds=seconds,
        ),
        "| requests/s | wanted | measured | met |",
        "|---|---|---|---|",
    ]
    for name, (samples, _) in found.items():
        lines += bars(name, samples)
    lines += ["", "| model | server | requests/s, median (smallest to largest) |", "|---|---|---|"]
    for name, (samples, _) in found.items():
        for who, values in samples.items():
            spread = f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
            lines.append(f"| {name} | {who} | {spread} |")
    skipped = [f"* {name}, {who}: {why}" for name, (_, left) in found.items() for who, why in left.items()]
    return "\n".join([*lines, *(["", "Not measured:", "", *skipped] if skipped else [])]) + "\n"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--model", choices=sorted(FORMS), action="append", help="only this one")
    parser.add_argument("--peers", type=Path, help="install other servers below this folder and measure them")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        print("skipped: the load generator wrk is not installed (Debian: apt-get install wrk)")
        return 0
    names = asked.model or list(FORMS)
    found = {name: run(SUBJECTS[name](), asked.rounds, asked.seconds, asked.peers) for name in names}
    text = report(found, asked.rounds, asked.seconds)
    print(text)
    if asked.write:
        write_section("Models that compute", text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
