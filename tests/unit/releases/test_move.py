"""``releases.move``: one compare-and-swap, and answers that get lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.names import ByAlias, ByVersion
from releases.adapters.memory import MemoryFunctions
from releases.controller import Controller
from releases.errors import DisagreementError, ServiceError
from releases.move import Mover
from releases.ports import AliasState, Functions
from tests.unit.releases.world import STAGE, Around, World

FUNCTION = function_name(STAGE, "digits")


def lose(world: World, *, before: bool) -> Around:
    """The network loses the call to move the alias, or the answer to it."""

    def cut(call: str) -> None:
        if call == "move_alias":
            raise ServiceError("Lambda did not answer")

    return Around(world.functions, before=cut) if before else Around(world.functions, after=cut)


def test_a_move_whose_answer_was_lost_is_recognised_as_made(world: World) -> None:
    """Law 3: the alias itself says whose move it was."""
    moved = Controller(world.stage(functions=lose(world, before=False))).release(ByVersion("digits", 1))
    assert moved.line is not None
    assert world.ask() == (200, "digits:1")
    assert len(world.controller().history("digits")) == 1


def test_a_move_that_never_arrived_is_an_error_and_repeating_completes_it(world: World) -> None:
    with pytest.raises(ServiceError):
        Controller(world.stage(functions=lose(world, before=True))).release(ByVersion("digits", 1))
    assert world.ask() == (503, "")
    assert world.status().disagreements == ()
    world.controller().release(ByVersion("digits", 1))
    assert world.ask() == (200, "digits:1")


class SaysOtherwise:
    """The fake Lambda, whose answer to a move reports something else than was asked for."""

    def __init__(self, inner: MemoryFunctions, **otherwise: Any) -> None:
        self._inner = inner
        self._otherwise = otherwise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def move_alias(self, *args: Any, **kwargs: Any) -> AliasState:
        return replace(self._inner.move_alias(*args, **kwargs), **self._otherwise)


@pytest.mark.parametrize(
    "otherwise", [{"version": "77"}, {"weights": {"1": 0.5}}], ids=["another version", "weights left over"]
)
def test_an_alias_that_reports_another_place_than_asked_for_is_an_error(
    world: World, otherwise: dict[str, Any]
) -> None:
    """Laws 3 and 9: every flip names its weights, and what Lambda reports is compared with what was asked."""
    functions = cast("Functions", SaysOtherwise(world.functions, **otherwise))
    with pytest.raises(DisagreementError, match="was set to Lambda version"):
        Controller(world.stage(functions=functions)).release(ByVersion("digits", 1))
    world.controller().release(ByVersion("digits", 1))
    assert world.ask() == (200, "digits:1")


def test_the_alias_carries_the_number_of_its_line(world: World) -> None:
    world.controller().release(ByVersion("digits", 1))
    world.controller().release(ByVersion("digits", 2))
    state = world.functions.alias(FUNCTION, "live")
    assert state is not None
    assert '"line":2' in state.note


def test_a_model_that_runs_in_its_function_waits_for_nothing_to_follow(world: World) -> None:
    """Law 6: what is done for gRPC on EC2 takes no moment of any other rollback."""

    def never() -> tuple[str, ...]:
        raise AssertionError("nothing follows here")

    for version in (1, 2):
        world.controller().release(ByVersion("digits", version))
    mover = Mover(
        world.store,
        world.functions,
        world.clock,
        function=FUNCTION,
        ref=ByAlias("digits", "live"),
        by="ann",
        follow=never,
    )
    seen = mover.look()
    prepared, _ = world.controller().prepared_before("digits", 1)
    assert mover.move(seen, kind="rollback", to=prepared, reason="back", restores=1).version == 1
    assert mover.followed == ()
