"""``functions.messenger.messenger``: every way is tried, and a way that fails is not hidden."""

from __future__ import annotations

from typing import Any

import pytest

from functions.messenger.adapters.memory import MemoryWaysOut
from functions.messenger.messenger import PAGERDUTY, Messenger, Receivers
from functions.messenger.ports import NotDeliveredError
from model_store.contract.environment import PAGERDUTY_KEY, SLACK_WEBHOOK
from tests.unit.functions.messenger.notifications import SHARE_REASON, event, on_a_release, on_pain

SLACK = "https://hooks.slack.example/T0/B0/x"
RECEIVERS = Receivers("/prod/slack", "/prod/pagerduty")


def ways(**more: Any) -> MemoryWaysOut:
    settings: dict[str, Any] = {
        "reasons": {"switchyard/prod/digits/faults": SHARE_REASON},
        "serving": {("switchyard-prod-digits", "live"): "4"},
        "secrets": {"/prod/slack": SLACK, "/prod/pagerduty": "R0UT1NG"},
        **more,
    }
    return MemoryWaysOut(**settings)


def test_a_message_goes_out_on_every_way_and_says_the_same() -> None:
    out = ways()
    Messenger(RECEIVERS, connect=lambda: out)(event(on_pain()), None)
    ((subject, text),) = out.mailed
    (_, blocks), (_, incident) = out.posted
    assert [url for url, _ in out.posted] == [SLACK, PAGERDUTY]
    assert "version 4" in subject
    assert "12.5, 8.25 % of answers" in text
    assert "12.5, 8.25 % of answers" in str(blocks)
    assert incident["routing_key"] == "R0UT1NG"


def test_without_receivers_there_is_the_topic_of_messages_only() -> None:
    out = ways()
    Messenger(Receivers.of({}), connect=lambda: out)(event(on_a_release()), None)
    assert (len(out.mailed), out.posted) == (1, [])


def test_receivers_are_parameters_that_the_environment_names() -> None:
    assert Receivers.of({SLACK_WEBHOOK: "/a", PAGERDUTY_KEY: "/b"}) == Receivers("/a", "/b")


@pytest.mark.parametrize(
    ("deaf", "mailed", "posted"),
    [
        pytest.param(("mail",), 0, 2, id="mail"),
        pytest.param((SLACK,), 1, 1, id="slack"),
        pytest.param((PAGERDUTY,), 1, 1, id="pagerduty"),
    ],
)
def test_a_way_that_fails_keeps_no_other_from_being_told(
    deaf: tuple[str, ...], mailed: int, posted: int
) -> None:
    out = ways(deaf=deaf)
    with pytest.raises(NotDeliveredError) as raised:
        Messenger(RECEIVERS, connect=lambda: out)(event(on_pain()), None)
    assert (len(out.mailed), len(out.posted)) == (mailed, posted)
    assert SLACK not in str(raised.value)


def test_what_is_no_news_asks_and_tells_nobody() -> None:
    def connect() -> MemoryWaysOut:
        raise AssertionError("nobody was to be asked")

    Messenger(RECEIVERS, connect=connect)(event("a message for people", "{}"), None)
