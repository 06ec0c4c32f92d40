"""Publish and fetch, beside the plain tools that verify nothing.

Run ``python -m benchmarks.store [--megabytes 256 2048] [--rounds 3] [--write]``. Each round does the plain
thing and ours one right after the other (and the next round the other way round), so that both meet the
same machine:

* S3 (the embedded cloud): boto3's ``upload_file`` / ``download_file`` and one ``sha256sum``;
* a folder: ``cp`` and one ``sha256sum``.

Ours is a whole ``publish`` (model checked and run, every byte hashed, sent with checksums, verified,
manifest) and a whole ``fetch``. Then what processes of their own take of memory with the largest size, and
the calls that listing 10,000 versions, and publishing to such a model, take.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks.report import write_section
from local_cloud import cloud as embedded
from model_store.adapters.directory import DirectoryStore
from model_store.adapters.s3 import S3Store, s3_client
from model_store.contract.keys import indexed_key, manifest_key
from model_store.contract.names import ByVersion
from model_store.fetch import fetch
from model_store.ports import ObjectStore
from model_store.publish import publish
from model_store.versions import listed

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ROOT = Path(__file__).parents[1]
VERSIONS = 10_000
BAR = 0.95
HEAD = (
    "| what | size | plain | plain takes | ours takes | ours | ratio (smallest to largest) | "
    f"at least {BAR} |\n|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: medians in seconds, and the rounds' ratios (above 1: ours is faster).

    ``bar`` is set for the comparison that the bar is about; the others are shown beside it.
    """

    what: str
    megabytes: int
    plain: str
    plain_s: float
    ours_s: float
    ratios: tuple[float, ...]
    bar: bool

    def line(self) -> str:
        """The row of a Markdown table."""
        ratio = median(self.ratios)
        met = ("yes" if ratio >= BAR else "**no**") if self.bar else ""
        return (
            f"| {self.what} | {self.megabytes:,} MB | {self.plain} | {self.plain_s:.2f} s "
            f"| {self.ours_s:.2f} s | {self.megabytes / self.ours_s:,.0f} MB/s "
            f"| {ratio:.2f} ({min(self.ratios):.2f} to {max(self.ratios):.2f}) | {met} |"
        )


INTRODUCTION = (
    "`python -m benchmarks.store --write` ({rounds} rounds, Python {python}, {cores} cores that "
    "are shared with the embedded cloud itself and with other work, load average {load:.0f}; above the "
    "number of cores nothing that ours does at once is done at once). In each round the plain thing and "
    "ours run one right after the other, in turns which comes first, with the disk synced before each; times "
    "are medians, the ratio is the median of the rounds' ratios, and above 1 ours is faster.\n\n"
    "* **Ours** is a whole `publish` (model checked and run, every byte hashed, sent in parts with their "
    "checksums, each verified, manifest) and a whole `fetch` (parts and whole verified, synced to disk).\n"
    "* **Plain** is boto3's own `upload_file` or `download_file` with its defaults, or `cp`, and one run of "
    "the tool `sha256sum` on the file. What it copies it does not verify, and its copies are not synced to "
    "disk.\n"
    "* `sha256sum` of this machine does not use the processor's own instructions, Python's sha256 does; so "
    "beside each comparison stands the same with that, for a folder with the copy synced as ours is.\n"
    "* The embedded cloud is one thread of Python. It checks the sha256 of each of our parts, which S3 does "
    "on its own machines: about a second for two gigabytes, in our times and not in boto3's.\n"
)


