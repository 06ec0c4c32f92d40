"""Publish and fetch, beside the plain tools that verify nothing.

Run ``python -m benchmarks.store [--megabytes 256 2048] [--rounds 3] [--write]``. Each round does the plain
thing and ours one right after the other, so that both meet the same machine:

* S3 (the embedded cloud): boto3's ``upload_file`` / ``download_file`` and one pass of sha256;
* a folder: ``cp`` and one pass of sha256, with the copy synced to disk, as ours is, and not synced.

Ours is a whole ``publish`` (model checked and run, every byte hashed, sent with checksums, verified,
manifest) and a whole ``fetch``. Then the calls that listing 10,000 versions takes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
from model_store.contract.keys import manifest_key
from model_store.contract.names import ByVersion
from model_store.fetch import fetch
from model_store.ports import ObjectStore
from model_store.publish import publish
from model_store.versions import listed

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ROOT = Path(__file__).parents[1]
VERSIONS = 10_000
HEAD = "| what | size | plain | plain takes | ours takes | ours | ratio |\n|---|---|---|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: medians in seconds, and the median of the rounds' ratios (above 1: ours is faster)."""

    what: str
    megabytes: int
    plain: str
    plain_s: float
    ours_s: float
    ratio: float

    def line(self) -> str:
        """The row of a Markdown table."""
        speed = self.megabytes / self.ours_s
        return (
            f"| {self.what} | {self.megabytes:,} MB | {self.plain} | {self.plain_s:.2f} s "
            f"| {self.ours_s:.2f} s | {speed:,.0f} MB/s | {self.ratio:.2f} |"
        )


INTRODUCTION = (
    "`python -m benchmarks.store --write` ({rounds} rounds, Python {python}, {cores} cores that "
    "are shared with the embedded cloud itself and with other work, load average {load:.0f}; above the "
    "number of cores nothing that ours does at once is done at once). In each round the plain thing and "
    "ours run one after the other; times are medians, the ratio is the median of the rounds' ratios, and "
    "above 1 ours is faster.\n\n"
    "* **Ours** is a whole `publish` (model checked and run, every byte hashed, sent in parts with their "
    "checksums, each verified, manifest) and a whole `fetch` (parts and whole verified, synced to disk).\n"
    "* **Plain** is boto3's own `upload_file` or `download_file` with its defaults and one pass of sha256, "
    "or `cp` and a pass. What it copies it does not verify, and its downloads are not synced to disk.\n"
    "* `sha256sum` of this machine does not use the processor's own instructions, Python's sha256 does; so "
    "each comparison is there with both.\n"
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
        rows = list(_rows(Path(name), options.megabytes, options.rounds))
        listing = _listing()
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
        write_section("Model store", f"{introduction}\n{table}\n\n{plot}\n\n{listing}\n")


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
    for _ in range(rounds):
        with _bucket(client) as bucket:
            up = _seconds(partial(boto.upload_file, str(_large(artifact)), bucket, "large"))
            down = _seconds(partial(boto.download_file, bucket, "large", str(copy)))
            by_python, by_tool = _hashing(copy)
            copy.unlink()
        with _bucket(client) as bucket:
            put, get = _ours(S3Store(bucket), artifact, target)
        taken.add("publish to S3", "`upload_file`", up, by_python, by_tool, put)
        taken.add("fetch from S3", "`download_file`", down, by_python, by_tool, get)
    yield from taken.rows(megabytes)


def _in_a_folder(folder: Path, artifact: Path, megabytes: int, rounds: int) -> Iterator[Row]:
    copy, root, target = folder / "copy", folder / "store", folder / "fetched"
    taken = _Taken()
    for _ in range(rounds):
        copied = _seconds(lambda: subprocess.run(["cp", str(_large(artifact)), str(copy)], check=True))
        synced = copied + _seconds(lambda: _sync(copy))
        by_python, by_tool = _hashing(copy)
        copy.unlink()
        put, get = _ours(DirectoryStore(root), artifact, target)
        shutil.rmtree(root)
        for what, ours in (("publish to a folder", put), ("fetch from a folder", get)):
            taken.add(what, "`cp`, synced,", synced, by_python, None, ours)
            taken.add(what, "`cp`", copied, None, by_tool, ours)
    yield from taken.rows(megabytes)


class _Taken:
    """The rounds of each comparison: what the plain thing took with a pass of sha256, and what ours took."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def add(
        self, what: str, plain: str, moved: float, by_python: float | None, by_tool: float | None, ours: float
    ) -> None:
        for said, hashed in (("sha256", by_python), ("`sha256sum`", by_tool)):
            if hashed is not None:
                self._rounds.setdefault((what, f"{plain} + {said}"), []).append((moved + hashed, ours))

    def rows(self, megabytes: int) -> list[Row]:
        return [_row(what, megabytes, plain, taken) for (what, plain), taken in self._rounds.items()]


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


def _listing() -> str:
    """List the versions of a model that has ten thousand, and count the calls."""
    client = s3_client()
    calls: Counter[str] = Counter()
    client.meta.events.register("before-send.s3", lambda event_name, **_: calls.update([event_name]))
    with _bucket(client) as bucket:
        store = S3Store(bucket, client=client)
        for number in range(1, VERSIONS + 1):
            store.put_once(manifest_key("digits", number), b"")
        calls.clear()
        taken = _seconds(lambda: listed(store, "digits"))
        made = ", ".join(f"{count} `{name.rsplit('.', 1)[1]}`" for name, count in calls.items())
    return (
        f"{VERSIONS:,} versions are listed in {taken:.2f} s by {made} and no other call: one per thousand, "
        "and one for those that were taken away."
    )


def _plot(rows: list[Row]) -> str:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "switchyard"
    from matplotlib import pyplot as plt

    shown = [row for row in rows if "`sha256sum`" not in row.plain]
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(shown) + 1.2), layout="constrained")
    for shift, label, colour, seconds in (
        (-0.2, "plain tools", "#9aa5b1", [row.plain_s for row in shown]),
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


def _row(what: str, megabytes: int, plain: str, taken: list[tuple[float, float]]) -> Row:
    return Row(
        what,
        megabytes,
        plain,
        round(median(plain_s for plain_s, _ in taken), 3),
        round(median(ours_s for _, ours_s in taken), 3),
        round(median(plain_s / ours_s for plain_s, ours_s in taken), 3),
    )


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
