"""``make demo``: run the whole road on the embedded cloud, measure it, and say what was seen.

Exit code 0 only if everything that the product promises was seen to hold.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from examples.demo.load import Images, Load, accuracy
from examples.demo.timeline import Command, draw
from local_cloud import cloud, deploy

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "demo-out"
HOME = ROOT / ".switchyard" / "demo"
DIGITS = ROOT / "examples" / "digits"
NEW_MEMORY_MB = 768
STEPS = 7

console = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Summary:
    """What the demonstration measured; ``demo-out/summary.json`` holds the same."""

    requests: int
    failed: int
    accuracy_http: float
    accuracy_recorded: float
    rollback_visible_ms: float
    rollback_command_ms: float
    rollback_took_ms: float
    live_after_deploy: str
    memory_mb_after_deploy: int
    seconds_total: float


class BrokenPromiseError(Exception):
    """Something that the product promises did not hold."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the embedded cloud running")
    keep = parser.parse_args().keep
    signal.signal(signal.SIGTERM, _interrupt)
    if not keep:
        # Whatever happens to this process, even kill -9: the cloud notices and ends itself.
        os.environ["SWITCHYARD_CLOUD_PARENT_PID"] = str(os.getpid())
    os.environ["SWITCHYARD_HOME"] = str(HOME)
    done = False
    try:
        _run(time.monotonic())
        done = True
    except KeyboardInterrupt:
        console.print("[bold]interrupted[/]")
        return 130
    except Exception as error:  # noqa: BLE001  # said in one line, and the cloud is stopped below
        console.print(f"[bold red]error:[/] {escape(str(error))}")
        if hint := getattr(error, "hint", None):
            console.print(f"[bold]hint:[/] {escape(hint)}")
        return 1
    finally:
        if keep and done:
            _how_to_go_on()
        else:
            cloud.stop(HOME)
            console.print("everything the demo started is stopped", style="dim")
    return 0


def _run(began: float) -> None:
    with _step(1, "start the embedded cloud"):
        cloud.stop(HOME)
        running = cloud.start(HOME)
        os.environ.update(running.environment())
        console.print(f"  an AWS on this machine: {running.endpoint_url}")
    with _step(2, "build the runtime layer, cdk bootstrap, cdk deploy --all"):
        _show([sys.executable, "-m", "layers.build", "--for", "local"])
        deploy.deploy(running, root=ROOT, on_progress=_progress)
    metrics = json.loads((DIGITS / "metrics.json").read_text())
    recorded = {int(key): float(item["accuracy"]) for key, item in metrics["versions"].items()}
    with _step(3, "publish digits:1, a classifier of handwritten digits"):
        _publish(1, recorded[1])
    images = _images()
    with _step(4, f"release it and send {len(images.labels)} held-out images through API Gateway"):
        _yard("release", "digits:1", "--reason", "the first one")
        url = f"{_yard_json('local', 'status')['api_url']}/v2/models/digits/infer"
        over_http = accuracy(url, images)
        console.print(f"  accuracy over HTTP {over_http:.4f}, recorded at training {recorded[1]:.4f}")
        _promise(over_http == recorded[1], "the accuracy over HTTP is not the recorded one")
    with _step(5, "publish and release digits:2 and roll it back, all under load"):
        _publish(2, recorded[2])
        load, commands, took_ms = _under_load(url, images)
        visible_ms = _visible_ms(load, commands[-1])
        _tell(load, commands[-1], took_ms, visible_ms)
        draw(load.answers, commands, OUT / "timeline.png")
    with _step(6, f"change the memory to {NEW_MEMORY_MB} MB and deploy again: the rollback must stand"):
        deploy.deploy(running, root=ROOT, catalog=_changed_catalog(), on_progress=_progress)
        live = _yard_json("status", "digits")["aliases"][0]
        console.print(f"  digits@live serves digits:{live['version']} with {live['memory_mb']} MB")
        _promise(live["version"] == 1, f"the deploy moved digits@live to version {live['version']}")
        _promise(live["memory_mb"] == NEW_MEMORY_MB, "the live version is not on the new configuration")
        _promise(accuracy(url, images) == recorded[1], "digits:1 answers differently after the deploy")
    with _step(7, "sum up"):
        summary = Summary(
            requests=len(load.answers),
            failed=sum(answer.status != 200 for answer in load.answers),
            accuracy_http=over_http,
            accuracy_recorded=recorded[1],
            rollback_visible_ms=round(visible_ms, 1),
            rollback_command_ms=round((commands[-1].end - commands[-1].start) * 1000, 1),
            rollback_took_ms=took_ms,
            live_after_deploy=f"digits:{live['version']}",
            memory_mb_after_deploy=live["memory_mb"],
            seconds_total=round(time.monotonic() - began, 1),
        )
        (OUT / "summary.json").write_text(json.dumps(asdict(summary), indent=2) + "\n")
        _print_summary(summary)
    _promise(summary.failed == 0, f"{summary.failed} of {summary.requests} requests failed")


def _publish(version: int, recorded: float) -> None:
    path = (DIGITS / f"v{version}" / "model.onnx").relative_to(ROOT)
    _yard("publish", "digits", str(path), "--metric", f"accuracy={recorded:.4f}")