def main() -> None:
    """Measure, print the table, and if asked, write it down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[256, 2048])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _cloud(Path(name) / "cloud"):
        folder = Path(name)
        # What is imported on first use is imported before anything is timed.
        _ours(DirectoryStore(folder / "warm"), _artifact(folder / "warm-up", 1), folder / "warmed")
        rows = list(_rows(folder, options.megabytes, options.rounds))
        memory = _memory(folder, max(options.megabytes))
        print(memory)
        listing = _many_versions(_artifact(folder / "one-of-many", 1))
        print(listing)
    if options.write:
        introduction = INTRODUCTION.format(
            rounds=options.rounds,
            python=platform.python_version(),
            cores=os.cpu_count(),
            load=os.getloadavg()[1],
        )
        table = "\n".join([HEAD, *(row.line() for row in rows)])
        plot = f"![Throughput beside the plain tools]({_plot(rows)})"
        write_section("Model store", f"{introduction}\n{table}\n\n{plot}\n\n{memory}\n\n{listing}\n")


def _rows(folder: Path, sizes: list[int], rounds: int) -> Iterator[Row]:
    print(HEAD)
    for megabytes in sizes:
        artifact = _artifact(folder / f"artifact-{megabytes}", megabytes)
        for compared in (_on_s3, _in_a_folder):
            for row in compared(folder, artifact, megabytes, rounds):
                print(row.line(), flush=True)
                yield row
        shutil.rmtree(artifact)


@contextmanager
def _cloud(home: Path) -> Iterator[None]:
    os.environ["SWITCHYARD_CLOUD_PARENT_PID"] = str(os.getpid())
    running = embedded.start(home)
    os.environ.update(running.environment())
    try:
        yield
    finally:
        embedded.stop(home)


def _artifact(folder: Path, megabytes: int) -> Path:
    """A small model and a large companion of bytes that no file system makes smaller."""
    folder.mkdir()
    scale = numpy_helper.from_array(np.full(4, 2, np.float32), "scale")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "scale"], ["y"])], "graph", [x], [y], [scale])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with _large(folder).open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))
    return folder


def _large(folder: Path) -> Path:
    return folder / "companion.bin"


def _on_s3(folder: Path, artifact: Path, megabytes: int, rounds: int) -> Iterator[Row]:
    client = s3_client()
    boto: S3Client = boto3.client("s3")
    copy, target = folder / "copy", folder / "fetched"
    taken = _Taken()

    def plain() -> tuple[float, float]:
        with _bucket(client) as bucket:
            up = _seconds(partial(boto.upload_file, str(_large(artifact)), bucket, "large"))
            down = _seconds(partial(boto.download_file, bucket, "large", str(copy)))
        copy.unlink()
        return up, down

    def ours() -> tuple[float, float]:
        with _bucket(client) as bucket:
            return _ours(S3Store(bucket), artifact, target)

    for number in range(rounds):
        (up, down), (put, get) = _in_turns(number, plain, ours)
        by_python, by_tool = _hashing(_large(artifact))
        for what, tool, moved, took in (
            ("publish to S3", "`upload_file`", up, put),
            ("fetch from S3", "`download_file`", down, get),
        ):
            taken.add(what, f"{tool} + `sha256sum`", moved + by_tool, took, bar=True)
            taken.add(what, f"{tool} + Python's sha256", moved + by_python, took)
    yield from taken.rows(megabytes)


def _in_a_folder(folder: Path, artifact: Path, megabytes: int, rounds: int) -> Iterator[Row]:
    copy, root, target = folder / "copy", folder / "store", folder / "fetched"
    taken = _Taken()

    def plain() -> tuple[float, float]:
        copied = _seconds(lambda: subprocess.run(["cp", str(_large(artifact)), str(copy)], check=True))
        started = time.perf_counter()
        _sync(copy)
        synced = time.perf_counter() - started
        copy.unlink()
        return copied, copied + synced

    def ours() -> tuple[float, float]:
        took = _ours(DirectoryStore(root), artifact, target)
        shutil.rmtree(root)
        return took

    for number in range(rounds):
        (copied, synced), (put, get) = _in_turns(number, plain, ours)
        by_python, by_tool = _hashing(_large(artifact))
        for what, took in (("publish to a folder", put), ("fetch from a folder", get)):
            taken.add(what, "`cp` + `sha256sum`", copied + by_tool, took, bar=True)
            taken.add(what, "`cp`, synced, + Python's sha256", synced + by_python, took)
    yield from taken.rows(megabytes)


def _in_turns(
    number: int, plain: Callable[[], tuple[float, float]], ours: Callable[[], tuple[float, float]]
) -> tuple[tuple[float, float], tuple[float, float]]:
    if number % 2:
        took = ours()
        return plain(), took
    return plain(), ours()


class _Taken:
    """The rounds of each comparison: what the plain thing took, and what ours took."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str, bool], list[tuple[float, float]]] = {}

    def add(self, what: str, plain: str, plain_s: float, ours_s: float, *, bar: bool = False) -> None:
        self._rounds.setdefault((what, plain, bar), []).append((plain_s, ours_s))

    def rows(self, megabytes: int) -> list[Row]:
        return [
            Row(
                what,
                megabytes,
                plain,
                median(plain_s for plain_s, _ in taken),
                median(ours_s for _, ours_s in taken),
                tuple(plain_s / ours_s for plain_s, ours_s in taken),
                bar,
            )
            for (what, plain, bar), taken in self._rounds.items()
        ]


def _hashing(path: Path) -> tuple[float, float]:
    """One pass of sha256 over the file: by Python, and by the tool of that name."""
    command = ["sha256sum", str(path)]
    by_tool = _seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    return _seconds(lambda: _sha256(path)), by_tool


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _ours(store: ObjectStore, artifact: Path, target: Path) -> tuple[float, float]:
    put = _seconds(lambda: publish(store, "digits", artifact, created_by="benchmark"))
    get = _seconds(lambda: fetch(store, ByVersion("digits", 1), target))
    shutil.rmtree(target)
    return put, get


