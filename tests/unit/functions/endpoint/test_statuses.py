"""``functions.endpoint.statuses``: complete tables."""

from __future__ import annotations

import grpc
import pytest

from functions.endpoint import errors
from functions.endpoint.statuses import GRPC, HTTP, OUTCOMES, outcome_of
from functions.inference.predictor import BadInputError
from functions.inference.statuses import STATUS
from functions.protocol.errors import ProtocolError


def leaves(kind: type[Exception]) -> set[type[Exception]]:
    """What the endpoint or the protocol can raise; a gateway that was imported too adds its own, elsewhere."""
    ours = ("functions.protocol.", "functions.endpoint.")
    below = [each for each in kind.__subclasses__() if each.__module__.startswith(ours)]
    return {leaf for each in below for leaf in leaves(each)} if below else {kind}


def test_every_error_has_a_status_in_both_protocols() -> None:
    known = leaves(ProtocolError) | {BadInputError}
    assert errors.QueueFullError in known
    assert set(HTTP) == set(GRPC) == known


def test_what_the_function_answers_is_answered_alike() -> None:
    assert {kind: HTTP[kind] for kind in STATUS} == STATUS


@pytest.mark.parametrize("name", sorted(set(GRPC.values())))
def test_grpc_knows_the_codes(name: str) -> None:
    assert hasattr(grpc.StatusCode, name)


def test_every_status_is_one_of_the_outcomes() -> None:
    assert {outcome_of(status) for status in (200, 500, *HTTP.values())} <= set(OUTCOMES)
    assert (outcome_of(413), outcome_of(429), outcome_of(500)) == ("refused", "queue_full", "failed")
