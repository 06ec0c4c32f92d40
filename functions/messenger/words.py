"""What a change means, in sentences: who, which version, what happened in numbers, and what to type.

Pure. The three formats (``formats``) say the same; here is what they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

from functions.messenger.change import ALARM, Change, Numbers, Subject
from model_store.contract.deployment import DEFAULT_ALIAS, UNDOING_ALARMS

Severity = Literal["critical", "error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one kind of alarm says, in which unit, how bad that is, and what to look at besides the status."""

    said: str
    unit: str = ""
    severity: Severity = "warning"
    look: tuple[str, ...] = ()
    may_roll_back: bool = False


_METRICS = "yard metrics {model} --since 1h"

MEANINGS: Mapping[str, Meaning] = {
    "user-pain": Meaning(
        "its callers are not served as they should be",
        severity="critical",
        look=(_METRICS,),
        may_roll_back=True,
    ),
    "errors": Meaning("invocations fail", "% of invocations", look=(_METRICS,), may_roll_back=True),
    "errors-while-shifting": Meaning("the version that is tried fails", "invocations"),
    "faults": Meaning("answers are server faults", "% of answers", look=(_METRICS,), may_roll_back=True),
    "p99": Meaning("the slowest answers are too slow", "ms", look=(_METRICS,), may_roll_back=True),
    "latency": Meaning("answers are too slow", "ms"),
    "throttles": Meaning("Lambda turns callers away", "calls"),
    "throttles-while-shifting": Meaning("Lambda turns callers of the version that is tried away", "calls"),
    "no-traffic": Meaning("nobody calls it any more", severity="error", look=(_METRICS,)),
    "traffic-band": Meaning("its traffic is not what was to be expected", "requests", look=(_METRICS,)),
    "latency-band": Meaning("its answers take longer than was to be expected", "ms", look=(_METRICS,)),
    "start-failures": Meaning(
        "environments of it cannot start", "starts", severity="error", may_roll_back=True
    ),
    "cannot-answer": Meaning(
        "what serves, or what a rollback would go to, could not answer", "versions", severity="error"
    ),
}
RELEASE_UNITS = {"errors": "invocations", "faults": "answers", "latency": "ms"}
"""The alarms of a release count, where those of a deploy have shares."""


@dataclass(frozen=True, slots=True)
class Message:
    """What every format says. ``title`` has no line break; ``facts`` and ``commands`` are a line each."""

    title: str
    change: Change
    severity: Severity
    version: str
    facts: tuple[str, ...]
    commands: tuple[str, ...]
    link: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.change.state != ALARM


def message_of(change: Change, *, serving: str = "", children: Mapping[str, str] | None = None) -> Message:
    """Put a change into words.

    ``serving`` is the version that the alias serves now, if anybody knows; ``children`` are the alarms that
    set a composite off, with why each went off.
    """
    subject = change.subject
    meaning = MEANINGS.get(subject.what) or Meaning(change.description or subject.what)
    version = change.version or serving
    named = f"{subject.ref} ({subject.stage}" + (f", version {version})" if version else ")")
    over = change.state != ALARM
    facts = [f"{subject.model}, {_where(subject)}, stage {subject.stage}"]
    if version:
        facts.append(f"version {version}" + ("" if change.version else " is what serves now"))
    if over:
        facts.append(f"over since {change.at}")
    else:
        facts += _what_happened(change, meaning, children or {})
        facts.append(f"since {change.at}")
    if _undoes(subject) and not over:
        facts.append("this alarm takes the release back by itself while it is armed, for an hour")
    return Message(
        title=f"{'over' if over else 'ALARM'}: {named}: {meaning.said}",
        change=change,
        severity="info" if over else meaning.severity,
        version=version,
        facts=tuple(facts),
        commands=_commands(subject, meaning, over=over),
        link=_link(change),
        labels={"stage": subject.stage, "model": subject.model, "alias": subject.alias, "version": version},
    )


def _undoes(subject: Subject) -> bool:
    """Whether it takes its release back by itself, so that nobody has to type that."""
    return bool(subject.release) and subject.what in UNDOING_ALARMS


def _where(subject: Subject) -> str:
    if subject.endpoint:
        return f"endpoint {subject.endpoint}"
    return f"alias {subject.alias}" if subject.alias else "any alias"


def _what_happened(change: Change, meaning: Meaning, children: Mapping[str, str]) -> list[str]:
    if not change.children:
        unit = (
            RELEASE_UNITS.get(change.subject.what, meaning.unit) if change.subject.release else meaning.unit
        )
        return [f"{meaning.said}: {_counted(change.numbers, unit) or change.reason}"]
    said = []
    for name in change.children:
        child = Subject.parse(name)
        known = MEANINGS.get(child.what) if child else None
        numbers = Numbers.of(children.get(name, ""))
        counted = _counted(numbers, known.unit if known else "") or "no numbers known"
        said.append(f"{known.said if known else name}: {counted}")
    return said


def _counted(numbers: Numbers, unit: str) -> str:
    if not numbers.seen:
        return ""
    seen = ", ".join(f"{value:.4g}" for value in numbers.seen[:3])
    suffix = f" {unit}" if unit else ""
    if len(numbers.limits) == 1:
        return f"{seen}{suffix} (limit {numbers.limits[0]:.4g})"
    if len(numbers.limits) == 2:
        return f"{seen}{suffix} (expected {numbers.limits[0]:.4g} to {numbers.limits[1]:.4g})"
    return f"{seen}{suffix}"


def _commands(subject: Subject, meaning: Meaning, *, over: bool) -> tuple[str, ...]:
    at = f" --stage {subject.stage}"
    commands = [f"yard status {subject.model}{at}"]
    if not over:
        if _undoes(subject):
            return tuple(commands)
        commands += [look.format(model=subject.model) + at for look in meaning.look]
        if meaning.may_roll_back:
            alias = f" --alias {subject.alias}" if subject.alias not in ("", DEFAULT_ALIAS) else ""
            commands.append(f"yard rollback {subject.model}{alias}{at}")
    return tuple(commands)


def _link(change: Change) -> str:
    if not change.region:
        return ""
    name = quote(change.alarm, safe="")
    return (
        f"https://{change.region}.console.aws.amazon.com/cloudwatch/home?region={change.region}"
        f"#alarmsV2:alarm/{name}"
    )
