"""A deploy, a killed command and steps at random, twice over, on a real deploy and half of it on bad days.

The small sister of ``tests/unit/releases/test_state_machine.py``: the same laws, held by AWS's own interfaces.
A killed command's lease blocks the next one until it expires, so this stage has a short one and the story
waits it out. ``SWITCHYARD_SEED`` chooses another story, ``SWITCHYARD_STEPS`` a longer one.

Then the soak: the same steps and worse ones while callers ask all the time. ``SWITCHYARD_SOAK_S`` says for how
many seconds, and ``make soak``, an hour of it, writes down what was tried and what was lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from benchmarks.crowd import Crowd
from tests.conftest import Deployed
from tests.end_to_end import story as stories
from tests.end_to_end.digits import DIGITS, telling
from tests.end_to_end.soak import COSTS_ANSWERS, JumpingClock, Soak
from tests.end_to_end.story import Story
from yard import deployment

pytestmark = pytest.mark.cloud

SEED = int(os.environ.get("SWITCHYARD_SEED", "4"))
STEPS = int(os.environ.get("SWITCHYARD_STEPS", "6"))
"""Steps at random, besides a kill after each deploy."""

DEPLOYS_MB = (640, 768)
"""The memory that each deploy of the story declares."""

LEASE_S = stories.LEASE_S

SOAK_S = float(os.environ.get("SWITCHYARD_SOAK_S", "0"))
WRITE = bool(os.environ.get("SWITCHYARD_SOAK_WRITE"))
"""Every fault is tried once however short the time is; with ``WRITE`` what came of it goes into the docs."""

VERSIONS = {"1": "v1", "2": "v2", "3": "v2"}


@pytest.fixture(scope="module")
def story(deployed: Deployed) -> Iterator[Story]:
    """A stage with three published versions of which none is in force."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in deployed.environment().items():
            if name.startswith(("AWS_", "SWITCHYARD_")):
                patch.setenv(name, value)
        patch.setattr("releases.ports.SystemClock", JumpingClock)
        stage = deployment.find("local").releases(lambda _: None)
        for version in ("v1", "v2"):
            deployed.yard_json("publish", "digits", str(DIGITS / version / "model.onnx"))
        deployed.yard_json("publish", "digits", str(DIGITS / "v2" / "model.onnx"), "--new")
        made = Story(deployed, stage, SEED)
        yield made
        made.day()


def test_the_laws_hold_after_every_step(story: Story) -> None:
    try:
        for memory_mb in DEPLOYS_MB:
            story.deploy(memory_mb)
            story.take(story.kill)
            for _ in range(STEPS // len(DEPLOYS_MB)):
                story.next()
    except BaseException as error:
        error.add_note(f"seed {SEED}, after {', '.join(story.told)}")
        raise


def test_under_every_fault_no_answer_is_wrong_and_no_line_is_lost(
    story: Story, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Law 2 and law 3, while callers ask all the time; and the environments grow no larger."""
    if not story.steps:
        story.release()
    with Crowd(story.url, telling(VERSIONS), callers=2, pause_s=0.02) as crowd:
        soak = Soak(story, crowd, tmp_path_factory)
        began = time.monotonic()
        try:
            while time.monotonic() < began + SOAK_S or not soak.has_tried_everything:
                soak.take()
        except BaseException as error:
            error.add_note(f"seed {SEED}, after {', '.join(story.told)}")
            raise
    found = soak.found(seconds=round(time.monotonic() - began), seed=SEED)
    assert (found.wrong, found.lines_lost) == (0, 0), found.section()
    assert {each.what for each in found.tried if each.unanswered} <= set(COSTS_ANSWERS), found.section()
    assert found.memory_last_mb < found.memory_first_mb * 1.2 + 10
    if WRITE:
        found.write()
