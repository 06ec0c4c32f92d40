"""The pipeline in one process: the graph of ``model_store.contract.training``, one step after another.

The candidate is the trained model, or the smallest of its optimised forms that passes their gate. It is
measured on the same test part, in the same run, as the version that is live; unless it is better by more
than the pipeline says, nothing is published and nothing is released. On AWS a state machine walks the same
graph (``infra.constructs.pipeline_machine``), and each step is the same code in a job (``training.job``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model_store.contract.names import ByVersion
from model_store.contract.training import OPERATIONS, STEPS
from model_store.ports import ObjectStore
from training.errors import GateError
from training.fit import Epoch
from training.optimise.compare import Row
from training.report_page import REPORT
from training.steps import Facts, Shift, Work, do, read_pipeline

RUN = "run.json"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run came to: the candidate beside the live version (none before the first release)."""

    candidate: Row
    live: Row | None
    version: str
    released: bool
    report: Path


Look = Callable[[], ByVersion | None]
Release = Callable[[ByVersion, ByVersion | None, Shift], None]
"""Releases a version that was compared with another one (none: nothing was live), by a shift."""


def run(
    path: Path,
    folder: Path,
    keep: Path,
    *,
    store: ObjectStore,
    look: Look,
    created_by: str,
    release: Release | None,
    sign: Callable[[ByVersion], object] | None = None,
    say: Callable[[str], None] = lambda _: None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Ran:
    """Run the pipeline at ``path``. ``look`` says what the alias serves; ``release`` releases a version.

    A run that was killed goes on from its checkpoint; one that is over publishes the same version again,
    which is the version that it is. Raises ``GateError`` when the candidate does not beat what is live: then
    nothing was published. ``run.json`` in ``folder`` says how far it came.
    """
    shift = read_pipeline(path).shift
    facts: dict[str, Facts] = {}
    live: ByVersion | None = None
    released = False
    for step in STEPS:
        if step.by != OPERATIONS:
            say(step.does)
            work = Work(
                path,
                done=folder,
                out=folder / step.name,
                keep=keep,
                store=store if step.store else None,
                live=live,
                created_by=created_by,
                sign=sign,
                say=say,
                on_epoch=on_epoch,
            )
            facts[step.name] = do(step.name, work)
        elif step.name == "look":
            live = look()
            facts[step.name] = {"live": str(live) if live else None}
        elif release is not None:
            ref = _published(facts)
            say(f"releasing {ref}")
            release(ref, live, shift)
            released = True
            facts[step.name] = {"version": str(ref)}
        (folder / RUN).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
        if step.decides and not facts[step.name]["go_on"]:
            raise GateError(
                str(facts[step.name]["said"]),
                hint="Train on more or newer data, or lower `gate.least_gain`; what is live stays.",
            )
    found = facts["evaluate"]
    return Ran(
        Row(**found["candidate"]),
        Row(**found["live"]) if found["live"] else None,
        str(_published(facts)),
        released,
        folder / "evaluate" / REPORT,
    )


def _published(facts: dict[str, Facts]) -> ByVersion:
    return ByVersion(facts["data"]["model"], facts["publish"]["version"])
