"""How long a rollback takes, and how long callers still meet the old version.

``python -m benchmarks.rollback --write``. One run on one embedded cloud measures, under the same light load
and one after the other:

* ``yard rollback`` of a small and of a large model, as a person types it;
* the ordinary CDK way: change the code back and ``cdk deploy``, small and large.

Each of the four stops at its number of samples, or when its quarter of ``--seconds`` is over, with one sample
at least; so a slow machine measures less and not for longer. With ``--write`` it fills the table in
``docs/benchmarks.md`` and leaves ``rollback.json`` and ``rollback.png`` beside it; else they go to ``--out``.
Everything it starts ends with it.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.crowd import Crowd, Question
from local_cloud import cloud
from local_cloud.cloud import Cloud
from local_cloud.deploy import deploy

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
OUT = ROOT / "docs" / "benchmarks"
ORDINARY = ROOT / "benchmarks" / "ordinary"
DIGITS = ROOT / "examples" / "digits"
BEGIN, END = "<!-- rollback: begin -->", "<!-- rollback: end -->"
MODELS = ("small", "large")
CALLERS = 2
PAUSE_S = 0.02
"""Light load: what is measured is the way back, not who gets the processors."""
AFTERWARDS_S = 1.0
"""How long callers go on after a command has returned, to meet a straggler of the old version."""

CATALOG = """
[stages.local]
auth = "none"
keep_data = false
runtime_layer = "build/layers/local"

[models.small]
target = "lambda"
memory_mb = 512
timeout_s = 10

[models.large]
target = "lambda"
memory_mb = 1024
timeout_s = 20
"""

HANDLER = """
import json
VERSION = "{version}"
def handler(event, context):
    body = {{"model_version": VERSION, "outputs": [{{"data": [0]}}]}}
    return {{"statusCode": 200, "headers": {{"content-type": "application/json"}}, "body": json.dumps(body)}}
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One way back: seconds until the command returned, and until the last answer of the old version.

    ``lingered_s`` is counted from the return; negative if callers had the new version before.
    """

    command_s: float
    lingered_s: float
    failed: int
    answers: int


@dataclass(frozen=True, slots=True)
class Result:
    """All samples of one way with one model."""

    way: str
    model: str
    megabytes: float
    samples: tuple[Sample, ...]


def main() -> int:
    """Measure, write, draw. Exit code 1 if a request failed in a rollback by ``yard``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollback", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="rollbacks of each model, at most")
    parser.add_argument("--deploys", type=int, default=8, help="ordinary deploys of each model, at most")
    parser.add_argument(
        "--seconds", type=float, default=260.0, help="for all samples, after the first deploy"
    )
    parser.add_argument("--large-mb", type=int, default=50)
    parser.add_argument("--write", action="store_true", help="into the page, with the picture beside it")
    parser.add_argument("--out", type=Path, help="where samples and picture go without --write")
    chosen = parser.parse_args()
    os.environ["SWITCHYARD_CLOUD_PARENT_PID"] = str(os.getpid())
    with _cloud() as (running, work):
        yard = _Yard(running, work)
        clock = Quarters(chosen.seconds)
        results = [
            *_by_yard(yard, work, chosen.rounds, chosen.large_mb, clock),
            *_by_cdk(running, work, chosen.deploys, chosen.large_mb, clock),
        ]
    out = OUT if chosen.write else chosen.out
    if out:
        out.mkdir(parents=True, exist_ok=True)
        write(results, out)
        draw(results, out / "rollback.png")
    if chosen.write:
        PAGE.write_text(filled(PAGE.read_text(), page_section(results)))
    _say(table(results))
    return (
        1
        if any(sample.failed for result in results if result.way == YARD for sample in result.samples)
        else 0
    )


YARD, CDK = "yard rollback", "cdk deploy"


