"""``releases.waves``: what is asked for, and records of which the first one stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_store.adapters.memory import MemoryStore
from releases.errors import ReleaseError
from releases.waves import BAD, DONE, HELD, Began, Campaign, Campaigns, Ended, Judged, in_waves

NAMES = tuple("abcdefghij")
CAMPAIGN = Campaign(
    1, (("a",), ("b", "c")), {"a": "1", "b": "2", "c": "3"}, 60.0, "ann", "2026-11-22T00:00:00Z"
)


def test_shares_count_what_went_before_and_the_rest_is_the_last_wave() -> None:
    assert in_waves(NAMES, (10.0, 50.0)) == (("a",), ("b", "c", "d", "e"), ("f", "g", "h", "i", "j"))


def test_a_wave_takes_at_least_one_model_and_an_empty_one_is_none() -> None:
    assert in_waves(("a", "b"), (5.0, 25.0)) == (("a",), ("b",))
    assert in_waves((), (5.0,)) == ()


def test_named_models_go_in_the_order_that_was_asked_for() -> None:
    assert in_waves(NAMES[:4], (("d", "b"), 75.0)) == (("d", "b"), ("a",), ("c",))


def test_a_model_is_in_one_wave() -> None:
    with pytest.raises(ReleaseError, match="`a` waits for no wave, or is in an earlier one"):
        in_waves(NAMES, (10.0, ("a",)))


def test_the_first_word_stands_and_everybody_hears_it() -> None:
    campaigns = Campaigns(MemoryStore())
    assert campaigns.claim(CAMPAIGN)
    assert not campaigns.claim(replace(CAMPAIGN, by="ben"))
    first, second = Judged(HELD, "fine", "ann", "1"), Judged(BAD, "slow", "ben", "2")
    assert campaigns.judge(1, 1, first) == campaigns.judge(1, 1, second) == campaigns.judged(1, 1) == first
    began = Began(5.0, ("alarm",), ("a@live",), {"a@live": 80.0})
    assert campaigns.begin(1, 1, began) == campaigns.begin(1, 1, Began(9.0)) == campaigns.began(1, 1) == began
    assert campaigns.running() == CAMPAIGN
    assert campaigns.end(1, Ended(DONE)) == campaigns.end(1, Ended(BAD, "late")) == Ended(DONE)
    assert (campaigns.running(), campaigns.newest()) == (None, (CAMPAIGN, Ended(DONE)))


def test_before_the_first_campaign_there_is_none() -> None:
    campaigns = Campaigns(MemoryStore())
    assert (campaigns.newest(), campaigns.judged(1, 1), campaigns.began(1, 1)) == ((None, None), None, None)
