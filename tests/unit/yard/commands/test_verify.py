"""``yard verify``: exit code 1 and a sentence for what is not what was published."""

from collections.abc import Callable
from typing import Any

import pytest

from model_store.contract.errors import InvalidNameError, NotFoundError
from model_store.contract.keys import manifest_key
from model_store.contract.manifest import Manifest

Put = Callable[[str, int, bytes], Manifest]
Yard = Callable[..., Any]


def test_what_is_right_is_said_with_how_much_was_read(
    store: Any, put: Put, yard: Yard, document: Callable[[Any], Any]
) -> None:
    put("digits", 1, b"model")
    put("fraud", 1, b"another")
    done = yard("verify")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert "2 versions, 2 files, 12 bytes re-read: everything is what was published" in done.stderr
    assert document(yard("verify", "digits:1", "--json")) == {
        "versions": 1,
        "files": 1,
        "bytes": 5,
        "findings": [],
    }


def test_what_is_wrong_is_a_line_on_stdout_and_exit_code_1(store: Any, put: Put, yard: Yard) -> None:
    """Law 2: a mismatch is found, and not passed over in silence."""
    put("digits", 1, b"model")
    store.put_once(manifest_key("digits", 2), b"{}")
    done = yard("verify", "digits")
    assert done.exit_code == 1
    assert done.stdout.startswith("digits:2: the manifest cannot be read")
    assert "hint: Do not release these" in done.stderr
    assert yard("verify", "digits:1").exit_code == 0
    assert yard("verify", "digits", "--json").exit_code == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("digits:7", NotFoundError),
        ("fraud", NotFoundError),
        ("Digits", InvalidNameError),
        (":", InvalidNameError),
    ],
)
def test_what_is_not_there_is_no_finding(
    store: Any, put: Put, yard: Yard, name: str, kind: type[Exception]
) -> None:
    put("digits", 1, b"model")
    assert isinstance(yard("verify", name).exception, kind)
