"""``model_store.numbered``: the newest is found in a few listings, whatever the gaps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.adapters.memory import MemoryStore
from model_store.contract.keys import lease_end_key, lease_key, lease_prefix
from model_store.numbered import PAGE_KEYS, Newest, newest

PREFIX = lease_prefix("digits")


class Listing(MemoryStore):
    """Counts its listings, and says nothing of being more than a place for keys."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__()
        self._keys = sorted(keys)
        self.listings = 0

    def keys(self, prefix: str, after: str | None = None) -> Iterator[str]:
        self.listings += 1
        return (key for key in self._keys if key.startswith(prefix) and (after is None or key > after))


def claims(*numbers: int, ended: int = 0) -> Listing:
    keys = [lease_key("digits", number) for number in numbers]
    keys += [lease_end_key("digits", number) for number in numbers if number <= ended]
    return Listing([*keys, lease_key("another", 7), "models/digits/leases/000000009.json"])


def test_where_nothing_is_the_newest_is_zero() -> None:
    assert newest(claims(), PREFIX) == Newest(0, ())


def test_up_to_a_thousand_keys_take_one_listing() -> None:
    store = claims(*range(1, 500), ended=499)
    assert newest(store, PREFIX).keys == (lease_key("digits", 499), lease_end_key("digits", 499))
    assert store.listings == 1


@pytest.mark.parametrize("count", [PAGE_KEYS // 2, PAGE_KEYS, PAGE_KEYS + 1, 3 * PAGE_KEYS, 10_000, 100_000])
def test_of_many_the_newest_is_found_in_a_few_listings(count: int) -> None:
    store = claims(*range(1, count + 1), ended=count)
    assert newest(store, PREFIX).keys == (lease_key("digits", count), lease_end_key("digits", count))
    assert store.listings <= 14


def test_the_newest_is_told_apart_from_one_that_ended() -> None:
    assert newest(claims(*range(1, 5_001), ended=4_999), PREFIX) == Newest(
        5_000, (lease_key("digits", 5_000),)
    )


@given(st.sets(st.integers(1, 9_000), max_size=20), st.integers(0, 4_000))
def test_gaps_do_no_harm(more: set[int], dense: int) -> None:
    """A replica may hold line 40 before line 39: the newest is the newest all the same."""
    numbers = {*more, *range(1, dense + 1)}
    assert newest(claims(*numbers), PREFIX).number == max(numbers, default=0)
