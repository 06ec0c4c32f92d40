"""``yard sign``, and what signing does to ``publish`` and ``verify``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_store.contract.errors import CatalogError, NotFoundError
from model_store.contract.keys import signatures_prefix
from model_store.contract.manifest import Manifest
from tests.unit.yard.conftest import KEY, SIGNING_STAGE, Counting
from yard import deployment

Put = Callable[[str, int, bytes], Manifest]
Yard = Callable[..., Any]

ON = ("--stage", SIGNING_STAGE)
MODEL = Path(__file__).resolve().parents[4] / "examples" / "digits" / "v1" / "model.onnx"


@pytest.fixture(autouse=True)
def caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "caller", lambda: "ana")
    monkeypatch.setattr(deployment, "check_declared", lambda _: None)


def test_a_version_is_signed_once_by_the_stage_s_key(
    store: Counting, put: Put, yard: Yard, document: Callable[[Any], Any]
) -> None:
    put("digits", 1, b"model")
    first = yard("sign", "digits:1", *ON)
    assert f"digits:1 is signed by {KEY}" in first.stderr
    assert len(list(store.keys(signatures_prefix("digits", 1)))) == 1
    again = document(yard("sign", "digits:1", *ON, "--json"))
    assert again == {"version": "digits:1", "signed_by": KEY, "created": False}


def test_what_was_never_published_cannot_be_signed(store: Counting, yard: Yard) -> None:
    assert isinstance(yard("sign", "digits:1", *ON).exception, NotFoundError)


def test_a_stage_without_a_key_says_how_to_get_one(store: Counting, put: Put, yard: Yard) -> None:
    put("digits", 1, b"model")
    error = yard("sign", "digits:1").exception
    assert isinstance(error, CatalogError)
    assert "signed_by" in str(error.hint)


def test_publishing_signs_and_publishing_again_signs_what_was_left_unsigned(
    store: Counting, yard: Yard
) -> None:
    unsigned = yard("publish", "digits", str(MODEL))
    assert unsigned.exit_code == 0, unsigned.output
    assert list(store.keys(signatures_prefix("digits", 1))) == []
    again = yard("publish", "digits", str(MODEL), *ON)
    assert "these bytes are digits:1 already" in again.stderr
    assert len(list(store.keys(signatures_prefix("digits", 1)))) == 1


def test_verify_tells_what_the_key_has_not_signed(
    store: Counting, put: Put, yard: Yard, document: Callable[[Any], Any]
) -> None:
    put("digits", 1, b"model")
    put("digits", 2, b"another")
    yard("sign", "digits:1", *ON)
    assert document(yard("verify", "digits:1", *ON, "--json"))["signed_by"] == KEY
    done = yard("verify", "digits", *ON)
    assert done.exit_code == 1
    assert done.stdout.startswith(f"digits:2: `digits:2` is not signed by `{KEY}`")