PROCESS = """
import sys
from pathlib import Path
from model_store.adapters.directory import DirectoryStore
from model_store.adapters.s3 import S3Store
from model_store.contract.names import ByVersion
from model_store.fetch import fetch
from model_store.publish import publish
verb, kind, place, folder = sys.argv[1:]
store = S3Store(place) if kind == "S3" else DirectoryStore(Path(place))
if verb == "publish":
    publish(store, "digits", Path(folder), created_by="benchmark")
else:
    fetch(store, ByVersion("digits", 1), Path(folder))
# Not getrusage: that one remembers the process it was forked from.
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak) * 1024)
"""


def _memory(folder: Path, megabytes: int) -> str:
    """The most memory that a process takes which publishes, or fetches, a model of that size."""
    artifact, target = _artifact(folder / "artifact-memory", megabytes), folder / "fetched"
    peaks: list[str] = []
    with _bucket(s3_client()) as bucket:
        for kind, where, said in (("S3", bucket, "S3"), ("folder", str(folder / "store"), "a folder")):
            for verb, way, path in (("publish", "to", artifact), ("fetch", "from", target)):
                command = [sys.executable, "-c", PROCESS, verb, kind, where, str(path)]
                done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
                peaks.append(f"{verb} {way} {said} {int(done.stdout) / 1e6:.0f} MB")
            shutil.rmtree(target)
    shutil.rmtree(artifact)
    shutil.rmtree(folder / "store")
    return f"Most memory of a process with {megabytes:,} MB, libraries included: {', '.join(peaks)}."


def _many_versions(artifact: Path) -> str:
    """List the versions of a model that has ten thousand, publish to it twice, and count the calls."""
    client = s3_client()
    calls: Counter[str] = Counter()
    client.meta.events.register("before-send.s3", lambda event_name, **_: calls.update([event_name]))
    with _bucket(client) as bucket:
        store = S3Store(bucket, client=client)
        with ThreadPoolExecutor(4) as pool:
            numbers = range(1, VERSIONS)
            list(pool.map(lambda number: store.put_once(manifest_key("digits", number), b""), numbers))
            # A page of them is all that anybody ever reads.
            newest = numbers[-1000:]
            list(pool.map(lambda number: store.put_once(indexed_key("digits", number), b"{}"), newest))
        counted = []
        for work in (
            lambda: publish(store, "digits", artifact, created_by="benchmark"),
            lambda: publish(store, "digits", artifact, created_by="benchmark"),
            lambda: listed(store, "digits"),
        ):
            calls.clear()
            taken = _seconds(work)
            made = ", ".join(f"{count} `{name.rsplit('.', 1)[1]}`" for name, count in sorted(calls.items()))
            counted.append(f"{taken:.2f} s by {made}")
    new, again, listing = counted
    return (
        f"{VERSIONS:,} versions are listed in {listing}: one per thousand, and one for those that were taken "
        f"away. The next version of such a model is published in {new}; publishing the same bytes again "
        f"finds them in {again}."
    )


def _plot(rows: list[Row]) -> str:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "switchyard"
    from matplotlib import pyplot as plt

    shown = [row for row in rows if row.bar]
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(shown) + 1.2), layout="constrained")
    for shift, label, colour, seconds in (
        (-0.2, "plain tool + sha256sum", "#9aa5b1", [row.plain_s for row in shown]),
        (0.2, "ours", "#1f6feb", [row.ours_s for row in shown]),
    ):
        speeds = [row.megabytes / taken for row, taken in zip(shown, seconds, strict=True)]
        axes.barh([at + shift for at in range(len(shown))], speeds, 0.36, label=label, color=colour)
    axes.set_yticks(range(len(shown)), [f"{row.what}, {row.megabytes:,} MB" for row in shown])
    axes.invert_yaxis()
    axes.set_xlabel("MB/s, hashing included")
    axes.legend()
    path = ROOT / "docs" / "benchmarks" / "store.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    return "benchmarks/store.svg"


@contextmanager
def _bucket(client: S3Client) -> Iterator[str]:
    name = f"benchmark-{uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    yield name
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=name)
    for key in [item["Key"] for page in pages for item in page.get("Contents", [])]:
        client.delete_object(Bucket=name, Key=key)
    client.delete_bucket(Bucket=name)


def _seconds(work: Callable[[], object]) -> float:
    os.sync()  # nobody pays for what another one has left to be written
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
