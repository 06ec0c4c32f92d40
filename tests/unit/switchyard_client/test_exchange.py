"""How a call is repeated, step by step and without a clock."""

from __future__ import annotations

import pytest

from switchyard_client.errors import BadRequestError, ServerFaultError, TimedOutError, UnreachableError
from switchyard_client.exchange import REPEATED, Reply, Retries, Send, Wait, accepted, ask

REQUEST = Send("POST", "http://x/v2")
FINE = Reply(200, {}, b"{}")


def play(outcomes: list[Reply | Exception], retries: Retries) -> tuple[list[float], Reply]:
    """Let ``outcomes`` happen one after the other; return the waits and what came of it."""
    call = ask(REQUEST, retries, jitter=lambda: 1.0)
    waits: list[float] = []
    step = next(call)
    left = list(outcomes)
    try:
        while True:
            if isinstance(step, Wait):
                waits.append(step.seconds)
                step = call.send(None)
                continue
            assert step is REQUEST
            outcome = left.pop(0)
            step = call.throw(outcome) if isinstance(outcome, Exception) else call.send(outcome)
    except StopIteration as done:
        assert not left
        return waits, done.value


@pytest.mark.parametrize("status", sorted(REPEATED))
def test_a_passing_failure_is_repeated(status: int) -> None:
    waits, reply = play([Reply(status, {}, b""), FINE], Retries(first_wait_s=0.5))
    assert (waits, reply) == ([0.5], FINE)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_would_be_refused_again_is_not_repeated(status: int) -> None:
    waits, reply = play([Reply(status, {}, b"")], Retries())
    assert (waits, reply.status) == ([], status)


def test_waits_grow_and_end() -> None:
    failures: list[Reply | Exception] = [Reply(503, {}, b"")] * 6
    waits, reply = play(failures, Retries(attempts=6, first_wait_s=1, longest_wait_s=5))
    assert waits == [1, 2, 4, 5, 5]
    assert reply.status == 503


def test_a_broken_connection_is_repeated_and_then_said() -> None:
    waits, reply = play([UnreachableError("gone"), FINE], Retries())
    assert (len(waits), reply) == (1, FINE)
    with pytest.raises(UnreachableError, match="gone for good"):
        play([UnreachableError("gone"), UnreachableError("gone for good")], Retries(attempts=2))


def test_a_timeout_is_not_repeated() -> None:
    with pytest.raises(TimedOutError):
        play([TimedOutError("late")], Retries())


def test_a_server_says_how_long_to_wait_and_is_heard_within_reason() -> None:
    policy = Retries(attempts=5, first_wait_s=0.1, longest_wait_s=3)
    asked: list[Reply | Exception] = [
        Reply(429, {"retry-after": said}, b"") for said in ("2", "60", "Wed, 21 Oct 2026 07:28:00 GMT")
    ]
    waits, _ = play([*asked, FINE], policy)
    assert waits == [2, 3, 0.4]


def test_jitter_spreads_callers_that_failed_together() -> None:
    policy = Retries(first_wait_s=1)
    assert [policy.wait_s(1, jitter=j) for j in (0.0, 0.25, 1.0)] == [0.0, 0.25, 1.0]


def test_an_error_answer_becomes_the_error_it_is() -> None:
    assert accepted(FINE) is FINE
    with pytest.raises(BadRequestError, match=r"^no such input$"):
        accepted(Reply(400, {}, b'{"error":"no such input"}'))
    with pytest.raises(ServerFaultError, match=r"^gateway trouble$"):
        accepted(Reply(502, {}, b"gateway trouble"))
    with pytest.raises(ServerFaultError, match=r"^the server answered 500$"):
        accepted(Reply(500, {}, b""))
