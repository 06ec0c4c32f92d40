"""The inference function against a bare script and against what tutorials write.

``python -m benchmarks.inference [--rounds N] [--write]``. Contenders take turns, round after round, each time
in a new process that sees the runtime layer and nothing else; medians of the rounds, and ratios within the
run. ``--write`` puts table and plot into ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import base64
import compileall
import json
import os
import platform
import py_compile
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models import SUBJECTS, Subject
from benchmarks.report import write_section
from infra.bundles import INFERENCE
from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.events import http_event
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.tensors import TensorData, TensorSpec

ROOT = Path(__file__).parents[1]
LAYER = ROOT / "build" / "layers" / "local"
OURS, BARE, TUTORIAL, RAW = "switchyard", "bare", "tutorial", "raw_body"
WARM_CALLS = {"perceptron": 400, "resnet": 12}


@dataclass(frozen=True, slots=True)
class Bar:
    """One promise of the issue, and what was measured."""

    what: str
    against: str
    most: float
    ratio: float

    @property
    def met(self) -> bool:
        return self.ratio <= self.most


class Place:
    """The folder in which everything that is measured lies, as Lambda would have it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._code = home / "code"
        for package in INFERENCE:
            source, target = ROOT / package, self._code / package
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        contenders = home / "contenders"
        shutil.copytree(
            ROOT / "benchmarks" / "contenders", contenders, ignore=shutil.ignore_patterns("__pycache__")
        )
        for folder in (self._code, contenders):
            compileall.compile_dir(
                folder, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
            )
        self._path = [str(contenders), str(self._code), str(LAYER / "python")]

    def lay_out(self, subject: Subject) -> Path:
        """Write the model layer of ``subject``, and its requests beside it."""
        home = self._home / subject.name
        package = home / "python" / environment.MODEL_PACKAGE
        (package / environment.FILES_FOLDER).mkdir(parents=True)
        (package / environment.FILES_FOLDER / "model.onnx").write_bytes(subject.graph)
        manifest = _manifest(subject)
        slim = replace(manifest, golden=manifest.golden.without_values())
        (package / environment.MANIFEST_FILE).write_bytes(slim.to_json())
        (package / environment.GOLDEN_FILE).write_text(json.dumps(manifest.golden.as_json()))
        np.save(home / "x.npy", subject.input)
        for name, event in _events(subject).items():
            (home / f"{name}.json").write_text(json.dumps(event))
        return home

    def plan(self, subject: Subject, contender: str, event: str, *, calls: int = 0) -> Path:
        """Write what one process has to do."""
        home = self._home / subject.name
        manifest = _manifest(subject)
        plan = {
            "contender": contender,
            "event": str(home / f"{event}.json"),
            "path": [*self._path, str(home / "python")],
            "file": str(
                home / "python" / environment.MODEL_PACKAGE / environment.FILES_FOLDER / "model.onnx"
            ),
            "model": subject.name,
            "x": str(home / "x.npy"),
            "dtype": subject.input.dtype.name,
            "calls": calls,
            "environ": {
                environment.MODEL: manifest.model,
                environment.VERSION: "1",
                environment.DIGEST: str(manifest.digest),
                environment.STAGE: "prod",
                environment.TIMEOUT: "10",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            },
        }
        path = home / f"{contender}-{event}-{calls}.plan.json"
        path.write_text(json.dumps(plan))
        return path


def _manifest(subject: Subject) -> Manifest:
    return Manifest(
        model=subject.name,
        version=1,
        files=(ArtifactFile("model.onnx", Digest.of(subject.graph), len(subject.graph)),),
        entry="model.onnx",
        inputs=(TensorSpec("x", subject.datatype, subject.declared),),
        outputs=(TensorSpec(subject.output, "FP32", subject.output_shape),),
        golden=Golden((_golden(subject),), ()),
        created_at="2026-11-22T00:00:00Z",
        created_by="benchmark",
    )


