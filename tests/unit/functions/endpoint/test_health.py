"""``functions.endpoint.health``: four states, told apart."""

from __future__ import annotations

from functions.endpoint.health import Health, State


def test_a_server_starts_and_becomes_ready() -> None:
    health = Health()
    assert (health.state, health.is_ready) == (State.STARTING, False)
    health.ready()
    assert health.is_ready


def test_a_broken_server_does_not_become_ready_again() -> None:
    health = Health()
    health.broken("lost its device")
    health.ready()
    assert (health.state, health.reason) == (State.BROKEN, "lost its device")


def test_a_draining_server_stays_one() -> None:
    health = Health()
    health.ready()
    health.draining()
    health.ready()
    health.broken("too late")
    assert health.state is State.DRAINING
