"""One tree, drawn as it is, and an error for every status."""

from __future__ import annotations

import re

import pytest

from switchyard_client import errors
from switchyard_client.errors import ClientError, RefusedError, refusal


def tree(kind: type[ClientError]) -> list[type[ClientError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in tree(child))]


def test_the_tree_is_drawn_as_it_is() -> None:
    assert re.findall(r"(\w+Error)\b", errors.__doc__ or "") == [kind.__name__ for kind in tree(ClientError)]


@pytest.mark.parametrize("kind", tree(ClientError))
def test_every_error_says_what_it_means(kind: type[ClientError]) -> None:
    assert (kind.__doc__ or "").strip()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (401, errors.AccessDeniedError),
        (403, errors.AccessDeniedError),
        (404, errors.UnknownModelError),
        (413, errors.TooLargeError),
        (422, errors.BadRequestError),
        (429, errors.ThrottledError),
        (500, errors.ServerFaultError),
        (503, errors.NotReadyError),
        (504, errors.ServerFaultError),
    ],
)
def test_a_status_has_its_error_with_a_way_out(status: int, kind: type[RefusedError]) -> None:
    error = refusal(status, "it is so")
    assert (type(error), str(error), error.status) == (kind, "it is so", status)
    assert error.hint
    assert error.hint.endswith(".")
