"""Steps that cost money by the hour, and a teardown that always runs.

A step may fail, time may run out, somebody may press Ctrl-C or end the terminal: the steps end, and then the
teardown runs, again and again until nothing is left or it has been tried often enough. While it runs, nothing
stops it but SIGKILL, and for that there is ``python -m benchmarks.trial --teardown STAGE``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

TEARDOWNS = 3
"""How often the teardown is tried while it leaves something."""

_GRACE_S = 20.0
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(Exception):
    """Time has run out, or somebody ended the run."""


@dataclass
class Outcome:
    """What failed, and what the teardown could not take away; nothing of both is a good run."""

    failed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.failed and not self.left


def run(
    steps: Sequence[tuple[str, Callable[[], None]]],
    teardown: Callable[[], list[str]],
    *,
    limit_s: float,
    say: Callable[[str], None],
) -> Outcome:
    """Run ``steps`` in order until one fails or ``limit_s`` has passed, then ``teardown`` in any case.

    ``teardown`` names what is left. Has to be called in the main thread, where signals arrive.
    """
    outcome = Outcome()
    try:
        with _stopped_after(limit_s):
            for name, step in steps:
                say(name)
                step()
    except BaseException as error:  # noqa: BLE001  (what was begun costs money until it is gone)
        outcome.failed.append(f"{name}: {error or type(error).__name__}")
    with _unstoppable(say):
        for attempt in range(1, TEARDOWNS + 1):
            say(f"taking everything down ({attempt} of {TEARDOWNS})")
            try:
                outcome.left = teardown()
            except Exception as error:  # noqa: BLE001  (it is tried again, and said)
                outcome.left = [f"the teardown itself failed: {error}"]
            if not outcome.left:
                break
    return outcome


class _Starting:
    """While a program is being started, a signal waits: one that nobody holds yet could not be ended."""

    def __init__(self) -> None:
        self._depth = 0
        self._waiting: StoppedError | None = None

    def stop(self, error: StoppedError) -> None:
        """Raise, now or when the program is held."""
        if self._depth:
            self._waiting = error
            return
        raise error

    def program(self, words: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        self._depth += 1
        try:
            return subprocess.Popen(words, **how)
        finally:
            self._depth -= 1

    def check(self) -> None:
        """Raise what waited."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            raise waiting


_starting = _Starting()


def call(words: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> int:
    """Run a program in a group of its own, which ends with us; return its exit code."""
    process = _starting.program(words, cwd=cwd, env=dict(environment), start_new_session=True)
    try:
        _starting.check()
        return process.wait()
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
            return


@contextlib.contextmanager
def _stopped_after(limit_s: float) -> Iterator[None]:
    """Let signals and the clock end what runs with ``StoppedError``."""

    def stopped(number: int, _: FrameType | None) -> None:
        if number == signal.SIGALRM:
            why = f"stopped after {limit_s:g} s, which is all that was allowed"
        else:
            why = f"stopped by {signal.Signals(number).name}"
        _starting.stop(StoppedError(why))

    before = {number: signal.signal(number, stopped) for number in (*_STOPS, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _unstoppable(say: Callable[[str], None]) -> Iterator[None]:
    """Answer signals with a sentence. Whoever reads it knows that money is at stake."""
    assert threading.current_thread() is threading.main_thread()

    def patience(_: int, __: FrameType | None) -> None:
        say("it is being taken down, and costs money until that is done; wait")

    before = {number: signal.signal(number, patience) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
