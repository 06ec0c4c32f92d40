"""``releases.rebase``: what a model needs on another base, and the moves that take it there and back.

What a deploy makes of it is told in ``test_deploy``, what waves make of it in ``test_waving``.
"""

from __future__ import annotations

from model_store.contract.names import ByVersion
from releases.bases import current_base
from releases.rebase import carry_out, needed, prepare_rebase, put_back
from tests.unit.releases.world import World


def on_another_base(world: World) -> None:
    """Versions 1 and 2 were released, and a deploy has left a larger base without moving anything."""
    for version in (1, 2):
        world.controller().release(ByVersion("digits", version))
    world.memory_mb = 1024
    world.deploy(rebase=False)


def test_needed_is_what_serves_and_the_steps_back_that_are_kept(world: World) -> None:
    on_another_base(world)
    base = current_base(world.store, "digits")
    found = needed(world.stage(), world.declared(), base)
    assert (found.versions, found.warmed) == ((1, 2), (1, 2))
    assert [version for _, _, version in found.serving] == [2]
    assert needed(world.stage(), world.declared(rollback_depth=0), base).versions == (2,)


def test_preparing_moves_nothing_and_without_publishing_finds_nothing_new(world: World) -> None:
    """Law 5: two phases."""
    on_another_base(world)
    base = current_base(world.store, "digits")
    none = prepare_rebase(world.stage(), world.declared(), base, publish=False)
    assert (none.moves, none.prepared) == ((), ())
    ready = prepare_rebase(world.stage(), world.declared(), base)
    assert ([move.prepared.version for move in ready.moves], world.live_memory_mb()) == ([2], 512)


def test_a_move_can_be_put_back_unless_somebody_moved_since(world: World) -> None:
    """Law 3: the ledger keeps both, and nobody's later decision is undone."""
    on_another_base(world)
    stage = world.stage()
    (move,) = prepare_rebase(stage, world.declared(), current_base(world.store, "digits")).moves
    done = carry_out(stage, move, reason="there")
    assert world.live_memory_mb() == 1024
    back = put_back(stage, move.mover, done, reason="and back")
    assert back is not None
    assert (back.plan.kind, back.version, world.live_memory_mb()) == ("rebase", 2, 512)
    assert put_back(stage, move.mover, done, reason="again") is None
