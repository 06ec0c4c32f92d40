"""``releases.headroom``: a flip that would throttle is refused with the numbers, before it does."""

from __future__ import annotations

from typing import Any

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.errors import AccessDeniedError
from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.errors import NoHeadroomError
from releases.headroom import BURST, LOOK_BACK_S, Headroom
from releases.ports import Concurrency, Metric
from releases.stage import Stage
from tests.unit.releases.world import STAGE, Around, World

FUNCTION = function_name(STAGE, "digits")


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


def busy(world: World, own: float, everybody: float | None = None, *, ago: float = 60.0) -> None:
    """So many requests were answered at once, by this function and in the whole Region."""
    at = world.clock.now() - ago
    world.monitoring.record(
        Metric("AWS/Lambda", "ConcurrentExecutions", (("FunctionName", FUNCTION),)), own, 1.0, at=at
    )
    world.monitoring.record(Metric("AWS/Lambda", "ConcurrentExecutions", ()), everybody or own, at=at)


@pytest.fixture
def live(world: World) -> World:
    world.controller().release(ref(1))
    return world


def test_a_quiet_function_is_flipped(live: World) -> None:
    busy(live, 2)
    assert live.controller().release(ref(2)).warnings == ()
    assert live.ask() == (200, "digits:2")


def test_a_flip_that_would_throttle_is_refused_with_the_numbers_and_changes_nothing(live: World) -> None:
    """Law 8: refuse early. Law 5: the version is prepared, so the steps that the hint names begin at once."""
    live.functions.limit(Concurrency(account=1_000, unreserved=1_000))
    busy(live, 40, 970)
    with pytest.raises(NoHeadroomError) as refused:
        live.controller().release(ref(2))
    assert str(refused.value) == (
        "a flip of `digits@live` would throttle: it answers up to 40 requests at once, so both versions "
        "together may need 80; 1,000 are the account's, of which others use up to 930"
    )
    assert live.ask() == (200, "digits:1")
    assert "--shift 5,25,50" in str(refused.value.hint)
    assert "--now" in str(refused.value.hint)


@pytest.mark.parametrize(("limit", "fits"), [(79, False), (80, True)])
def test_what_is_reserved_for_the_function_is_its_own(live: World, limit: int, *, fits: bool) -> None:
    live.functions.limit(Concurrency(account=1_000, unreserved=100, reserved=limit))
    busy(live, 40, 900)
    if fits:
        live.controller().release(ref(2))
    else:
        with pytest.raises(NoHeadroomError, match="79 are reserved for it"):
            live.controller().release(ref(2))


def test_more_than_lambda_starts_at_once_is_refused_whatever_the_limit(live: World) -> None:
    live.functions.limit(Concurrency(account=100_000, unreserved=100_000))
    busy(live, BURST + 1)
    with pytest.raises(NoHeadroomError, match="1,001 environments have to start"):
        live.controller().release(ref(2))


def test_breaking_the_glass_flips_regardless(live: World) -> None:
    live.controller().release(ref(2))
    live.controller().rollback("digits")
    live.functions.limit(Concurrency(account=50, unreserved=50))
    busy(live, 40)
    live.controller().flip(ref(2), reason="the old one is worse")
    assert live.ask() == (200, "digits:2")


def test_a_way_back_is_never_refused(live: World) -> None:
    """Law 6: at 3 a.m. nobody is told that the broken version is too busy to be taken away."""
    live.controller().release(ref(2))
    live.functions.limit(Concurrency(account=50, unreserved=50))
    busy(live, 40)
    assert live.controller().rollback("digits").ref == ref(1)


def test_what_was_long_ago_does_not_count(live: World) -> None:
    live.functions.limit(Concurrency(account=50, unreserved=50))
    busy(live, 40, ago=LOOK_BACK_S + 60)
    live.controller().release(ref(2))


def test_releasing_what_is_live_asks_nothing(live: World) -> None:
    live.functions.limit(Concurrency(account=50, unreserved=50))
    busy(live, 40)
    assert live.controller().release(ref(1)).line is None


def test_what_cannot_be_known_is_a_warning(live: World) -> None:
    def denied(call: str) -> None:
        if call == "concurrency":
            raise AccessDeniedError("AWS denies access to the account's concurrency")

    moved = Controller(live.stage(functions=Around(live.functions, before=denied))).release(ref(2))
    assert "whether a flip would throttle is not known" in moved.warnings[0]
    assert live.ask() == (200, "digits:2")


def test_a_stage_without_monitoring_is_released_as_ever(live: World) -> None:
    stage = live.stage()
    blind = Stage(STAGE, stage.store, stage.functions, stage.clock, by="ann")
    Controller(blind).release(ref(2))
    assert live.ask() == (200, "digits:2")


@pytest.mark.parametrize(
    ("numbers", "fits"),
    [
        ({"peak": 0, "limit": 10, "others": 10}, True),
        ({"peak": 40, "limit": 79, "others": 0}, False),
        ({"peak": 40, "limit": 40, "others": 0, "provisioned": 40}, True),
        ({"peak": 40, "limit": 59, "others": 0, "provisioned": 20}, False),
        ({"peak": 40, "limit": 60, "others": 0, "provisioned": 20}, True),
        ({"peak": 1, "limit": 10, "others": 9}, False),
    ],
)
def test_provisioned_environments_ask_for_nothing(numbers: dict[str, Any], *, fits: bool) -> None:
    assert Headroom(**numbers).suffices is fits


def counted(world: World, a_second: float) -> None:
    """So many requests came in each second of a minute."""
    world.monitoring.record(
        Metric("AWS/Lambda", "Invocations", (("FunctionName", FUNCTION),)),
        a_second * 60,
        at=world.clock.now() - 60,
    )


def test_who_comes_while_environments_start_starts_more_of_them(live: World) -> None:
    """Law 8: forty at once, of 20 ms each, are two thousand a second, and a start takes two seconds."""
    live.functions.limit(Concurrency(account=100_000, unreserved=100_000))
    busy(live, 40)
    counted(live, 2_000)
    with pytest.raises(NoHeadroomError, match="4,040 environments have to start") as refused:
        live.controller().release(ref(2))
    assert "--shift 24,48,72,96" in str(refused.value.hint)


def test_provisioned_environments_start_nothing() -> None:
    assert Headroom(40, 1_000, 0, provisioned=40, per_second=2_000).suffices
    assert not Headroom(40, 1_000, 0, provisioned=20, per_second=2_000).suffices


def test_a_shift_whose_steps_are_too_large_is_refused_and_told_which_are_not(live: World) -> None:
    """Law 8."""
    live.functions.limit(Concurrency(account=100_000, unreserved=100_000))
    busy(live, 40)
    counted(live, 2_000)
    with pytest.raises(NoHeadroomError, match="a step of 50% of `digits@live` would throttle") as refused:
        live.begin(2, 0.05, 0.5)
    assert "at most 24 %" in str(refused.value.hint)
    assert live.shifting().stop("digits").line is None
    assert live.begin(2, 0.24, 0.48, 0.72, 0.96).version == 2


def test_where_not_even_one_percent_fits_more_concurrency_is_the_hint(live: World) -> None:
    live.functions.limit(Concurrency(account=41, unreserved=41))
    busy(live, 40)
    counted(live, 100_000)
    with pytest.raises(NoHeadroomError) as refused:
        live.begin(2, 0.05, 0.5)
    assert "ask for more concurrency" in str(refused.value.hint)
