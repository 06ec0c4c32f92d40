"""A fit as people see it: its curves in a terminal while it runs, one line an epoch anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from yard import output

if TYPE_CHECKING:
    from training.fit import Epoch

_BLOCKS = "▁▂▃▄▅▆▇█"


@contextmanager
def needed() -> Iterator[None]:
    """Say what to install when a package of the `train` extra is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        from training.errors import MissingPackageError

        raise MissingPackageError(
            f"training needs the package `{error.name}`, which is not installed",
            hint="Run `pip install -r requirements-train.txt -c constraints.txt`.",
        ) from error


@contextmanager
def curves(text: str) -> Iterator[Callable[[Epoch], None]]:
    """Yield what to call after each epoch."""
    if not output.people.is_terminal:
        yield _line
        return
    seen: list[Epoch] = []
    with Live(console=output.people, transient=True, refresh_per_second=4) as live:

        def shown(epoch: Epoch) -> None:
            seen.append(epoch)
            live.update(_picture(text, seen))

        yield shown


def spark(values: Sequence[float], *, width: int = 40) -> str:
    """The last ``width`` values as blocks, the lowest of them the lowest block."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    return "".join(_BLOCKS[round((value - low) / span * (len(_BLOCKS) - 1))] for value in shown)


def _line(epoch: Epoch) -> None:
    output.say(
        f"epoch {epoch.number}: train {epoch.train_loss:.4f}, validation {epoch.validation_loss:.4f}, "
        f"score {epoch.score:.4f}"
    )


def _picture(text: str, seen: Sequence[Epoch]) -> Table:
    made = Table(title=escape(f"{text}, epoch {seen[-1].number}"), title_justify="left", show_header=False)
    for name, values in (
        ("train loss", [epoch.train_loss for epoch in seen]),
        ("validation loss", [epoch.validation_loss for epoch in seen]),
        ("score", [epoch.score for epoch in seen]),
    ):
        made.add_row(name, spark(values), f"{values[-1]:.4f}")
    return made
