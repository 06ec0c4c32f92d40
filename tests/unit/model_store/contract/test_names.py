"""``model_store.contract.names``: two spellings, two types."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.contract.errors import InvalidNameError
from model_store.contract.names import (
    MAX_NAME_LENGTH,
    ByAlias,
    ByVersion,
    check_alias,
    check_name,
    parse_ref,
    parse_version_ref,
)


@pytest.mark.parametrize("name", ["a", "digits", "fraud-eu", "a1", "a-1-b", "a" * MAX_NAME_LENGTH])
def test_a_name_is_lower_case_words_joined_by_hyphens(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "1a", "-a", "a-", "a--b", "a_b", "a.b", "a/b", "a b", "ä", "a\n", "a" * (MAX_NAME_LENGTH + 1)],
)
def test_what_is_no_name_is_refused_with_what_a_name_is(name: str) -> None:
    with pytest.raises(InvalidNameError) as refusal:
        check_name(name)
    assert "for example `digits`" in (refusal.value.hint or "")


def test_a_reference_says_by_its_sign_what_it_is() -> None:
    assert parse_ref("digits:7") == ByVersion("digits", 7)
    assert parse_ref("digits@live") == ByAlias("digits", "live")


@pytest.mark.parametrize(
    "text",
    [
        "digits",
        "digits:",
        "digits:0",
        "digits:07",
        "digits:v7",
        "digits@",
        "@live",
        "digits:7\n",
        "digits:1234567890",
        "Digits:7",
        "digits:7@live",
    ],
)
def test_what_is_no_reference_is_refused_with_what_to_type(text: str) -> None:
    with pytest.raises(InvalidNameError) as refusal:
        parse_ref(text)
    assert refusal.value.hint is not None


def test_an_alias_is_not_taken_for_a_version() -> None:
    assert parse_version_ref("digits:7") == ByVersion("digits", 7)
    with pytest.raises(InvalidNameError, match="`digits@live` does not name one version"):
        parse_version_ref("digits@live")


@pytest.mark.parametrize("alias", ["latest", "unreleased", "v7"])
def test_an_alias_that_reads_like_a_version_is_refused(alias: str) -> None:
    with pytest.raises(InvalidNameError, match="reads like a version"):
        check_alias(alias)
    with pytest.raises(InvalidNameError):
        parse_ref(f"digits@{alias}")


@pytest.mark.parametrize("alias", ["Live", "live_1", "", "live\n"])
def test_an_alias_is_spelled_like_a_name(alias: str) -> None:
    with pytest.raises(InvalidNameError, match="not an alias name"):
        check_alias(alias)


@given(
    st.from_regex(r"[a-z][a-z0-9]{0,10}(-[a-z0-9]{1,8}){0,3}", fullmatch=True), st.integers(1, 999_999_999)
)
def test_what_is_written_is_what_is_read(name: str, version: int) -> None:
    assert parse_ref(str(ByVersion(name, version))) == ByVersion(name, version)
    assert parse_version_ref(f"{name}:{version}") == ByVersion(name, version)
