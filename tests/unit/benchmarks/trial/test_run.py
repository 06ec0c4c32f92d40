"""What costs money by the hour is taken down whatever happens: a failure, Ctrl-C, a signal, the time."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.trial.run import TEARDOWNS, StoppedError, call, run
from tests.conftest import ROOT

PROGRAM = """
import sys, time
from pathlib import Path
from benchmarks.trial.run import call, run

folder = Path(sys.argv[1])

def deploy():
    (folder / "deployed").touch()
    call([sys.executable, "-c", "import time; time.sleep(600)"], cwd=folder, environment={})

def teardown():
    (folder / "going").touch()
    end = time.monotonic() + float(sys.argv[3])
    while time.monotonic() < end and not (folder / "insisted").exists():
        time.sleep(0.02)
    (folder / "deployed").unlink()
    (folder / "gone").touch()
    return []

outcome = run([("deploying", deploy), ("testing", lambda: (folder / "tested").touch())], teardown,
              limit_s=float(sys.argv[2]), say=lambda text: print(text, flush=True))
print(outcome.failed)
sys.exit(0 if outcome.good else 1)
"""


def started(folder: Path, *, limit_s: float = 600, teardown_s: float = 0) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", PROGRAM, str(folder), str(limit_s), str(teardown_s)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} never came"
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_steps_and_not_the_teardown(tmp_path: Path, name: str) -> None:
    process = started(tmp_path)
    wait_for(tmp_path / "deployed")
    process.send_signal(signal.Signals[name])
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"deploying: stopped by {name}" in said
    assert (tmp_path / "gone").exists()
    assert not (tmp_path / "tested").exists()


def test_a_second_ctrl_c_does_not_stop_the_teardown(tmp_path: Path) -> None:
    process = started(tmp_path, teardown_s=60)
    wait_for(tmp_path / "deployed")
    process.send_signal(signal.SIGINT)
    wait_for(tmp_path / "going")
    process.send_signal(signal.SIGINT)
    (tmp_path / "insisted").touch()
    said, _ = process.communicate(timeout=60)
    assert "costs money until that is done; wait" in said
    assert (tmp_path / "gone").exists()


def test_when_the_time_is_over_it_is_taken_down(tmp_path: Path) -> None:
    process = started(tmp_path, limit_s=0.5)
    said, _ = process.communicate(timeout=60)
    assert "stopped after 0.5 s, which is all that was allowed" in said
    assert (tmp_path / "gone").exists()


def test_a_step_that_fails_is_named_and_the_next_ones_do_not_run() -> None:
    ran: list[str] = []

    def fail() -> None:
        raise RuntimeError("tests failed")

    def teardown() -> list[str]:
        ran.append("teardown")
        return []

    steps = [("testing", fail), ("measuring", lambda: ran.append("measuring"))]
    outcome = run(steps, teardown, limit_s=60, say=lambda _: None)
    assert outcome.failed == ["testing: tests failed"]
    assert (ran, outcome.left, outcome.good) == (["teardown"], [], False)


def test_a_teardown_that_leaves_something_is_tried_again_and_what_stays_is_named() -> None:
    tries: list[int] = []

    def teardown() -> list[str]:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("throttled")
        return ["bucket b"]

    outcome = run([], teardown, limit_s=60, say=lambda _: None)
    assert (len(tries), outcome.left, outcome.good) == (TEARDOWNS, ["bucket b"], False)


def test_afterwards_signals_mean_what_they_meant() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert run([], list, limit_s=60, say=lambda _: None).good
    assert signal.getsignal(signal.SIGINT) is before


def test_a_program_ends_with_who_called_it(tmp_path: Path) -> None:
    """Also what it started: the CDK starts an app."""
    script = f"sleep 600 & echo $! > {tmp_path}/pid; wait"
    outcome = run(
        [("waiting", lambda: assert_never(call(["/bin/sh", "-c", script], cwd=tmp_path, environment={})))],
        list,
        limit_s=1.0,
        say=lambda _: None,
    )
    assert StoppedError.__name__ not in outcome.failed
    pid = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and " Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


def assert_never(code: int) -> None:
    raise AssertionError(f"it came back with {code}")
