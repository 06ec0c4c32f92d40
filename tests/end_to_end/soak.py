"""Faults at random, each kind once before any comes again, while callers ask and compare every answer.

Faults of processes are real: an environment is killed by a signal, and a full disk is a limit of the kernel's
on what a process may write (``RLIMIT_FSIZE``: every write to a file fails, and none to a pipe). Faults of AWS
are the embedded cloud's bad days. The clock that jumps is that of the release room; AWS's own do not.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.crowd import Crowd
from benchmarks.soak import Soaked, Tried
from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByVersion
from releases.controller import Controller, Moved
from releases.ledger import standing
from releases.stage import Stage
from tests.conftest import ROOT
from tests.end_to_end.digits import DIGITS
from tests.end_to_end.story import BAD, FUNCTION, Story
from yard import deployment

HOUR_S = 3600.0
PATIENCE_S = 60.0

COSTS_ANSWERS = ("every environment killed", "half of all calls refused for want of an environment")
"""What callers notice, since it takes away what would answer them. Nothing else may cost an answer."""


class JumpingClock:
    """The system's clock, off by some seconds: all clocks by ``jump``, one by what ``off`` was at its birth."""

    jump = 0.0
    off = 0.0

    def __init__(self) -> None:
        self._off = JumpingClock.off

    def now(self) -> float:
        """Seconds since 1970, as somebody believes."""
        return time.time() + JumpingClock.jump + self._off

    def sleep(self, seconds: float) -> None:
        """Wait, really."""
        time.sleep(seconds)


