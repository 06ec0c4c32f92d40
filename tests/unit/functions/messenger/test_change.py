"""``functions.messenger.change``: CloudWatch's notifications, taken apart."""

from __future__ import annotations

import json

import pytest

from functions.messenger.change import Change, Numbers, Subject, read
from model_store.contract.deployment import alias_alarm_name, model_alarm_name
from tests.unit.functions.messenger.notifications import (
    BAND_REASON,
    SHARE_REASON,
    on_a_band,
    on_a_release,
    on_pain,
    told,
)


def change(message: dict[str, object]) -> Change:
    found = read(json.dumps(message))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        pytest.param(model_alarm_name("prod", "digits", "p99"), Subject("prod", "digits", "p99"), id="model"),
        pytest.param(
            alias_alarm_name("prod", "digits", "live", "user-pain"),
            Subject("prod", "digits", "user-pain", alias="live"),
            id="alias",
        ),
        pytest.param(
            "switchyard/prod/digits/live/5f0c/faults",
            Subject("prod", "digits", "faults", alias="live", release="5f0c"),
            id="release",
        ),
        pytest.param(
            "switchyard/prod/bert/Endpoint/3-c0ffee/memory",
            Subject("prod", "bert", "memory", endpoint="3-c0ffee"),
            id="endpoint",
        ),
        pytest.param("somebody-elses", None, id="none-of-ours"),
    ],
)
def test_an_alarms_name_says_whom_it_is_about(name: str, subject: Subject | None) -> None:
    assert Subject.parse(name) == subject


def test_the_version_comes_from_the_metric_where_the_alarm_looks_at_one() -> None:
    assert change(on_a_release()).version == "4"
    assert change(on_a_band()).version == ""
    assert change(on_pain()).children == ("switchyard/prod/digits/faults",)


def test_the_region_is_the_arns_and_not_its_name_for_people() -> None:
    assert change(on_pain()).region == "eu-central-1"


@pytest.mark.parametrize(
    ("reason", "numbers"),
    [
        pytest.param(SHARE_REASON, Numbers((12.5, 8.25), (1.0,)), id="threshold"),
        pytest.param(BAND_REASON, Numbers((504.0, 498.0, 511.0), (90.5, 130.25)), id="band"),
        pytest.param("no datapoints were received for 3 periods", Numbers(), id="silence"),
    ],
)
def test_what_was_measured_stands_in_the_reason(reason: str, numbers: Numbers) -> None:
    assert Numbers.of(reason) == numbers


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("plain text", id="text"),
        pytest.param("[]", id="list"),
        pytest.param(json.dumps({"hello": 1}), id="something-else"),
        pytest.param(json.dumps(told("other/alarm", reason="")), id="other-alarm"),
        pytest.param(
            json.dumps(told("switchyard/prod/digits/p99", state="OK", before="INSUFFICIENT_DATA", reason="")),
            id="a-new-alarm",
        ),
        pytest.param(
            json.dumps(told("switchyard/prod/digits/p99", state="INSUFFICIENT_DATA", reason="")), id="unknown"
        ),
    ],
)
def test_what_is_no_news_is_not_read(message: str) -> None:
    assert read(message) is None
