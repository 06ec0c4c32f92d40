"""``yard proxy`` as a process, for the tests of what goes through it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import ROOT, Deployed


@contextmanager
def yard_proxy(
    deployed: Deployed, besides: dict[str, str] | None = None
) -> Iterator[tuple[dict[str, str], list[str]]]:
    """``yard proxy`` until Ctrl-C: what it printed, and afterwards its log."""
    command = [sys.executable, "-m", "yard.main", "proxy", "--json"]
    log: list[str] = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=deployed.environment() | (besides or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        said = b""
        while not said.endswith(b"}\n"):
            line = running.stdout.readline()
            assert line, running.stderr.read().decode()
            said += line
        try:
            yield json.loads(said), log
        except BaseException:
            running.kill()  # else leaving would wait for it for ever
            raise
        running.send_signal(signal.SIGINT)
        try:
            _, said = running.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
        log += said.decode().splitlines()
        assert running.returncode == 0
