"""The graph of a training pipeline, said once: what follows what, what each is given, who carries it out.

Two runners read it. ``training.pipeline`` walks it in one process; ``infra.constructs.pipeline_machine``
makes a Step Functions definition of it, in which a step is a SageMaker job or a call of the operations
function. Each step leaves a folder of its own, with ``facts.json`` in it, and is given the folders of the
steps that it names, so that it is the same code wherever the one before it ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FACTS = "facts.json"
"""What a step came to, as JSON; what a choice or a later step goes by."""

By = Literal["processing", "training", "operations"]
"""On AWS: a SageMaker processing job, a SageMaker training job, a call of the operations function."""

PROCESSING: By = "processing"
TRAINING: By = "training"
OPERATIONS: By = "operations"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``given`` are the steps whose folders it reads, ``store`` what it does with the model store.

    The graph ends at a step that ``decides`` when its facts say ``"go_on": false``.
    """

    name: str
    does: str
    by: By
    given: tuple[str, ...] = ()
    store: Literal["", "reads", "writes"] = ""
    decides: bool = False


STEPS = (
    Step("data", "Reads the source, cleans it, checks and splits it", PROCESSING),
    Step("train", "Fits the recipe and exports it", TRAINING, ("data",)),
    Step(
        "optimise", "Makes it smaller and keeps the smallest form that passes", PROCESSING, ("data", "train")
    ),
    Step("look", "Asks which version is live", OPERATIONS),
    Step(
        "evaluate",
        "Measures it and the live version on the same test part",
        PROCESSING,
        ("data", "optimise"),
        store="reads",
        decides=True,
    ),
    Step("publish", "Publishes it as a version", PROCESSING, ("optimise", "evaluate"), store="writes"),
    Step("release", "Releases it by a shift, if what is live is still what it was compared with", OPERATIONS),
)
"""In their order. Every step may be repeated: it reads what is finished and writes its folder anew."""


def step(name: str) -> Step:
    """The step called ``name``."""
    return next(found for found in STEPS if found.name == name)
