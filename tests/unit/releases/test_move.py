"""``releases.move``: one compare-and-swap, and answers that get lost."""

from __future__ import annotations

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.errors import ServiceError
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


def test_the_alias_carries_the_number_of_its_line(world: World) -> None:
    world.controller().release(ByVersion("digits", 1))
    world.controller().release(ByVersion("digits", 2))
    state = world.functions.alias(FUNCTION, "live")
    assert state is not None
    assert '"line":2' in state.note
