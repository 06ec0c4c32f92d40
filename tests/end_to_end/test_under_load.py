"""Twenty flips and rollbacks under thousands of requests: none fails, and every answer is what it says.

``SWITCHYARD_LOAD_REQUESTS`` sets the number of requests; 10,000 take about a minute on two quiet cores.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import Counter

import pytest

from benchmarks.crowd import Crowd, Question
from model_store.contract.names import ByVersion
from releases.controller import Controller
from tests.conftest import Deployed
from tests.end_to_end.digits import DIGITS, telling
from yard import deployment

pytestmark = pytest.mark.cloud

MOVES = 20
REQUESTS = int(os.environ.get("SWITCHYARD_LOAD_REQUESTS", "1500"))


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return telling({"1": "v1", "2": "v2"})


@pytest.fixture
def controller(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Controller:
    """The controller as the command line has it, in this process: versions 1 and 2 are prepared."""
    for name, value in deployed.environment().items():
        if name.startswith(("AWS_", "SWITCHYARD_")):
            monkeypatch.setenv(name, value)
    for version in ("v1", "v2"):
        deployed.yard_json("publish", "digits", str(DIGITS / version / "model.onnx"))
    for version in ("1", "2", "1"):
        deployed.yard_json("release", f"digits:{version}")
    return Controller(deployment.find("local").releases(lambda _: None))


def test_no_request_fails_and_every_answer_is_that_versions_answer(
    deployed: Deployed, controller: Controller, questions: list[Question]
) -> None:
    """Law 6 and law 2."""
    assert len(questions) >= 5
    moves: list[tuple[float, float, str]] = []
    started = time.monotonic()
    with Crowd(f"{deployed.api_url}/v2/models/digits/infer", questions, most=REQUESTS) as crowd:
        for number in range(MOVES):
            crowd.wait_for(REQUESTS * (number + 1) // (MOVES + 2))
            began = time.monotonic()
            if number % 2:
                moved = controller.rollback("digits", reason="back")
            else:
                moved = controller.release(ByVersion("digits", 2), reason="forth")
            moves.append((began, time.monotonic(), str(moved.ref.version)))
        crowd.wait()
    seconds = time.monotonic() - started
    assert [version for *_, version in moves] == ["2", "1"] * (MOVES // 2)
    assert len(crowd.heard) == REQUESTS
    assert Counter(heard.status for heard in crowd.heard) == {200: REQUESTS}
    assert all(heard.true for heard in crowd.heard)
    versions = Counter(heard.version for heard in crowd.heard)
    assert min(versions["1"], versions["2"]) > REQUESTS / 10
    late = 0.0
    for (_, returned, version), end in zip(
        moves, [began for began, *_ in moves[1:]] + [math.inf], strict=True
    ):
        after = [heard for heard in crowd.heard if returned < heard.at and heard.at < end]
        # What was asked after the return and before the next move is answered by what was moved to.
        # On a slow machine nobody may have asked between two moves.
        assert {heard.version for heard in after if heard.asked > returned} <= {version}
        late = max([late, *(heard.at - returned for heard in after if heard.version != version)])
    logging.getLogger(__name__).info(
        "%d requests in %.0f s (%.0f/s), %d moves, versions %s, last old answer %.0f ms after a return",
        REQUESTS,
        seconds,
        REQUESTS / seconds,
        MOVES,
        dict(versions),
        late * 1000,
    )
    status = deployed.yard_json("status", "digits")["aliases"][0]
    assert (status["version"], status["disagreements"]) == (1, [])