def _under_load(url: str, images: Images) -> tuple[Load, list[Command], float]:
    """Release version 2 and roll back while clients keep asking; the last figure is the rollback's own."""
    commands: list[Command] = []
    took_ms = 0.0
    with Load(url, images) as load:
        time.sleep(1.5)
        for words in (
            ("release", "digits:2", "--reason", "better"),
            ("rollback", "digits", "--reason", "a drill"),
        ):
            start = time.monotonic()
            took_ms = float(_yard_moving(*words)["took_ms"])
            commands.append(Command(f"yard {words[0]} {words[1]}", start, time.monotonic()))
            time.sleep(2.0)
    return load, commands, took_ms


def _visible_ms(load: Load, rollback: Command) -> float:
    """From the rollback's return to the last answer of version 2; 0 if that came before the return."""
    last = max(answer.at for answer in load.answers if answer.version == "2")
    return max(0.0, (last - rollback.end) * 1000)


def _tell(load: Load, rollback: Command, took_ms: float, visible_ms: float) -> None:
    zero = load.answers[0].at
    for version in ("1", "2"):
        times = sorted(answer.at - zero for answer in load.answers if answer.version == version)
        if version == "1":
            back = [at for at in times if at > rollback.start - zero]
            console.print(
                f"  digits:1 answered {len(times)} requests, again from {back[0]:.2f} s on" if back else ""
            )
        else:
            console.print(
                f"  digits:2 answered {len(times)} requests from {times[0]:.2f} s to {times[-1]:.2f} s"
            )
    failed = sum(answer.status != 200 for answer in load.answers)
    whole_ms = (rollback.end - rollback.start) * 1000
    console.print(f"  requests sent {len(load.answers)}, failed {failed}")
    console.print(
        f"  the rollback took {took_ms:.0f} ms ({whole_ms:.0f} ms with the start of the command); "
        f"digits:2 was last seen {visible_ms:.0f} ms after it returned"
    )


def _changed_catalog() -> Path:
    """The same catalog with another memory size, beside the original, which stays as it is."""
    text = (ROOT / "models.toml").read_text()
    changed = re.sub(
        r"(\[models\.digits\.stages\.local\][^\[]*?memory_mb = )\d+", rf"\g<1>{NEW_MEMORY_MB}", text
    )
    _promise(changed != text, "models.toml has no memory_mb for digits in the local stage")
    path = OUT / "models.toml"
    path.write_text(changed)
    return path


def _images() -> Images:
    with np.load(DIGITS / "held_out.npz") as file:
        pixels, labels = file["image"], file["label"]
    return Images(pixels.reshape(len(labels), 64).astype(np.float32), labels.astype(np.int64))


def _print_summary(summary: Summary) -> None:
    table = Table(title="what was measured", title_justify="left", show_header=False)
    rows = {
        "requests under load": f"{summary.requests}",
        "failed": f"{summary.failed}",
        "accuracy over HTTP / recorded": f"{summary.accuracy_http:.4f} / {summary.accuracy_recorded:.4f}",
        "rollback": f"{summary.rollback_took_ms:.0f} ms",
        "the same with the command's start": f"{summary.rollback_command_ms:.0f} ms",
        "old version last seen after it": f"{summary.rollback_visible_ms:.0f} ms",
        "live after the next cdk deploy": f"{summary.live_after_deploy}, {summary.memory_mb_after_deploy} MB",
        "seconds in all": f"{summary.seconds_total:.0f}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)
    console.print("pictures and numbers: demo-out/timeline.png, demo-out/summary.json")
    console.print("next: `make demo KEEP=1` and call it yourself, or read docs/architecture/00-overview.md")


def _how_to_go_on() -> None:
    facts = _yard_json("local", "status")
    console.print(f"left running: API {facts['api_url']}, AWS endpoint {facts['endpoint_url']}")
    home = HOME.relative_to(ROOT)
    console.print(f"  export SWITCHYARD_HOME={home}   # then, from here:")
    console.print("  .venv/bin/yard status · .venv/bin/yard invoke digits · .venv/bin/yard local down")


@contextmanager
def _step(number: int, title: str) -> Iterator[None]:
    console.print(f"\n[bold]{number}/{STEPS} {escape(title)}[/]")
    began = time.monotonic()
    yield
    console.print(f"  done in {time.monotonic() - began:.1f} s", style="dim")


def _progress(line: str) -> None:
    console.print(f"  {escape(line)}", style="dim")


def _yard(*words: str) -> None:
    console.print(f"  [bold]$ yard {escape(shlex.join(words))}[/]")
    _show([sys.executable, "-m", "yard.main", *words])


def _yard_moving(*words: str) -> Any:
    """Run a command that moves an alias, show what it says to people, and return what it measured."""
    console.print(f"  [bold]$ yard {escape(shlex.join(words))}[/]")
    command = [sys.executable, "-m", "yard.main", *words, "--json"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    for line in done.stderr.splitlines():
        _progress(line)
    if done.returncode != 0:
        raise BrokenPromiseError(f"`yard {shlex.join(words)}` ended with exit code {done.returncode}")
    return json.loads(done.stdout)


def _yard_json(*words: str) -> Any:
    command = [sys.executable, "-m", "yard.main", *words, "--json"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def _show(command: list[str]) -> None:
    """Run a command and show what it says, indented, as it says it."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            _progress(line.rstrip())
    except BaseException:
        process.terminate()
        process.wait(timeout=10)
        raise
    if process.wait() != 0:
        raise BrokenPromiseError(f"`{shlex.join(command[2:])}` ended with exit code {process.returncode}")


def _promise(kept: bool, otherwise: str) -> None:
    if not kept:
        raise BrokenPromiseError(otherwise)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    sys.exit(main())
