"""What is printed, and where: data on stdout, people on stderr, and never colour alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from releases.plans import Plan

people = Console(stderr=True, highlight=False, soft_wrap=True)
data = Console(highlight=False, soft_wrap=True)


def print_json(body: Any) -> None:
    """Write one JSON document to stdout, exactly, whatever the terminal is."""
    sys.stdout.write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table for people; cells are text, never markup."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(escape(str(cell)) for cell in row))
    return made


def plan(made: Plan, *, as_json: bool) -> None:
    """What a command would do, for people or as one JSON document."""
    for warning in made.warnings:
        warn(warning)
    if as_json:
        return print_json(made.as_json())
    title = f"{made.command} of {made.model}@{made.alias}, which serves {made.serves or 'nothing'}"
    rows = [(number, action.do, action.what) for number, action in enumerate(made.actions, 1)]
    if rows:
        data.print(table(f"{title}; then {made.then or 'nothing'}", ["", "do", "what"], rows))
    else:
        data.print(f"{escape(title)}: nothing would be done")
    return people.print("this was only the plan; nothing was changed", style="dim")


def say(text: str) -> None:
    """One line about what is going on."""
    people.print(escape(text))


def warn(text: str) -> None:
    """Something to know that does not stop the command."""
    people.print(f"[yellow]warning:[/] {escape(text)}")


def fail(message: str, *, hint: str | None = None, evidence: Sequence[str] = ()) -> None:
    """An error, what the function itself logged about it, and the way out."""
    for line in evidence:
        people.print(f"  log | {escape(line)}", style="dim")
    people.print(f"[bold red]error:[/] {escape(message)}")
    if hint:
        people.print(f"[bold]hint:[/] {escape(hint)}")


def done(text: str) -> None:
    """What came of it, in one line."""
    people.print(f"[green]✓[/] {escape(text)}")


@contextmanager
def working(text: str) -> Iterator[Steps]:
    """Show that something long runs: a spinner in a terminal, plain lines anywhere else."""
    steps = Steps(text)
    if people.is_terminal:
        with people.status(escape(text)) as status:
            steps.show = lambda sentence: status.update(escape(sentence))
            yield steps
    else:
        yield steps


@contextmanager
def transferring(text: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show bytes on their way: a bar with speed and time left in a terminal, a line per step elsewhere.

    Yields what to call with the step, the bytes done and the bytes in all.
    """
    if not people.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=people, transient=True) as progress:
        yield _Bar(progress, text)


class _Lines:
    """Prints each step once, with how far things are when it begins."""

    def __init__(self) -> None:
        self._step = ""

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self._step:
            self._step = step
            say(f"{step} ({done / total:.0%})" if total else step)


class _Bar:
    """One bar; a step that begins again at zero (hashing, then storing) gets a new one."""

    def __init__(self, progress: Progress, text: str) -> None:
        self._progress = progress
        self._task = progress.add_task(escape(text), total=None)
        self._done = 0

    def __call__(self, step: str, done: int, total: int) -> None:
        if done < self._done:
            # Speed and time left are those of this pass, not of the one before.
            self._progress.reset(self._task)
        self._done = done
        self._progress.update(self._task, description=escape(step), completed=done, total=total)


class Steps:
    """Hears progress, one sentence at a time."""

    def __init__(self, text: str) -> None:
        self.show: Callable[[str], None] = say
        self.text = text

    def __call__(self, step: str) -> None:
        self.show(step)