class Soak:
    """Tries faults, and counts what came of each."""

    def __init__(self, story: Story, crowd: Crowd, folders: pytest.TempPathFactory) -> None:
        self._story = story
        self._crowd = crowd
        self._folders = folders
        self._tried: dict[str, Tried] = {}
        self._memory: list[float] = []
        self._memory_mb = 1024
        self._deck: list[str] = []
        self._acknowledged: dict[int, int] = {}
        self._faults: dict[str, Callable[[], None]] = {
            "a release": story.release,
            "a rollback": self._roll_back,
            "a shift, stopped half way": story.shift,
            "a shadow": story.shadow,
            "an alias moved by hand": story.move_by_hand,
            "`yard release` killed, and run again": story.kill,
            "a deploy that changes the memory": self._deploy,
            "Lambda and S3 throttle, fail and lose answers": self._fail_calls,
            "two releases at once": self._race,
            "two releases at once, one by a clock an hour ahead": self._race_in_other_times,
            "the clock jumps by an hour, forth and back": self._jump,
            COSTS_ANSWERS[0]: self._kill_environments,
            COSTS_ANSWERS[1]: self._throttle,
            "no environment can write to its disk": self._fill_disks,
            "`yard pull` on a full disk, and again": self._pull_on_a_full_disk,
        }

    @property
    def has_tried_everything(self) -> bool:
        """Whether every kind has had its turn."""
        return len(self._tried) == len(self._faults) and not self._deck

    def take(self) -> None:
        """One kind of fault, the laws after it, and what became of the requests that came meanwhile."""
        if not self._deck:
            self._deck = list(self._faults)
            self._story.chance.shuffle(self._deck)
        what = self._deck.pop()
        tried = self._tried.setdefault(what, Tried(what))
        lines = len(self._story.lines)
        self._story.told.append(what)
        self._crowd.heard.clear()
        self._faults[what]()
        self._story.day()
        # Who asked during the fault may hear afterwards; that belongs to it.
        self._crowd.wait_for(len(self._crowd.heard) + 2 * self._crowd.callers)
        heard = list(self._crowd.heard)
        tried.times += 1
        tried.requests += len(heard)
        tried.wrong += sum(one.status == 200 and not one.true for one in heard)
        tried.unanswered += sum(one.status != 200 for one in heard)
        tried.lines_lost += self._lines_lost()
        self._story.check()
        tried.moves += len(self._story.lines) - lines
        self._acknowledged |= {line.line: line.version for line in self._story.lines[lines:]}
        if sizes := [_memory_mb(pid) for pid in self._environments()]:
            self._memory.append(statistics.median(sizes))

    def found(self, *, seconds: int, seed: int) -> Soaked:
        """The record of the run."""
        third = max(len(self._memory) // 3, 1)
        first, last = self._memory[:third], self._memory[-third:]
        tried = [self._tried[what] for what in self._faults if what in self._tried]
        return Soaked(seconds, seed, statistics.median(first), statistics.median(last), tried)

    def _lines_lost(self) -> int:
        """Lines that were acknowledged before this step and are not what they were."""
        there = {line.line: line.version for line in self._story.controller.history("digits")}
        return sum(there.get(line) != version for line, version in self._acknowledged.items())

    def _roll_back(self) -> None:
        if len(self._story.steps) < 2:
            self._release_another()
        self._story.roll_back()

    def _release_another(self) -> None:
        version = self._story.steps[-1] % 3 + 1
        self._story.controller.release(ByVersion("digits", version))
        self._follow_the_ledger()

    def _deploy(self) -> None:
        self._memory_mb = 768 if self._memory_mb == 1024 else 1024
        self._story.deploy(self._memory_mb)

    def _fail_calls(self) -> None:
        self._story.day(**BAD)
        self._story.release()

    def _race(self) -> None:
        self._release_at_once(0.0)

    def _race_in_other_times(self) -> None:
        """Who is an hour ahead takes any lease for one that has expired."""
        self._release_at_once(HOUR_S)

    def _release_at_once(self, ahead: float) -> None:
        """Whoever loses is told so; what is in force afterwards is what the ledger says."""
        said: list[Moved | SwitchyardError] = []

        def release(stage: Stage, version: int) -> None:
            try:
                said.append(Controller(stage).release(ByVersion("digits", version)))
            except SwitchyardError as error:
                said.append(error)

        versions = self._story.chance.sample((1, 2, 3), 2)
        stages = [_stage(off) for off in (0.0, ahead)]
        pairs = zip(stages, versions, strict=True)
        threads = [threading.Thread(target=release, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        moved = [each.ref.version for each in said if isinstance(each, Moved)]
        self._follow_the_ledger()
        assert moved, said
        assert self._story.steps[-1] in moved, said

    def _jump(self) -> None:
        """Forward while a release runs, and back before it is run again. Who gives up has changed nothing."""
        version = self._story.chance.randint(1, 3)
        timer = threading.Timer(0.2, setattr, (JumpingClock, "jump", HOUR_S))
        timer.start()
        try:
            with contextlib.suppress(SwitchyardError):
                self._story.controller.release(ByVersion("digits", version))
            timer.join()
            JumpingClock.jump = -HOUR_S
            self._story.controller.release(ByVersion("digits", version))
        finally:
            timer.cancel()
            JumpingClock.jump = 0.0
        self._follow_the_ledger()
        assert self._story.steps[-1] == version

    def _kill_environments(self) -> None:
        for pid in self._environments():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._wait_for_an_answer()

    def _throttle(self) -> None:
        """The way back is a call to another interface, and needs no environment."""
        if len(self._story.steps) < 2:
            self._release_another()
        self._story.day(invoke_throttle_rate=0.5)
        self._crowd.wait_for(len(self._crowd.heard) + 10)
        self._story.roll_back()

    def _fill_disks(self) -> None:
        """Those that start afterwards have room again."""
        for pid in self._environments():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        self._crowd.wait_for(len(self._crowd.heard) + 10)
        self._release_another()

    def _pull_on_a_full_disk(self) -> None:
        """All of the files, or none."""
        target = self._folders.mktemp("pull") / "digits"
        words = ("pull", "digits:1", str(target), "--no-cache")
        yard = shlex.join([sys.executable, "-m", "yard.main", *words])
        full = subprocess.run(
            ["/bin/sh", "-c", f"ulimit -f 0; exec {yard}"],
            cwd=ROOT,
            env=self._story.deployed.environment(),
            capture_output=True,
            check=False,
        )
        assert full.returncode != 0
        assert not target.exists()
        done = self._story.deployed.yard(*words)
        assert done.returncode == 0, done.stderr.decode()
        assert (target / "model.onnx").read_bytes() == (DIGITS / "v1" / "model.onnx").read_bytes()

    def _follow_the_ledger(self) -> None:
        """Where it is open what happened, the ledger says what is in force; callers and alias must agree."""
        lines = self._story.controller.history("digits")
        self._story.steps = [step.version for step in standing(lines)]

    def _wait_for_an_answer(self) -> None:
        end = time.monotonic() + PATIENCE_S
        seen = len(self._crowd.heard)
        while not any(one.status == 200 for one in self._crowd.heard[seen:]):
            assert time.monotonic() < end, "nobody was answered any more"
            time.sleep(0.05)

    def _environments(self) -> list[int]:
        """The processes that answer for the model at the moment, of this embedded cloud."""
        named = f"AWS_LAMBDA_FUNCTION_NAME={FUNCTION}\0".encode()
        here = f"AWS_ENDPOINT_URL=http://127.0.0.1:{self._story.deployed.cloud.port}\0".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environment = (process / "environ").read_bytes()
                if named in environment and here in environment:
                    found.append(int(process.name))
        return found


def _stage(off: float) -> Stage:
    """The release room of another person, whose clock is off by so much."""
    JumpingClock.off = off
    try:
        return deployment.find("local").releases(lambda _: None)
    finally:
        JumpingClock.off = 0.0


def _memory_mb(pid: int) -> float:
    """What a process holds in memory; 0 for one that has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / 1e6
