"""``drift.truth``: labels find their answers by either id, and what is no label is refused by its line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from drift.truth import accuracy, give, given, read_labels
from model_store.adapters.memory import MemoryStore
from model_store.contract.errors import InvalidArtifactError
from tests.unit.drift.conftest import NOW

DAY = timedelta(days=1)


@pytest.mark.parametrize("key", ["request_id", "id", "request"])
def test_labels_are_read_with_and_without_a_row(key: str) -> None:
    assert read_labels("labels.csv", f"{key},label\na, 7\nb,x\n") == {("a", 0): "7", ("b", 0): "x"}
    assert read_labels("labels.csv", f"\ufeff{key},row,label\na,1,7\na,2,8\n") == {
        ("a", 1): "7",
        ("a", 2): "8",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a,b\n1,2\n", "has no column `request_id`", id="heading"),
        pytest.param("request_id,label\n", "holds no label", id="empty"),
        pytest.param("", "has no column", id="nothing"),
        pytest.param("request_id,label\na,1\nb,\n", "line 3 of `labels.csv` lacks", id="no label"),
        pytest.param("request_id,row,label\na,x,1\n", "line 2 of `labels.csv` lacks", id="no row"),
        pytest.param("request_id,label\na,1\na,2\n", "another label", id="two labels"),
    ],
)
def test_what_is_no_label_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidArtifactError, match=said):
        read_labels("labels.csv", text)


def test_labels_come_back_from_the_days_of_the_window_and_the_later_day_holds() -> None:
    kept = MemoryStore()
    give(kept, "sign", {("a", 0): "1", ("b", 0): "1"}, NOW - DAY)
    give(kept, "sign", {("a", 0): "2"}, NOW)
    give(kept, "sign", {("c", 0): "9"}, NOW - 9 * DAY)
    assert given(kept, "sign", NOW - DAY, NOW) == {("a", 0): "2", ("b", 0): "1"}
    assert given(kept, "other", NOW - DAY, NOW) == {}


def test_giving_the_same_labels_again_changes_nothing() -> None:
    kept = MemoryStore()
    keys = {give(kept, "sign", {("a", 0): "1"}, NOW) for _ in range(2)}
    assert len(keys) == 1


def test_a_file_of_somebody_else_beside_the_labels_is_left_out() -> None:
    kept = MemoryStore()
    kept.put_once("truth/sign/2026/11/22/x.parquet", b"nonsense")
    give(kept, "sign", {("a", 0): "1"}, NOW)
    assert given(kept, "sign", NOW - DAY, NOW) == {("a", 0): "1"}


def test_an_answer_is_right_by_the_gateway_s_id_or_by_the_caller_s() -> None:
    answers = {("r1", "mine", 0): "7", ("r1", "mine", 1): "8", ("r2", "", 0): "3", ("r3", "", 0): "4"}
    labels = {("r1", 0): "7", ("mine", 1): "9", ("r2", 0): "3"}
    assert accuracy(answers, labels) == (3, 2)