def _golden(subject: Subject) -> TensorData:
    values = tuple(subject.input.reshape(-1).round(3).tolist())
    return TensorData("x", subject.datatype, subject.input.shape, values)


def _events(subject: Subject) -> dict[str, dict[str, Any]]:
    """The same request as a V2 JSON one, as a V2 binary one, and as the tutorials' own."""
    flat = subject.input.reshape(-1)
    data = [float(str(value)) for value in flat] if subject.datatype == "FP32" else flat.tolist()
    shape = list(subject.input.shape)
    tensor = {"name": "x", "datatype": subject.datatype, "shape": shape}
    path = f"/v2/models/{subject.name}/infer"
    v2 = http_event("POST", path, json.dumps({"inputs": [{**tensor, "data": data}]}).encode())
    text = json.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": subject.input.nbytes}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    binary = http_event("POST", path, text + subject.input.tobytes(), content_type="application/octet-stream")
    binary["headers"]["inference-header-content-length"] = str(len(text))
    assert base64.b64decode(binary["body"])[: len(text)] == text
    nested = np.array(data, object).reshape(shape).tolist()
    own = http_event("POST", "/predict", json.dumps({"data": nested}).encode())
    return {"json": v2, "binary": binary, "own": own}


def measure(plan: Path) -> dict[str, float]:
    """Run one process; ``cold_ms`` is from its start to its first answer."""
    command = [sys.executable, "-I", "-S", "-B", str(ROOT / "benchmarks" / "process.py"), str(plan)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]}, text=True)
    assert process.stdout is not None
    answered = process.stdout.readline()
    cold_ms = (time.perf_counter() - began) * 1000
    rest, _ = process.communicate()
    if answered != "answered\n" or process.returncode:
        raise SystemExit(f"the process of {plan.name} failed")
    return {"cold_ms": cold_ms, **json.loads(rest)}


