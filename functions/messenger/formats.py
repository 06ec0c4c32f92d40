"""One message in three formats: plain e-mail, Slack's blocks, an event of PagerDuty.

Sources: SNS API reference, Publish (a subject is ASCII, at most 100 characters, no line break); Slack, "Block
Kit reference" (a header has at most 150 characters, a section 3,000) and "Sending messages using incoming
webhooks"; PagerDuty, "Send an Alert Event" (Events API v2: a summary has at most 1,024 characters).
"""

from __future__ import annotations

from typing import Any

from functions.messenger.words import Message

MOST_SUBJECT, MOST_HEADER, MOST_SECTION, MOST_SUMMARY = 100, 150, 3_000, 1_024

_SIGNS = {"critical": ":rotating_light:", "error": ":red_circle:", "warning": ":large_yellow_circle:"}
_OVER = ":white_check_mark:"


def email(message: Message) -> tuple[str, str]:
    """Subject and text."""
    subject = message.title.encode("ascii", "replace").decode().replace("\n", " ")
    lines = [message.title, "", "What happened"]
    lines += [f"  {fact}" for fact in message.facts]
    lines += ["", "What to type"]
    lines += [f"  {command}" for command in message.commands]
    lines += ["", f"Alarm {message.change.alarm}"]
    if message.link:
        lines.append(message.link)
    return _cut(subject, MOST_SUBJECT), "\n".join(lines) + "\n"


def slack(message: Message) -> dict[str, Any]:
    """The body for an incoming webhook."""
    sign = _OVER if message.is_over else _SIGNS.get(message.severity, "")
    facts = "\n".join(f"• {_escaped(fact)}" for fact in message.facts)
    commands = "\n".join(message.commands)
    context = f"<{message.link}|{_escaped(message.change.alarm)}>" if message.link else message.change.alarm
    return {
        # What a notification shows, and who cannot see blocks.
        "text": _escaped(message.title),
        "blocks": [
            {
                "type": "header",
                "text": {
                    "type": "plain_text",
                    "text": _cut(f"{sign} {message.title}".strip(), MOST_HEADER),
                    "emoji": True,
                },
            },
            {"type": "section", "text": {"type": "mrkdwn", "text": _cut(facts, MOST_SECTION)}},
            {"type": "section", "text": {"type": "mrkdwn", "text": f"```{commands}```"}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": context}]},
        ],
    }


def pagerduty(message: Message, routing_key: str) -> dict[str, Any]:
    """An event: a trigger, or the resolve that ends it. The alarm's ARN ties the two together."""
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "resolve" if message.is_over else "trigger",
        "dedup_key": _cut(message.change.arn or message.change.alarm, 255),
    }
    if message.is_over:
        return event
    labels = {name: value for name, value in message.labels.items() if value}
    event["payload"] = {
        "summary": _cut(message.title, MOST_SUMMARY),
        "source": message.change.alarm,
        "severity": message.severity,
        "timestamp": message.change.at,
        "component": message.change.subject.ref,
        "group": message.change.subject.stage,
        "class": message.change.subject.what,
        "custom_details": {
            **labels,
            "what_happened": list(message.facts),
            "what_to_type": list(message.commands),
        },
    }
    if message.link:
        event["links"] = [{"href": message.link, "text": "the alarm"}]
    return event


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _escaped(text: str) -> str:
    """Slack takes three characters for markup ("Formatting text for app surfaces")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
