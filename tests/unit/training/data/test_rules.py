"""The schema of the data: every broken rule is said."""

import polars as pl
import pytest

from training.data.declared import Rule
from training.data.rules import check_rules
from training.errors import DataError

TABLE = pl.DataFrame({"pixel_0": [0, 20], "pixel_1": [3, 4], "kind": ["cat", "cow"], "id": [1, 1]})


def test_a_table_that_keeps_its_rules_passes() -> None:
    rules = {"pixel_1": Rule(type="integer", least=3, most=4), "kind": Rule(one_of=("cat", "cow"))}
    check_rules(TABLE, rules, name="animals")


def test_every_broken_rule_is_said_with_its_column() -> None:
    rules = {
        "pixel_*": Rule(type="number", least=0, most=16),
        "kind": Rule(one_of=("cat", "dog")),
        "id": Rule(type="text"),
    }
    with pytest.raises(DataError) as refused:
        check_rules(TABLE, rules, name="animals")
    said = str(refused.value)
    assert "`pixel_0`" in said
    assert "`pixel_1`" not in said
    assert "`kind`" in said
    assert "`id` is Int64, not text" in said


@pytest.mark.parametrize(
    ("rule", "column"),
    [(Rule(unique=True), "id"), (Rule(pattern="^ca"), "kind"), (Rule(), "gap")],
    ids=["unique", "pattern", "nullable"],
)
def test_values_are_held_to_uniqueness_patterns_and_presence(rule: Rule, column: str) -> None:
    table = TABLE.with_columns(gap=pl.Series([None, 1.0]))
    with pytest.raises(DataError, match=f"`{column}`"):
        check_rules(table, {column: rule}, name="animals")
    if column == "gap":
        check_rules(table, {column: Rule(nullable=True)}, name="animals")


def test_a_rule_for_no_column_is_a_mistake() -> None:
    with pytest.raises(DataError, match="`colour`"):
        check_rules(TABLE, {"colour": Rule()}, name="animals")
