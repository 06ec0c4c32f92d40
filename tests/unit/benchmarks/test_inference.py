"""``benchmarks.inference``: what it measures works, and it judges by the issue's bars."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.inference import BARE, LAYER, OURS, RAW, TUTORIAL, Bar, Place, measure
from benchmarks.models import SUBJECTS
from layers.build import build
from layers.targets import local


@pytest.fixture(autouse=True, scope="module")
def _layer() -> None:
    build(local(), LAYER)


@pytest.mark.parametrize(
    ("contender", "event"),
    [(BARE, "json"), (OURS, "json"), (OURS, "binary"), (RAW, "own"), (TUTORIAL, "own")],
)
def test_every_contender_answers_in_a_process_with_the_layer_alone(
    tmp_path: Path, contender: str, event: str
) -> None:
    subject = SUBJECTS["perceptron"]()
    place = Place(tmp_path)
    place.lay_out(subject)
    found = measure(place.plan(subject, contender, event, calls=0 if contender == BARE else 3))
    assert found["cold_ms"] > 0
    assert found["rss_mb"] > 20
    assert ("call_cpu_ms" in found) is (contender != BARE)


def test_a_bar_is_met_up_to_its_height() -> None:
    assert Bar("a", "b", 0.5, 0.5).met
    assert not Bar("a", "b", 0.5, 0.51).met
