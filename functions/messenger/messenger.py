"""Messenger: take what the topic of alarms was told, put it into words, and send it on every way there is.

Each way is tried whatever becomes of the others. If one failed the whole call fails, so that Lambda repeats
it (twice); PagerDuty knows a repeated event by its key, who reads e-mail or Slack may read it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from functions.messenger import formats
from functions.messenger.change import Change, read
from functions.messenger.ports import NotDeliveredError, WaysOut
from functions.messenger.words import Message, message_of
from model_store.contract.deployment import DEFAULT_ALIAS, function_name
from model_store.contract.environment import PAGERDUTY_KEY, SLACK_WEBHOOK

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"


@dataclass(frozen=True, slots=True)
class Receivers:
    """Besides e-mail: parameters that hold a webhook and a routing key; empty for none."""

    slack: str = ""
    pagerduty: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Receivers:
        return cls(environment.get(SLACK_WEBHOOK, ""), environment.get(PAGERDUTY_KEY, ""))


class Messenger:
    """The function. ``ways`` is made with the first alarm that is news."""

    def __init__(
        self,
        receivers: Receivers,
        *,
        connect: Callable[[], WaysOut],
        pagerduty: str = PAGERDUTY,
    ) -> None:
        self._receivers = receivers
        self._connect = connect
        self._pagerduty = pagerduty

    def __call__(self, event: Mapping[str, Any], context: object) -> None:
        """Send a message for each record that is an alarm of ours, and log that it was sent."""
        del context
        failed = []
        for record in event.get("Records", []):
            change = read(str(record.get("Sns", {}).get("Message", "")))
            if change is not None:
                message = self._in_words(change)
                failed += self._send(message)
                print(json.dumps({"alarm": change.alarm, "state": change.state, "title": message.title}))  # noqa: T201
        if failed:
            raise NotDeliveredError("; ".join(failed))

    def _in_words(self, change: Change) -> Message:
        ways, subject = self._connect(), change.subject
        function = function_name(subject.stage, subject.model)
        serving = "" if change.version else ways.serving(function, subject.alias or DEFAULT_ALIAS)
        return message_of(change, serving=serving, children=ways.reasons(change.children))

    def _send(self, message: Message) -> list[str]:
        ways = self._connect()

        def slack() -> None:
            ways.post(ways.secret(self._receivers.slack), formats.slack(message))

        def pagerduty() -> None:
            key = ways.secret(self._receivers.pagerduty)
            ways.post(self._pagerduty, formats.pagerduty(message, key))

        wanted: dict[str, Callable[[], None]] = {"e-mail": lambda: ways.mail(*formats.email(message))}
        if self._receivers.slack:
            wanted["Slack"] = slack
        if self._receivers.pagerduty:
            wanted["PagerDuty"] = pagerduty
        failed = []
        for name, send in wanted.items():
            try:
                send()
            except NotDeliveredError as error:
                failed.append(f"{name}: {error}")
        return failed
