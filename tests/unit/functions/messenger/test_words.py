"""``functions.messenger.words``: model, version, what happened with numbers, and what to type."""

from __future__ import annotations

import json

import pytest

from functions.messenger.change import read
from functions.messenger.words import MEANINGS, Message, message_of
from tests.unit.functions.messenger.notifications import (
    SHARE_REASON,
    on_a_band,
    on_a_release,
    on_pain,
    told,
)


def message(notification: dict[str, object], **more: object) -> Message:
    change = read(json.dumps(notification))
    assert change is not None
    return message_of(change, **more)  # type: ignore[arg-type]


def test_pain_names_the_version_that_serves_and_the_numbers_of_what_set_it_off() -> None:
    found = message(on_pain(), serving="4", children={"switchyard/prod/digits/faults": SHARE_REASON})
    assert found.title == (
        "ALARM: digits@live (prod, version 4): its callers are not served as they should be"
    )
    assert "answers are server faults: 12.5, 8.25 % of answers (limit 1)" in found.facts
    assert "version 4 is what serves now" in found.facts
    assert found.commands == (
        "yard status digits --stage prod",
        "yard metrics digits --since 1h --stage prod",
        "yard rollback digits --stage prod",
    )
    assert found.severity == "critical"
    assert found.link.endswith("alarm/switchyard%2Fprod%2Fdigits%2FAlias%2Flive%2Fuser-pain")


def test_an_alarm_of_a_release_says_that_it_takes_it_back_and_nobody_is_told_to() -> None:
    found = message(on_a_release())
    assert found.title == "ALARM: digits@live (prod, version 4): answers are server faults"
    assert "answers are server faults: 7, 4 answers (limit 1)" in found.facts
    assert any("takes the release back by itself" in fact for fact in found.facts)
    assert found.commands == ("yard status digits --stage prod",)


def test_an_alarm_of_a_version_that_only_tells_leaves_the_way_back_to_people() -> None:
    name = "switchyard/prod/digits/live/5f0c2a9be1d44c07/p99"
    found = message({**on_a_release(), "AlarmName": name})
    assert found.title == "ALARM: digits@live (prod, version 4): the slowest answers are too slow"
    assert not any("by itself" in fact for fact in found.facts)
    assert found.commands[-1] == "yard rollback digits --stage prod"


def test_a_band_says_what_was_expected() -> None:
    found = message(on_a_band(), serving="3")
    assert any("504, 498, 511 requests (expected 90.5 to 130.2)" in fact for fact in found.facts)
    assert found.severity == "warning"
    assert not [command for command in found.commands if "rollback" in command]


def test_what_is_over_is_said_with_the_status_to_look_at() -> None:
    found = message(on_pain(state="OK", before="ALARM"), serving="3")
    assert found.title.startswith("over: digits@live (prod, version 3)")
    assert (found.severity, found.is_over) == ("info", True)
    assert found.commands == ("yard status digits --stage prod",)


def test_a_rollback_of_another_alias_names_it() -> None:
    name = "switchyard/prod/digits/Alias/candidate/user-pain"
    found = message({**on_pain(), "AlarmName": name})
    assert found.commands[-1] == "yard rollback digits --alias candidate --stage prod"


def test_an_alarm_that_nobody_knows_here_is_told_in_its_own_words() -> None:
    found = message(told("switchyard/prod/digits/drift", reason="Threshold Crossed: 1 datapoint"))
    assert found.title == "ALARM: digits (prod): what it is about"
    assert "what it is about: Threshold Crossed: 1 datapoint" in found.facts


@pytest.mark.parametrize("what", sorted(MEANINGS))
def test_every_alarm_of_ours_has_a_sentence_without_a_full_stop(what: str) -> None:
    assert MEANINGS[what].said
    assert not MEANINGS[what].said.endswith(".")