class Quarters:
    """When each of four things to measure has had its time: at equal moments from now, whoever was slow."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._seconds = seconds
        self._taken = 0

    def samples(self, most: int) -> Iterator[int]:
        """Count to ``most``, but not beyond this quarter, and to one at least."""
        self._taken += 1
        end = self._began + self._seconds * self._taken / 4
        for number in range(most):
            if number and self._clock() >= end:
                return
            yield number


@contextmanager
def _cloud() -> Iterator[tuple[Cloud, Path]]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        work = Path(folder)
        running = cloud.start(work / "cloud")
        try:
            yield running, work
        finally:
            cloud.stop(work / "cloud")


class _Yard:
    """The project deployed, and its command line."""

    def __init__(self, running: Cloud, work: Path) -> None:
        catalog = work / "models.toml"
        catalog.write_text(CATALOG)
        subprocess.run([sys.executable, "-m", "layers.build", "--for", "local"], cwd=ROOT, check=True)
        deploy(running, root=ROOT, catalog=catalog, on_progress=_say)
        self._environment = {
            **os.environ,
            **running.environment(),
            "SWITCHYARD_HOME": str(running.home),
            "SWITCHYARD_CATALOG": str(catalog),
        }

    def __call__(self, *words: str) -> Any:
        command = [sys.executable, "-m", "yard.main", *words, "--json"]
        done = subprocess.run(command, cwd=ROOT, env=self._environment, check=True, capture_output=True)
        return json.loads(done.stdout)


def _by_yard(yard: _Yard, work: Path, rounds: int, large_mb: int, clock: Quarters) -> Iterator[Result]:
    api = str(yard("local", "status")["api_url"])
    body = (DIGITS / "request.json").read_bytes()
    for model in MODELS:
        files = [DIGITS / f"v{version}" / "model.onnx" for version in (1, 2)]
        if model == "large":
            files = [
                large_model(work / f"large-{version}.onnx", large_mb, seed=version) for version in (1, 2)
            ]
        for file in files:
            yard("publish", model, str(file))
        yard("release", f"{model}:1")
        yard("release", f"{model}:2")

        def go_back(model: str = model) -> None:
            yard("rollback", model)

        samples = []
        for _ in clock.samples(rounds):
            url = f"{api}/v2/models/{model}/infer"
            samples.append(measure(url, body, old="2", command=go_back))
            yard("release", f"{model}:2")
            _say(f"{YARD} {model}: {samples[-1]}")
        yield Result(YARD, model, files[0].stat().st_size / 1e6, tuple(samples))


def _by_cdk(running: Cloud, work: Path, deploys: int, large_mb: int, clock: Quarters) -> Iterator[Result]:
    for model in MODELS:
        code = work / f"ordinary-{model}"
        weights = os.urandom(large_mb * 1_000_000) if model == "large" else b""

        def deploy_version(version: str, code: Path = code, weights: bytes = weights) -> None:
            shutil.rmtree(code, ignore_errors=True)
            code.mkdir()
            (code / "handler.py").write_text(HANDLER.format(version=version))
            (code / "weights.bin").write_bytes(weights)
            _ordinary_deploy(running, code, work / "ordinary.out")

        deploy_version("1")
        url = _ordinary_url(running)
        samples = []
        for number in clock.samples(deploys):
            old, new = ("1", "2") if number % 2 == 0 else ("2", "1")
            command = functools.partial(deploy_version, new)
            samples.append(measure(f"{url}/infer", b"{}", old=old, command=command))
            _say(f"{CDK} {model}: {samples[-1]}")
        yield Result(CDK, model, len(weights) / 1e6, tuple(samples))


def _ordinary_deploy(running: Cloud, code: Path, out: Path) -> None:
    """One ``cdk deploy``, as a person types it: it synthesises and deploys."""
    programs = [str(Path(sys.executable).parent), str(ROOT / "node_modules" / ".bin")]
    path = os.pathsep.join([*programs, os.environ.get("PATH", os.defpath)])
    arguments = [
        "--require-approval",
        "never",
        "--output",
        str(out),
        "--no-version-reporting",
        "--no-notices",
    ]
    subprocess.run(
        [str(ROOT / "node_modules" / ".bin" / "cdk"), "deploy", *arguments],
        cwd=ORDINARY,
        env={**os.environ, **running.environment(), "PATH": path, "CI": "1", "ORDINARY_CODE": str(code)},
        check=True,
        capture_output=True,
    )


def _ordinary_url(running: Cloud) -> str:
    import boto3

    formation = boto3.client(
        "cloudformation",
        endpoint_url=running.endpoint_url,
        region_name=running.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    stack = formation.describe_stacks(StackName="Ordinary")["Stacks"][0]
    return str(stack["Outputs"][0]["OutputValue"])


def measure(url: str, body: bytes, *, old: str, command: Callable[[], None]) -> Sample:
    """Run ``command`` under load and see when the version ``old`` was last heard."""
    with Crowd(url, [Question(body, {})], callers=CALLERS, pause_s=PAUSE_S) as crowd:
        crowd.wait_for(5)
        began = time.monotonic()
        command()
        returned = time.monotonic()
        time.sleep(AFTERWARDS_S)
    last = max((heard.at for heard in crowd.heard if heard.version == old), default=began)
    failed = sum(heard.status != 200 for heard in crowd.heard)
    return Sample(returned - began, last - returned, failed, len(crowd.heard))


def large_model(path: Path, megabytes: int, *, seed: int) -> Path:
    """Write an ONNX classifier of 64 pixels whose weights do not compress."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    width = megabytes * 1_000_000 // 4 // (64 + 10)
    chance = np.random.default_rng(seed)
    first = chance.standard_normal((64, width), np.float32)
    second = chance.standard_normal((width, 10), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["image", "first"], ["hidden"]),
            helper.make_node("MatMul", ["hidden", "second"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        "large",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def table(results: Sequence[Result]) -> str:
    """Return the results as a table for the page."""
    header = (
        "",
        "model",
        "from command to return, p50",
        "p99",
        "last old answer after the return, p50",
        "p99",
        "failed requests",
    )
    rows = [f"| {' | '.join(header)} |", "|---|---|---:|---:|---:|---:|---:|"]
    for result in results:
        took = [sample.command_s for sample in result.samples]
        lingered = [max(0.0, sample.lingered_s) for sample in result.samples]
        failed = sum(sample.failed for sample in result.samples)
        asked = sum(sample.answers for sample in result.samples)
        size = f"{result.model}, {_size(result.megabytes)}" if result.megabytes else result.model
        rows.append(
            f"| `{result.way}` | {size} | {percentile(took, 0.5):.2f} s | {percentile(took, 0.99):.2f} s "
            f"| {percentile(lingered, 0.5) * 1000:.0f} ms | {percentile(lingered, 0.99) * 1000:.0f} ms "
            f"| {failed} of {asked} |"
        )
    for model in MODELS:
        medians = {
            result.way: percentile([sample.command_s for sample in result.samples], 0.5)
            for result in results
            if result.model == model
        }
        if len(medians) == 2:
            rows += [""] if model == MODELS[0] else []
            rows.append(f"Ratio of the medians, {model}: {medians[CDK] / medians[YARD]:.1f}.")
    counts = ", ".join(str(len(result.samples)) for result in results)
    rows.append(f"Samples of each row: {counts}. With fewer than 100, p99 is the worst one.")
    return "\n".join(rows)


def _size(megabytes: float) -> str:
    return f"{megabytes:.1f} MB" if megabytes >= 0.1 else f"{megabytes * 1000:.0f} kB"


def page_section(results: Sequence[Result]) -> str:
    """The table, the picture and what it was measured on."""
    load = os.getloadavg()[2]
    where = (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load average {load:.1f} over the last "
        "15 minutes, its own included."
    )
    return "\n".join([table(results), "", where, "", "![Each sample as a point](benchmarks/rollback.png)"])


def filled(page: str, content: str) -> str:
    """Return the page with ``content`` between the marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{content}\n{END}{after}"


def write(results: Sequence[Result], out: Path) -> None:
    """Keep every sample, and what they were taken on."""
    document = {
        "machine": {
            "processors": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "results": [asdict(result) for result in results],
    }
    (out / "rollback.json").write_text(json.dumps(document, indent=1) + "\n")


def draw(results: Sequence[Result], path: Path) -> None:
    """Draw each sample as a point: the time until the last caller was off the old version."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8.0, 3.2), dpi=120)
    for row, result in enumerate(results):
        times = [sample.command_s + max(0.0, sample.lingered_s) for sample in result.samples]
        colour = "#3b6fb6" if result.way == YARD else "#d9822b"
        axes.scatter(times, [row] * len(times), color=colour, alpha=0.5, s=22, linewidths=0)
        axes.vlines(percentile(times, 0.5), row - 0.25, row + 0.25, color="#222222", linewidth=1.5)
    axes.set_yticks(range(len(results)), [f"{result.way}, {result.model}" for result in results])
    axes.invert_yaxis()
    axes.set_xscale("log")
    ticks = [
        tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]
    ]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("seconds from the command to the last answer of the old version (line: median)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
