"""Whose fault it is when there is no answer."""

from __future__ import annotations

import json

import pytest

from functions.inference.doors.outcome import FunctionFailedError, failed
from functions.inference.statuses import STATUS
from functions.protocol.errors import ProtocolError


@pytest.mark.parametrize("kind", list(STATUS))
def test_an_error_has_the_status_it_has_over_http(kind: type[Exception]) -> None:
    outcome = failed(kind("it is so"))
    assert outcome.status == STATUS[kind]
    assert json.loads(outcome.encoded.body) == {"error": "it is so", "status": STATUS[kind]}
    assert outcome.is_fault is (STATUS[kind] >= 500 or STATUS[kind] == 429), (
        "a full queue may have room later"
    )


def test_what_nobody_expected_is_told_without_its_words() -> None:
    outcome = failed(RuntimeError("private"))
    assert (outcome.status, outcome.is_fault) == (500, True)
    assert b"private" not in outcome.encoded.body
    assert isinstance(outcome.fault(), FunctionFailedError)


def test_a_known_fault_is_raised_by_its_name() -> None:
    for kind in (kind for kind, status in STATUS.items() if status >= 500):
        assert issubclass(kind, ProtocolError)
        assert type(failed(kind("so")).fault()) is kind
