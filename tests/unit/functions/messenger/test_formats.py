"""``functions.messenger.formats``: e-mail, Slack and PagerDuty take what each of them takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.messenger.change import read
from functions.messenger.formats import email, pagerduty, slack
from functions.messenger.words import Message, message_of
from tests.unit.functions.messenger.notifications import SHARE_REASON, on_a_band, on_a_release, on_pain

CHILDREN = {"switchyard/prod/digits/faults": SHARE_REASON}


def message(notification: dict[str, Any]) -> Message:
    change = read(json.dumps(notification))
    assert change is not None
    return message_of(change, serving="4", children=CHILDREN)


EVERY = [on_pain(), on_a_release(), on_a_band(), on_pain(state="OK", before="ALARM")]
IDS = ["pain", "release", "band", "over"]


def test_a_mail_can_be_read_without_anything_else() -> None:
    subject, text = email(message(on_pain()))
    assert subject.startswith("ALARM: digits@live (prod, version 4)")
    for said in ("version 4", "12.5, 8.25 % of answers (limit 1)", "  yard rollback digits --stage prod"):
        assert said in text
    assert "https://eu-central-1.console.aws.amazon.com/cloudwatch/" in text


@pytest.mark.parametrize("notification", EVERY, ids=IDS)
def test_a_subject_is_what_sns_takes(notification: dict[str, Any]) -> None:
    subject, _ = email(message(notification))
    assert 0 < len(subject) <= 100
    assert subject.isascii()
    assert "\n" not in subject


@pytest.mark.parametrize("notification", EVERY, ids=IDS)
def test_blocks_are_what_slack_takes(notification: dict[str, Any]) -> None:
    body = slack(message(notification))
    header, facts, commands, context = body["blocks"]
    assert (header["type"], header["text"]["type"]) == ("header", "plain_text")
    assert len(header["text"]["text"]) <= 150
    assert len(facts["text"]["text"]) <= 3_000
    assert commands["text"]["text"].startswith("```yard status digits")
    assert context["elements"][0]["text"].startswith("<https://eu-central-1.console")
    assert body["text"]
    json.dumps(body)


def test_slack_is_given_no_markup_by_an_alarms_words() -> None:
    body = slack(message({**on_a_release(), "NewStateReason": "<!channel> & more"}))
    assert "&lt;!channel&gt; &amp; more" in body["blocks"][1]["text"]["text"]


def test_an_event_triggers_and_its_end_resolves_the_same_incident() -> None:
    begun, over = (pagerduty(message(one), "R0UT1NG") for one in (on_pain(), EVERY[3]))
    assert (begun["event_action"], over["event_action"]) == ("trigger", "resolve")
    assert begun["dedup_key"] == over["dedup_key"]
    payload = begun["payload"]
    assert {"summary", "source", "severity"} <= set(payload)
    assert payload["severity"] in ("critical", "error", "warning", "info")
    assert payload["custom_details"]["version"] == "4"
    assert payload["custom_details"]["what_to_type"][0] == "yard status digits --stage prod"
    assert "payload" not in over
