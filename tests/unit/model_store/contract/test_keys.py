"""``model_store.contract.keys``: where things stand."""

from itertools import pairwise

import pytest

from model_store.contract import keys
from model_store.contract.digest import Digest


def test_a_blob_is_named_by_its_digest() -> None:
    """Law 2: the name of bytes is their digest."""
    digest = Digest.of(b"abc")
    assert keys.blob_key(digest) == f"blobs/sha256/ba/{digest.hex}"


@pytest.mark.parametrize(
    "key",
    [
        lambda number: keys.manifest_key("digits", number),
        lambda number: keys.ledger_key("digits", "live", number),
        lambda number: keys.base_key("digits", number),
        lambda number: keys.lease_key("digits", number),
        lambda number: keys.lease_end_key("digits", number),
    ],
)
def test_numbered_keys_sort_as_their_numbers_and_give_them_back(key: object) -> None:
    assert callable(key)
    numbers = [1, 2, 9, 10, 99, 100, 999_999_999]
    made = [key(number) for number in numbers]
    assert [keys.number_in(one) for one in made] == numbers
    assert all(one < other for one, other in pairwise(made))


def test_the_first_of_the_indexed_keys_is_the_newest() -> None:
    numbers = [1, 2, 9, 10, 99, 100, 99_999_999]
    made = [keys.indexed_key("digits", number) for number in numbers]
    assert [keys.number_indexed(one) for one in made] == numbers
    assert sorted(made, reverse=True) == made
    assert all(one.startswith(keys.indexed_prefix("digits")) for one in made)


def test_every_key_stands_under_its_prefix() -> None:
    digest = Digest.of(b"abc")
    assert keys.digest_key("digits", digest, 7).startswith(keys.digest_prefix("digits", digest))
    assert keys.number_in(keys.digest_key("digits", digest, 7)) == 7
    assert keys.manifest_key("digits", 7) == "models/digits/versions/000000007.json"
    assert keys.manifest_key("digits", 7).startswith(keys.versions_prefix("digits"))
    assert keys.ledger_key("digits", "live", 1).startswith(keys.ledger_prefix("digits", "live"))
    assert keys.prepared_key("digits", 7, "ab12", 31).startswith(keys.prepared_prefix("digits", 7))
    assert keys.unfit_key("digits", 7, "ab12", 31).startswith(keys.unfit_prefix("digits"))
    assert keys.collected_key("digits", 7, "ab12", 31).startswith(keys.collected_prefix("digits"))
    assert keys.base_key("digits", 1).startswith(keys.bases_prefix("digits"))
    assert keys.lease_key("digits", 1).startswith(keys.lease_prefix("digits"))


def test_no_model_stands_under_the_prefix_of_another() -> None:
    assert not keys.manifest_key("digits-eu", 1).startswith(keys.versions_prefix("digits"))
    assert not keys.ledger_key("digits", "live-eu", 1).startswith(keys.ledger_prefix("digits", "live"))


def test_no_two_things_share_a_key() -> None:
    made = [
        keys.manifest_key("digits", 1),
        keys.digest_key("digits", Digest.of(b"abc"), 1),
        keys.indexed_key("digits", 1),
        keys.ledger_key("digits", "live", 1),
        keys.plan_key("digits", "live", "000000001"),
        keys.prepared_key("digits", 1, "ab12", 1),
        keys.unfit_key("digits", 1, "ab12", 1),
        keys.collected_key("digits", 1, "ab12", 1),
        keys.base_key("digits", 1),
        keys.lease_key("digits", 1),
        keys.lease_end_key("digits", 1),
    ]
    assert len(set(made)) == len(made)
