"""``yard.output``: bytes on their way, for people."""

import io

import pytest
from rich.console import Console

from yard import output


def screen(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> io.StringIO:
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=120, highlight=False)
    monkeypatch.setattr(output, "people", console)
    return written


def test_a_log_gets_one_line_per_step(monkeypatch: pytest.MonkeyPatch) -> None:
    written = screen(monkeypatch, terminal=False)
    with output.transferring("publishing digits") as progress:
        for done in range(0, 101, 10):
            progress("hashing a", done, 100)
        progress("storing [a]", 0, 100)
        progress("storing [a]", 50, 100)
        progress("claiming", 0, 0)
    assert written.getvalue() == "hashing a (0%)\nstoring [a] (0%)\nclaiming\n"


def test_a_terminal_gets_a_bar_with_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    written = screen(monkeypatch, terminal=True)
    with output.transferring("publishing digits") as progress:
        for done in range(0, 2_000_000_001, 200_000_000):
            progress("hashing a", done, 2_000_000_000)
        for done in range(0, 1_000_000_001, 200_000_000):
            progress("storing a", done, 2_000_000_000)
    shown = written.getvalue()
    assert "storing a" in shown
    assert "1.0/2.0 GB" in shown
