"""``releases.quotas``: numbers and what to do, before AWS refuses (law 8)."""

from __future__ import annotations

import pytest

from releases.adapters.memory_quotas import MemoryQuotas
from releases.errors import QuotaError
from releases.quotas import Executions, Needs, Storage, Use, may_not_grow, must_start, must_store, survey

GB = 1024**3


def found(quotas: MemoryQuotas, needs: Needs) -> dict[str, Use]:
    return {use.what.partition(" (")[0]: use for use in survey(quotas, "prod", needs)}


def test_what_is_needed_is_added_to_what_is_used() -> None:
    quotas = MemoryQuotas(
        {("monitoring", "Number of alarms"): 5000.0},
        running=Executions(1000, 200),
        alarm_names=["other", "switchyard/prod/digits/p99"],
    )
    uses = found(quotas, Needs(alarms=12, provisioned=40))
    assert (uses["alarms"].used, uses["alarms"].needed, uses["alarms"].limit) == (2, 11, 5000)
    assert (uses["concurrent executions"].used, uses["concurrent executions"].needed) == (200, 140)
    assert {use.verdict for use in uses.values()} == {"fits"}
    assert "endpoints" not in uses


def test_a_new_account_s_ten_executions_are_too_few() -> None:
    uses = found(MemoryQuotas(running=Executions(10, 0)), Needs())
    assert uses["concurrent executions"].verdict == "too little"
    assert "Concurrent executions" in uses["concurrent executions"].remedy


def test_what_is_nearly_used_up_is_said() -> None:
    uses = found(MemoryQuotas(stored=Storage(75 * GB, 70 * GB)), Needs())
    assert (uses["code storage"].verdict, uses["code storage"].used) == ("nearly used up", 70.0)


def test_machines_are_held_against_their_own_quota() -> None:
    quotas = MemoryQuotas(
        {("sagemaker", "ml.g5.xlarge for endpoint usage"): 4.0}, endpoint_names=["switchyard-prod-bert-3"]
    )
    needs = Needs(endpoints=2, instances={"ml.g5.xlarge": 6, "ml.x.large": 1})
    uses = found(quotas, needs)
    assert (uses["endpoints"].used, uses["endpoints"].needed) == (1, 1)
    assert uses["machines of ml.g5.xlarge"].verdict == "too little"
    assert uses["machines of ml.x.large"].verdict == "not known"
    with pytest.raises(
        QuotaError, match=r"6 machines of `ml\.g5\.xlarge` are needed, and this account may have 4"
    ):
        must_start(quotas, needs)


def test_machines_that_only_autoscaling_would_ask_for_are_a_warning() -> None:
    quotas = MemoryQuotas({("sagemaker", "ml.g5.xlarge for endpoint usage"): 4.0})
    assert may_not_grow(quotas, Needs(instances={"ml.g5.xlarge": 4, "ml.x.large": 9})) == ()
    (warning,) = may_not_grow(quotas, Needs(instances={"ml.g5.xlarge": 6}))
    assert "autoscaling may ask for 6 machines of ml.g5.xlarge" in warning
    assert "this account may have 4" in warning


def test_where_service_quotas_may_not_be_read_the_default_is_taken_and_said_to_be_one() -> None:
    quotas = MemoryQuotas(denied=frozenset({"quotas"}))
    uses = found(quotas, Needs(alarms=5, endpoints=1, instances={"ml.g5.xlarge": 2}))
    assert uses["alarms"].limit == 5000
    assert "may not be read; AWS's default is taken" in uses["alarms"].remark
    assert uses["machines of ml.g5.xlarge"].verdict == "not known"
    assert must_start(quotas, Needs(instances={"ml.g5.xlarge": 2})) != ()


def test_what_may_not_be_read_at_all_is_not_known_and_stops_nothing() -> None:
    quotas = MemoryQuotas(denied=frozenset({"lambda", "alarms", "endpoints", "quotas"}))
    uses = found(quotas, Needs(endpoints=1))
    assert {use.verdict for use in uses.values()} == {"not known"}
    assert all(use.remark for use in uses.values())
    (warning,) = must_store(quotas, 1)
    assert "is not known" in warning


def test_a_release_that_does_not_fit_is_refused_with_the_numbers() -> None:
    quotas = MemoryQuotas(stored=Storage(75 * GB, 75 * GB - 10))
    assert must_store(quotas, 10) == ()
    with pytest.raises(QuotaError, match="no room for 11 bytes more") as refused:
        must_store(quotas, 11)
    assert "`yard collect`" in (refused.value.hint or "")
