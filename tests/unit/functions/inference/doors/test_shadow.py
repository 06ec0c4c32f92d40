"""A mirrored request: answered for nobody, compared, and never raised."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from functions.inference.doors.shadow import differing, outputs_of
from functions.inference.request_log import RequestLog
from functions.protocol.answers import encode_answer
from functions.protocol.carried import to_base64
from functions.protocol.headers import content_headers
from model_store.contract.manifest import Golden
from model_store.contract.names import ByVersion
from tests.unit.functions.inference.doors.conftest import Context, House, X

EXACT = Golden((), (), rtol=0.0, atol=0.0)


@pytest.fixture
def deployed(house: House) -> House:
    """A house that knows its stage, and so counts."""
    house.log = RequestLog({**house.served.labels, "stage": "test"}, house.lines.append)
    house.doors._log = house.log
    return house


def live_answer(house: House, **changed: Any) -> dict[str, Any]:
    """What a live version of the same model would have answered, or nearly."""
    answer = house.doors({"inputs": [X]}, None)
    house.lines.clear()
    for output in answer["outputs"]:
        output["data"] = changed.get(output["name"], output["data"])
    return {"body": json.dumps(answer), "headers": {}, "isBase64Encoded": False}


def mirrored(answer: dict[str, Any], *, version: int = 2, request: object = None) -> dict[str, Any]:
    body = json.dumps(request or {"inputs": [X]})
    return {
        "switchyardShadow": {"version": version, "request_id": "r-1", "ms": 4.0, "lost": 0},
        "request": {"body": body, "headers": {}, "isBase64Encoded": False},
        "answer": answer,
    }


def test_the_same_answer_agrees(deployed: House) -> None:
    said = deployed.doors(mirrored(live_answer(deployed)), Context())
    assert (said["agrees"], said["differs"], said["status"]) == (True, {}, 200)
    (line,) = deployed.logged
    assert (line["route"], line["request_id"], line["agrees"]) == ("shadow", "r-1", True)
    assert (line["ShadowAgrees"], line["ShadowFaults"], line["ShadowedLatency"]) == (1, 0, 4.0)
    assert line["ShadowLatency"] == line["ms"]


def test_another_answer_is_named_by_output_and_count_and_never_by_value(deployed: House) -> None:
    said = deployed.doors(mirrored(live_answer(deployed, label=[7])), Context())
    assert (said["agrees"], said["differs"]) == (False, {"label": "1 of 1 values"})
    (line,) = deployed.logged
    assert (line["ShadowAgrees"], line["ShadowFaults"]) == (0, 0)
    assert "7" not in json.dumps(line["differs"])


def test_what_nobody_was_answered_counts_for_no_alarm(deployed: House) -> None:
    """Law 11: alarms that can undo a release look at what the version answered, and this answers nobody."""
    deployed.doors(mirrored(live_answer(deployed)), Context())
    (line,) = deployed.logged
    assert not {"Faults", "Latency"} & line.keys()


def test_a_request_that_this_version_cannot_answer_is_its_fault_and_no_failure(deployed: House) -> None:
    answer = live_answer(deployed)
    said = deployed.doors(mirrored(answer, request={"inputs": [{**X, "shape": [1, 3]}]}), Context())
    assert (said["status"], said["agrees"]) == (400, False)
    (line,) = deployed.logged
    assert (line["ShadowAgrees"], line["ShadowFaults"]) == (0, 1)


@pytest.mark.parametrize(
    "event",
    [
        {"switchyardShadow": {}},
        {"switchyardShadow": None},
        mirrored({"body": "no JSON", "headers": {}}),
        mirrored({"body": '{"outputs": [7]}', "headers": {}}),
        mirrored({"body": '{"outputs": []}', "headers": {}}, version=9),
    ],
    ids=["empty", "nothing", "no answer", "no outputs", "for another version"],
)
def test_an_event_that_nobody_mirrored_is_not_sent_again(deployed: House, event: dict[str, Any]) -> None:
    assert "refused" in deployed.doors(event, Context())
    (line,) = deployed.logged
    assert not [name for name in line if name.startswith("Shadow")]


def test_an_answer_is_read_in_whichever_form_it_has() -> None:
    outputs = {"a": np.array([[1.5, 2.5]], np.float32), "b": np.array(["x", "yz"], object)}
    encoded = encode_answer(ByVersion("digits", 2), outputs, binary={"a", "b"})
    half = {"body": to_base64(encoded.body), "isBase64Encoded": True, "headers": content_headers(encoded)}
    found = outputs_of(half)
    assert found["a"].tolist() == [[1.5, 2.5]]
    assert found["b"].tolist() == ["x", "yz"]


@pytest.mark.parametrize(
    ("mine", "golden", "said"),
    [
        (np.array([1.0, 2.0], np.float32), EXACT, {}),
        (np.array([1.0, 2.001], np.float32), EXACT, {"y": "1 of 2 values"}),
        (np.array([1.0, 2.001], np.float32), Golden((), (), rtol=1e-3, atol=0.0), {}),
        (np.array([1.0, np.nan], np.float32), EXACT, {"y": "1 of 2 values"}),
        (np.array([1.0, 2.0], np.float64), EXACT, {"y": "another datatype or shape"}),
        (np.array([[1.0, 2.0]], np.float32), EXACT, {"y": "another datatype or shape"}),
    ],
)
def test_near_is_what_the_golden_sample_says(mine: Any, golden: Golden, said: dict[str, str]) -> None:
    assert differing({"y": np.array([1.0, 2.0], np.float32)}, {"y": mine}, golden) == said


def test_an_output_that_only_one_has_is_a_difference() -> None:
    one = {"y": np.array([1], np.int64)}
    assert differing(one, {}, EXACT) == {"y": "only one of the two versions has it"}
    assert differing({}, one, EXACT) == {"y": "only one of the two versions has it"}
    assert differing({"y": np.array([np.nan])}, {"y": np.array([np.nan])}, EXACT) == {}
