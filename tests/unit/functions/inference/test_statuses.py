"""``functions.inference.statuses``: the table is complete, and the words above it are the table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from functions.inference import statuses
from functions.inference.predictor import BadInputError
from functions.protocol.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator


def leaves(kind: type[Exception]) -> Iterator[type[Exception]]:
    """What the protocol itself can raise; an endpoint adds its own, and its own table."""
    for below in kind.__subclasses__():
        if below.__module__ == kind.__module__:
            yield below
            yield from leaves(below)


def test_every_error_of_the_protocol_has_a_status() -> None:
    assert set(leaves(ProtocolError)) | {BadInputError} == set(statuses.STATUS)


def test_the_documented_table_is_the_table_that_is_used() -> None:
    documented = dict(re.findall(r"^(\w+Error) +(\d+) ", statuses.__doc__ or "", re.MULTILINE))
    assert documented == {kind.__name__: str(status) for kind, status in statuses.STATUS.items()}


def test_only_what_no_caller_can_bring_about_is_a_5xx() -> None:
    fives = {kind.__name__ for kind, status in statuses.STATUS.items() if status >= 500}
    assert fives == {"NotReadyError", "DeadlineError", "CloudUnavailableError"}
