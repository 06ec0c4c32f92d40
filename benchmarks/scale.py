"""A stage that has grown: a hundred models in the catalog, ten thousand versions and lines in the store.

Run ``python -m benchmarks.scale [--rounds 3] [--write]``.

* **Synth**: ``python app.py``, as ``cdk synth`` runs it, for one model and for a hundred, in turns.
* **The store**: what ``yard status``, ``yard history`` and ``yard versions`` ask it, with 10,000 versions,
  10,000 ledger lines and 10,000 leases, on a folder and on the embedded cloud's S3. Lambda is the shipped
  fake, whose calls take no time; what a process takes to start is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from benchmarks.report import write_section
from infra.checks import write_stand_in_layer
from local_cloud import cloud as embedded
from model_store.adapters.directory import DirectoryStore
from model_store.adapters.memory import MemoryStore
from model_store.adapters.s3 import S3Store, s3_client
from model_store.contract.keys import lease_end_key, lease_key, ledger_key, ledger_page_key
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore
from model_store.versions import read_manifest, recent
from releases.adapters.memory import MemoryFunctions
from releases.controller import Controller
from releases.ledger import PAGE_LINES
from releases.ports import SystemClock
from releases.records import Line, Note, canonical
from releases.stage import Stage
from releases.status import status
from tests.unit.releases.world import World, honest

ROOT = Path(__file__).parents[1]
MANY = 10_000
MODELS = 100
SYNTH_BAR = 3.0
READ_BAR_S = 1.0


def main() -> None:
    """Measure, print, and if asked, write it down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    synth = _synth(options.rounds)
    print(synth)
    with tempfile.TemporaryDirectory() as name:
        reads = _reads(Path(name), options.rounds)
    print(reads)
    if options.write:
        introduction = (
            f"`python -m benchmarks.scale --write` ({options.rounds} rounds, Python "
            f"{platform.python_version()}, {os.cpu_count()} cores shared with other work, load average "
            f"{os.getloadavg()[1]:.0f}). Times are medians of wall-clock seconds."
        )
        write_section("Scale", f"{introduction}\n\n{synth}\n\n{reads}")


def _synth(rounds: int) -> str:
    taken: dict[int, list[float]] = {1: [], MODELS: []}
    facts: dict[int, tuple[int, int]] = {}
    for _ in range(rounds):
        for count, times in taken.items():
            with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:
                times.append(_synthesise(Path(name), count))
                templates = list((Path(name) / "out").glob("*.template.json"))
                facts[count] = (len(templates), max(template.stat().st_size for template in templates))
    one, many = median(taken[1]), median(taken[MODELS])
    rows = [
        f"| {count} | {median(times):.1f} s ({min(times):.1f} to {max(times):.1f}) | {facts[count][0]} "
        f"| {facts[count][1] / 1000:,.0f} kB |"
        for count, times in taken.items()
    ]
    met = "met" if many <= SYNTH_BAR * one else "**not met**"
    return "\n".join(
        [
            "| models | `python app.py` | templates | largest template |",
            "|---|---|---|---|",
            *rows,
            "",
            f"A hundred models take {many / one:.2f} times as long as one (at most {SYNTH_BAR:g}: {met}).",
        ]
    )


def _synthesise(folder: Path, count: int) -> float:
    layer = write_stand_in_layer(folder / "layer").relative_to(ROOT)
    models = "".join(f'[models.model-{number:03d}]\ntarget = "lambda"\n' for number in range(1, count + 1))
    (folder / "models.toml").write_text(f'[stages.prod]\nruntime_layer = "{layer}"\n{models}', "utf-8")
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    context |= {"stage": "prod", "catalog": str(folder / "models.toml")}
    environment = {
        **os.environ,
        "PATH": f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}",
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_OUTDIR": str(folder / "out"),
    }
    command = [sys.executable, str(ROOT / "app.py")]
    return _seconds(
        lambda: subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    )


def _reads(folder: Path, rounds: int) -> str:
    grown, functions = _grown()
    rows: list[str] = []
    with _cloud(folder / "cloud"):
        client = s3_client()
        bucket = f"benchmark-{uuid4().hex[:12]}"
        client.create_bucket(Bucket=bucket)
        calls: Counter[str] = Counter()
        client.meta.events.register("before-send.s3", lambda event_name, **_: calls.update([event_name]))
        on_s3, on_disk = S3Store(bucket, client=client), DirectoryStore(folder / "store")
        for store in (on_s3, on_disk):
            _copy(grown, store)
        for where, store in (("S3 of the embedded cloud", on_s3), ("a folder", on_disk)):
            for what, work in _asked(_stage(store, functions)):
                work()
                times = []
                for _ in range(rounds):
                    calls.clear()
                    times.append(_seconds(work))
                made = f"{calls.total()}" if store is on_s3 else ""
                met = "yes" if median(times) < READ_BAR_S else "**no**"
                rows.append(f"| {what} | {where} | {made} | {median(times):.2f} s | {met} |")
    head = f"| what | store | calls | takes | under {READ_BAR_S:g} s |\n|---|---|---|---|---|"
    return "\n".join([head, *rows])


def _asked(stage: Stage) -> Iterator[tuple[str, Callable[[], object]]]:
    """What three commands ask the store."""

    def look() -> None:
        status(stage, "digits")
        stage.pins("digits").differences()

    def page() -> None:
        with ThreadPoolExecutor(8) as pool:
            list(
                pool.map(lambda item: read_manifest(stage.store, item.ref), recent(stage.store, "digits", 21))
            )

    yield "`yard status`", look
    yield "`yard history`", lambda: Controller(stage).history("digits")
    yield "`yard versions`", page


def _stage(store: ObjectStore, functions: MemoryFunctions) -> Stage:
    return Stage("test", store, functions, SystemClock(), by="benchmark")


def _grown() -> tuple[MemoryStore, MemoryFunctions]:
    """A model that was released ten thousand times, with as many versions."""
    world = World(MemoryFunctions(honest))
    for version in (1, 2):
        world.publish(version)
    world.deploy()
    for version in (1, 2):
        world.controller().release(ByVersion("digits", version))
    first, second = reversed(world.controller().history("digits"))
    lines = [first, second]
    for number in range(3, MANY + 1):
        lines.append(Line(number, replace((second, first)[number % 2].plan, id=f"line-{number}")))
        world.store.put_once(ledger_key("digits", "live", number), lines[-1].to_json())
        world.publish(number)
    for page in range(MANY // PAGE_LINES):
        body = canonical([line.as_json() for line in lines[page * PAGE_LINES : (page + 1) * PAGE_LINES]])
        world.store.put_once(ledger_page_key("digits", "live", page + 1), body)
    for number in range(100, MANY + 1):
        world.store.put_once(lease_key("digits", number), b"{}")
        world.store.put_once(lease_end_key("digits", number), b"{}")
    note = Note(MANY, f"line-{MANY}", 2).to_text()
    world.functions.meddle(world.stage().function("digits"), "live", note=note)
    return world.store, world.functions


def _copy(source: MemoryStore, target: ObjectStore) -> None:
    keys = list(source.keys("models/"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: target.put_once(key, source.get(key)), keys))


@contextmanager
def _cloud(home: Path) -> Iterator[None]:
    os.environ["SWITCHYARD_CLOUD_PARENT_PID"] = str(os.getpid())
    running = embedded.start(home)
    before = dict(os.environ)
    os.environ.update(running.environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        embedded.stop(home)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
