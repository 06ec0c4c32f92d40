"""``catalog.mistakes``: a fact and its remedy."""

from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from catalog.mistakes import between, mistake


def test_a_mistake_carries_its_fact_and_its_remedy() -> None:
    made = mistake("is `9`", "Write `8`.")
    assert made.context == {"fact": "is `9`", "hint": "Write `8`."}


def test_a_number_outside_its_range_is_told_the_range_and_why() -> None:
    held = TypeAdapter(Annotated[int, between(1, 3, "MB", "there is no more")])
    assert [held.validate_python(number) for number in (1, 3)] == [1, 3]
    with pytest.raises(ValidationError) as caught:
        held.validate_python(4)
    (detail,) = caught.value.errors()
    assert detail["ctx"] == {
        "fact": "is `4`, outside 1 to 3 MB: there is no more",
        "hint": "Write a whole number from 1 to 3.",
    }
