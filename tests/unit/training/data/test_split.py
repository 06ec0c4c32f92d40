"""Splits: by seed, in proportion, whole groups; and leaks are found whoever made the split."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.declared import Split
from training.data.split import check_leaks, parts_of
from training.errors import DataError


def test_the_same_seed_is_the_same_split_and_another_is_another() -> None:
    first = parts_of(Split(seed=1), rows=200, classes=None, groups=None)
    assert first == parts_of(Split(seed=1), rows=200, classes=None, groups=None)
    assert first != parts_of(Split(seed=2), rows=200, classes=None, groups=None)
    assert Counter(first) == {"train": 120, "validation": 40, "test": 40}


def test_a_row_with_a_name_goes_where_its_name_goes_wherever_it_stands() -> None:
    names = [f"row {number}" for number in range(100)]
    there = dict(zip(names, parts_of(Split(), rows=100, classes=None, groups=None, names=names), strict=True))
    names.reverse()
    back = dict(zip(names, parts_of(Split(), rows=100, classes=None, groups=None, names=names), strict=True))
    assert back == there


def test_each_class_is_divided_by_the_shares() -> None:
    classes = ["rare"] * 10 + ["common"] * 100
    parts = parts_of(Split(stratify=True), rows=110, classes=classes, groups=None)
    assert Counter(parts[:10]) == {"train": 6, "validation": 2, "test": 2}
    assert Counter(parts[10:]) == {"train": 60, "validation": 20, "test": 20}


@given(st.lists(st.integers(0, 9), min_size=60, max_size=120), st.integers(0, 50))
def test_no_group_is_ever_torn_apart(groups: list[int], seed: int) -> None:
    try:
        parts = parts_of(Split(seed=seed), rows=len(groups), classes=None, groups=groups)
    except DataError:
        # Few large groups may leave a part empty: said, not papered over.
        return
    homes: dict[int, set[str]] = {}
    for group, part in zip(groups, parts, strict=True):
        homes.setdefault(group, set()).add(part)
    assert all(len(parts) == 1 for parts in homes.values())


def test_a_part_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        parts_of(Split(), rows=2, classes=None, groups=None)


def test_equal_rows_in_two_parts_are_a_leak() -> None:
    with pytest.raises(DataError, match="1 rows of one part") as refused:
        check_leaks(["train", "test", "train"], inputs=[b"x", b"x", b"y"], groups=None)
    assert "drop_duplicates" in str(refused.value.hint)
    check_leaks(["train", "train", "test"], inputs=[b"x", b"x", b"y"], groups=None)


def test_a_group_in_two_parts_is_a_leak() -> None:
    with pytest.raises(DataError, match="1 groups"):
        check_leaks(["train", "test", "test"], inputs=[b"x", b"y", b"z"], groups=["ana", "ana", "bo"])