def session_start_ms(subject: Subject, home: Path) -> float:
    """How long the session itself takes to start, in a new process that has imported everything."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import numpy, onnxruntime as ort\n"
        "o = ort.SessionOptions(); o.intra_op_num_threads = 1; began = time.perf_counter()\n"
        "ort.InferenceSession(sys.argv[2], o, providers=['CPUExecutionProvider'])\n"
        "print((time.perf_counter() - began) * 1000)"
    )
    model = home / "python" / environment.MODEL_PACKAGE / environment.FILES_FOLDER / "model.onnx"
    command = [sys.executable, "-I", "-S", "-B", "-c", code, str(LAYER / "python"), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert subject.graph
    return float(done.stdout)


Rounds = dict[tuple[str, str, str], list[dict[str, float]]]


def _turns(rounds: int, kinds: Sequence[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """A B C … A B C …, each round begun by another, so that none always comes after the same one."""
    for number in range(rounds):
        at = number % len(kinds)
        yield from (*kinds[at:], *kinds[:at])


def run(rounds: int) -> tuple[list[Bar], dict[str, Any]]:
    """Measure everything ``rounds`` times in turn and hold it against the bars."""
    with tempfile.TemporaryDirectory(prefix="switchyard-benchmark-") as folder:
        place = Place(Path(folder))
        subjects = {name: make() for name, make in SUBJECTS.items()}
        homes = {name: place.lay_out(subject) for name, subject in subjects.items()}
        best = {"perceptron": "json", "resnet": "binary", "encoder": "json"}
        cold = [
            (name, contender, "own" if contender == TUTORIAL else event)
            for name, event in best.items()
            for contender in (BARE, OURS, TUTORIAL)
        ]
        found: Rounds = {kind: [] for kind in cold}
        starts: dict[str, list[float]] = {name: [] for name in subjects}
        for kind in _turns(rounds, cold):
            name, contender, event = kind
            found[kind].append(measure(place.plan(subjects[name], contender, event)))
            if contender == BARE:
                starts[name].append(session_start_ms(subjects[name], homes[name]))
        warm = [
            ("perceptron", OURS, "json"),
            ("perceptron", RAW, "own"),
            ("perceptron", TUTORIAL, "own"),
            ("perceptron", OURS, "binary"),
            ("resnet", OURS, "binary"),
            ("resnet", OURS, "json"),
            ("resnet", TUTORIAL, "own"),
        ]
        warmed: Rounds = {kind: [] for kind in warm}
        for kind in _turns(rounds, warm):
            name, contender, event = kind
            plan = place.plan(subjects[name], contender, event, calls=WARM_CALLS[name])
            warmed[kind].append(measure(plan))
    return _judge(best, found, starts, warmed)


def _above(rounds: list[dict[str, float]]) -> list[float]:
    """CPU time of a call above that of ``session.run`` in the same process, round by round."""
    return [one["call_cpu_ms"] - one["run_cpu_ms"] for one in rounds]


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of what each round says: what the machine did meanwhile, it did to both."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


def _judge(
    best: dict[str, str], cold: Rounds, starts: dict[str, list[float]], warm: Rounds
) -> tuple[list[Bar], dict[str, Any]]:
    bars: list[Bar] = []
    facts: dict[str, Any] = {"cold": {}, "warm": {}}
    for name, event in best.items():
        rounds = {c: cold[name, c, "own" if c == TUTORIAL else event] for c in (BARE, OURS, TUTORIAL)}
        ms = {c: [one["cold_ms"] for one in rounds[c]] for c in rounds}
        rss = {c: [one["rss_mb"] for one in rounds[c]] for c in rounds}
        less = {c: [a - b for a, b in zip(ms[c], starts[name], strict=True)] for c in (OURS, TUTORIAL)}
        bars += [
            Bar(f"cold start, {name}", "the bare script", 1.15, _ratio(ms[OURS], ms[BARE])),
            Bar(
                f"cold start less the session's own, {name}",
                "the tutorial function",
                0.45,
                _ratio(less[OURS], less[TUTORIAL]),
            ),
            Bar(
                f"memory after the first answer, {name}",
                "the bare script",
                1.15,
                _ratio(rss[OURS], rss[BARE]),
            ),
        ]
        facts["cold"][name] = {
            "ms": {c: statistics.median(values) for c, values in ms.items()},
            "rss_mb": {c: statistics.median(values) for c, values in rss.items()},
            "session_start_ms": statistics.median(starts[name]),
            "cpu_ratio": {
                c: _ratio(
                    [one["cold_cpu_ms"] for one in rounds[OURS]], [one["cold_cpu_ms"] for one in rounds[c]]
                )
                for c in (BARE, TUTORIAL)
            },
        }
    above = {kind: _above(rounds) for kind, rounds in warm.items()}
    facts["warm"] = {" ".join(kind): statistics.median(values) for kind, values in above.items()}
    ours = above["perceptron", OURS, "json"]
    bars += [
        Bar(
            "1000 floats as JSON",
            "the tutorial function",
            0.06,
            _ratio(ours, above["perceptron", TUTORIAL, "own"]),
        ),
        Bar("1000 floats as JSON", "raw body and orjson", 0.4, _ratio(ours, above["perceptron", RAW, "own"])),
        Bar(
            "an image as a binary tensor",
            "as JSON in the tutorial function",
            0.05,
            _ratio(above["resnet", OURS, "binary"], above["resnet", TUTORIAL, "own"]),
        ),
    ]
    return bars, facts


_YES = {True: "yes", False: "**no**"}


def _table(bars: list[Bar]) -> str:
    lines = ["| what | against | bar | measured | met |", "|---|---|---|---|---|"]
    lines += [
        f"| {bar.what} | {bar.against} | ≤ {bar.most:g} | {bar.ratio:.3f} | {_YES[bar.met]} |" for bar in bars
    ]
    return "\n".join(lines)


_COLUMNS = (
    "| model | session's own start | bare script | ours | tutorial | memory: bare, ours, tutorial "
    "| CPU until the first answer, ours to bare, to tutorial |"
)


def _details(facts: dict[str, Any]) -> str:
    lines = [
        _COLUMNS,
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in facts["cold"].items():
        ms, rss = one["ms"], one["rss_mb"]
        lines.append(
            f"| {name} | {one['session_start_ms']:.0f} ms | {ms[BARE]:.0f} ms | {ms[OURS]:.0f} ms "
            f"| {ms[TUTORIAL]:.0f} ms | {rss[BARE]:.0f}, {rss[OURS]:.0f}, {rss[TUTORIAL]:.0f} MB "
            f"| {one['cpu_ratio'][BARE]:.2f}, {one['cpu_ratio'][TUTORIAL]:.2f} |"
        )
    lines += ["", "| warm call | CPU above `session.run` |", "|---|---|"]
    lines += [f"| {kind} | {value:.3f} ms |" for kind, value in facts["warm"].items()]
    return "\n".join(lines)


INTRODUCTION = (
    "`python -m benchmarks.inference --write` ({rounds} rounds, Python {python}, {cores} cores, shared with "
    "other work: look at the ratios). Every measurement is a new process with the runtime layer and nothing "
    "else on its path, bytecode compiled for all; contenders take turns, and each ratio is the "
    "median of what the rounds say. Cold start is from the start of the process to its first answer; every "
    "process reads its event first, as Lambda's runtime would. Warm calls are counted in CPU time of the "
    "process, less `session.run` with the same input in the same process; ours writes its log line, metrics "
    "included.\n"
    "\n"
    "* **perceptron** 1000-500-250-100-1, 2.6 MB; **resnet** ResNet-18-like, 3 by 224 by 224, 47 MB; "
    "**encoder** 6 layers, hidden 384, 128 tokens, 90 MB. Random weights, fixed seeds "
    "([`benchmarks/models.py`](../benchmarks/models.py)).\n"
    "* The image goes to ours as a binary tensor and to the tutorial, which has no other form, as JSON.\n"
    "* The bare script imports numpy and onnxruntime, makes the session and runs it. It checks no digest, "
    "parses no request and writes no log line; ours does.\n"
)


def main() -> None:
    """Measure, print, and if asked, write it down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    bars, facts = run(options.rounds)
    print(_table(bars) + "\n\n" + _details(facts))
    if options.write:
        introduction = INTRODUCTION.format(
            rounds=options.rounds, python=platform.python_version(), cores=os.cpu_count()
        )
        plot = _plot(facts)
        body = (
            f"{introduction}\n{_table(bars)}\n\n![Cold start and warm calls]({plot})\n\n{_details(facts)}\n"
        )
        write_section("Inference function", body)


def _plot(facts: dict[str, Any]) -> str:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "switchyard"
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    labels = {BARE: "bare script", OURS: "ours", TUTORIAL: "tutorial"}
    colours = {BARE: "#9aa5b1", OURS: "#1f6feb", TUTORIAL: "#d9822b", RAW: "#8e6bbf"}
    names = list(facts["cold"])
    for shift, contender in enumerate(labels):
        heights = [facts["cold"][name]["ms"][contender] for name in names]
        left.bar(
            [at + (shift - 1) * 0.27 for at in range(len(names))], heights, 0.25,
            label=labels[contender], color=colours[contender],
        )  # fmt: skip
    left.set_xticks(range(len(names)), names)
    left.set_ylabel("ms")
    left.set_title("Cold start: new process to first answer")
    left.legend()
    kinds = list(facts["warm"])
    right.barh(kinds, list(facts["warm"].values()), color=[colours[kind.split()[1]] for kind in kinds])
    right.set_xscale("log")
    right.set_xlabel("ms of CPU, logarithmic")
    right.set_title("Warm call, above session.run")
    right.invert_yaxis()
    path = ROOT / "docs" / "benchmarks" / "inference.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    return "benchmarks/inference.svg"


if __name__ == "__main__":
    main()
