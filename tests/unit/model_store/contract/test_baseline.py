"""``model_store.contract.baseline``: what is written comes back, and nothing else is read."""

from __future__ import annotations

import json

import pytest

from model_store.contract.baseline import CATEGORY, FORMAT, INPUT, NUMBER, OUTPUT, Baseline, Feature
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError

NUMBERS = Feature("x[0]", INPUT, NUMBER, 10, 1, (0.5, 2.0), (0, 4), (4, 9), 1.25, 0.75)
WORDS = Feature("label", OUTPUT, CATEGORY, 10, 0, categories={"7": 6, "10": 3}, others=1)
BASELINE = Baseline(10, Digest.of(b"rows"), (NUMBERS, WORDS))


def test_a_baseline_comes_back_as_it_was_written() -> None:
    assert Baseline.from_json(BASELINE.to_json()) == BASELINE


def test_the_most_frequent_word_stays_first() -> None:
    read = Baseline.from_json(BASELINE.to_json())
    assert list(read.features[1].categories) == ["7", "10"]


def test_a_later_format_is_refused_by_its_number() -> None:
    body = {**json.loads(BASELINE.to_json()), "format": FORMAT + 1}
    with pytest.raises(IntegrityError, match=f"format {FORMAT + 1}") as refused:
        Baseline.from_json(json.dumps(body).encode())
    assert refused.value.hint is not None


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": 1}', b'{"format": "x"}'])
def test_what_is_no_baseline_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        Baseline.from_json(data)
