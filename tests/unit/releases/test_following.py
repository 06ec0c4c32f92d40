"""``releases.following``: gRPC calls go where the alias goes, after every kind of move and every crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from model_store.contract.deployment import alarms_prefix, function_name
from model_store.contract.names import ByVersion
from releases.errors import DisagreementError, ServiceError
from releases.following import agree
from releases.undo import undo
from tests.unit.releases.heavy import HeavyWorld
from tests.unit.releases.world import STAGE

FUNCTION = function_name(STAGE, "digits")


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


@pytest.fixture
def fleets() -> HeavyWorld:
    """``digits`` on EC2: three versions with fleets, of which 1 and then 2 were released."""
    made = HeavyWorld(target="ec2")
    made.deploy()
    for version in (1, 2, 3):
        made.publish(version)
    made.provision(1, 2, 3)
    for version in (1, 2):
        made.controller().release(ref(version))
    return made


def led(world: HeavyWorld, alias: str = "live") -> dict[int, float]:
    """The share of each version, as the load balancer has it."""
    found = world.grpc.led("digits", alias)
    assert found is not None
    versions = {world.endpoint(version): version for version in (1, 2, 3)}
    return {versions[name]: round(share, 3) for name, share in found.items()}


def test_a_release_and_a_rollback_take_grpc_calls_along(fleets: HeavyWorld) -> None:
    assert led(fleets) == {2: 1.0}
    moved = fleets.controller().rollback("digits")
    assert (led(fleets), moved.warnings) == ({1: 1.0}, ())
    fleets.controller().flip(ref(2), reason="now")
    assert led(fleets) == {2: 1.0}
    assert fleets.status().disagreements == ()


def test_before_the_first_release_and_after_a_retirement_nobody_answers(fleets: HeavyWorld) -> None:
    fleets.controller().retire("digits")
    assert led(fleets) == {}
    made = HeavyWorld(target="ec2")
    made.deploy()
    made.publish(1)
    made.provision(1)
    assert made.grpc.led("digits", "live") == {}
    assert made.status().disagreements == ()


def test_each_step_of_a_shift_gives_grpc_calls_the_same_shares(fleets: HeavyWorld) -> None:
    seen: list[dict[int, float]] = []

    def between(at: dict[str, Any]) -> None:
        if at["next"] == "bake":
            seen.append(led(fleets))
            assert fleets.status().disagreements == ()
            fleets.traffic(100)

    assert fleets.drive(fleets.begin(3, 0.05, 0.5), between) == "done"
    assert seen == [{2: 0.95, 3: 0.05}, {2: 0.5, 3: 0.5}]
    assert led(fleets) == {3: 1.0}


@pytest.mark.parametrize("how", ["stop", "alarm", "rollback"])
def test_a_shift_that_is_taken_back_takes_grpc_calls_back(fleets: HeavyWorld, how: str) -> None:
    shift = fleets.begin(3, 0.1)

    def between(at: dict[str, Any]) -> None:
        if at["next"] != "bake":
            return
        assert led(fleets) == {2: 0.9, 3: 0.1}
        if how == "stop":
            fleets.shifting().stop("digits", reason="enough")
        elif how == "rollback":
            fleets.controller().rollback("digits")
        else:
            fleets.clock.sleep(30)
            fleets.traffic(100, faults=100)
            fleets.clock.sleep(5)
            name = f"{alarms_prefix(STAGE, 'digits', 'live')}{shift.id}/faults"
            assert "took the share" in undo(fleets.stage(by="alarm"), name, "Threshold Crossed")
        assert led(fleets) == {2: 1.0}

    fleets.drive(shift, between)
    assert led(fleets) == {2: 1.0}
    assert fleets.status().disagreements == ()


def test_an_alarm_that_undoes_a_release_takes_grpc_calls_back(fleets: HeavyWorld) -> None:
    fleets.controller().release(ref(3))
    prefix = alarms_prefix(STAGE, "digits", "live")
    fleets.clock.sleep(60)
    fleets.traffic(20, faults=20, weighted=False)
    fleets.clock.sleep(5)
    (name,) = [name for name in fleets.monitoring.alarms(prefix) if name.endswith("/faults")]
    assert "took digits@live back" in undo(fleets.stage(by="alarm"), name, "Threshold Crossed")
    assert led(fleets) == {2: 1.0}


Again = Callable[[HeavyWorld], Any]


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (lambda world: world.controller().release(ref(3)), {3: 1.0}),
        (lambda world: world.controller().rollback("digits", to=1), {1: 1.0}),
        (lambda world: world.controller().flip(ref(1), reason="now"), {1: 1.0}),
        (lambda world: world.controller().retire("digits"), {}),
    ],
    ids=["release", "rollback", "flip", "retire"],
)
def test_what_failed_after_the_move_is_named_and_the_same_command_again_completes_it(
    fleets: HeavyWorld, move: Again, expected: dict[int, float]
) -> None:
    """Law 3: the move stands, the disagreement is named, repeating is enough."""
    fleets.grpc.fails = 1
    moved = move(fleets)
    assert moved.line is not None
    assert any("gRPC calls of `digits@live`" in said for said in moved.warnings)
    assert led(fleets) == {2: 1.0}
    (said,) = fleets.status().disagreements
    assert said.startswith("gRPC calls go to version 2 (`")
    again = move(fleets)
    assert again.line is None
    assert led(fleets) == expected
    assert fleets.status().disagreements == ()


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("move", ["release", "rollback", "rollback-to"])
def test_a_command_that_dies_between_the_alias_and_grpc_is_completed_by_itself_again(
    fleets: HeavyWorld, move: str
) -> None:
    """Law 3. A rollback that is repeated goes on with the same step and not one more back."""
    fleets.controller().release(ref(3))
    lead, left = fleets.grpc.lead, [1]

    def dies(model: str, alias: str, shares: dict[str, float]) -> None:
        if left:
            left.pop()
            raise Killed
        lead(model, alias, shares)

    fleets.grpc.lead = dies  # type: ignore[method-assign,assignment]

    def again() -> Any:
        if move == "release":
            return fleets.controller().release(ref(1))
        return fleets.controller().rollback("digits", to=2 if move == "rollback-to" else None)

    with pytest.raises(Killed):
        again()
    expected = {1: 1.0} if move == "release" else {2: 1.0}
    assert led(fleets) == {3: 1.0}
    assert fleets.status().disagreements
    again()
    assert led(fleets) == expected
    assert fleets.status().disagreements == ()


@pytest.mark.parametrize(
    ("move", "way"),
    [
        (lambda world: world.controller().release(ref(3)), "`yard release digits:3` again moves them"),
        (lambda world: world.controller().retire("digits"), "`yard retire digits` again ends that"),
    ],
    ids=["release", "retire"],
)
def test_a_disagreement_says_what_to_type(fleets: HeavyWorld, move: Again, way: str) -> None:
    fleets.grpc.fails = 1
    move(fleets)
    (said,) = fleets.status().disagreements
    assert said.endswith(way)


def test_a_shift_whose_step_did_not_reach_grpc_is_put_right_by_its_next_state(fleets: HeavyWorld) -> None:
    fleets.grpc.fails = 1

    def between(at: dict[str, Any]) -> None:
        if at["next"] == "bake" and led(fleets) == {2: 1.0}:
            (said,) = fleets.status().disagreements
            assert "`yard stop digits` ends the shift" in said
            fleets.traffic(10)
        elif at["next"] == "hold":
            assert led(fleets) == {2: 0.9, 3: 0.1}
            fleets.traffic(100)

    assert fleets.drive(fleets.begin(3, 0.1), between) == "done"
    assert led(fleets) == {3: 1.0}


def test_aliases_are_led_each_by_itself(fleets: HeavyWorld) -> None:
    fleets.deploy(aliases=("live", "candidate"))
    fleets.controller().release(ref(3), alias="candidate")
    assert (led(fleets), led(fleets, "candidate")) == ({2: 1.0}, {3: 1.0})


def test_a_deploy_moves_no_grpc_call_to_another_version_and_leads_them_to_new_fleets(
    fleets: HeavyWorld,
) -> None:
    """Law 4: what is live is the alias's to say; a changed image is another fleet of the same version."""
    fleets.controller().rollback("digits")
    fleets.deploy()
    assert led(fleets) == {1: 1.0}
    before = fleets.endpoint(1)
    fleets.configuration = "ffff0000"
    fleets.provision(1, 2, 3)
    fleets.deploy()
    assert fleets.endpoint(1) != before
    assert led(fleets) == {1: 1.0}


def test_a_deploy_that_cannot_lead_grpc_calls_to_the_new_fleets_takes_its_moves_back(
    fleets: HeavyWorld,
) -> None:
    """The old fleets would be deleted next, under the calls that still go to them."""
    before = fleets.functions.alias(FUNCTION, "live")
    fleets.configuration = "ffff0000"
    fleets.provision(1, 2, 3)
    fleets.grpc.fails = 2
    with pytest.raises(DisagreementError, match="may not go where its alias is"):
        fleets.deploy()
    after = fleets.functions.alias(FUNCTION, "live")
    assert before is not None
    assert after is not None
    assert after.version == before.version
    fleets.configuration = "0123abcd"
    assert led(fleets) == {2: 1.0}


def test_a_deploy_puts_right_what_an_interrupted_move_left(fleets: HeavyWorld) -> None:
    fleets.grpc.fails = 1
    fleets.controller().release(ref(3))
    fleets.deploy()
    assert led(fleets) == {3: 1.0}


def test_who_follows_an_older_move_looks_again(fleets: HeavyWorld) -> None:
    """Of two moves the later one is followed last, whoever comes to the load balancer last."""
    lead = fleets.grpc.lead
    others = [ref(1)]

    def slow(model: str, alias: str, shares: dict[str, float]) -> None:
        if others:
            fleets.controller().flip(others.pop(), reason="quicker")
        lead(model, alias, shares)

    fleets.grpc.lead = slow  # type: ignore[method-assign,assignment]
    fleets.controller().release(ref(3))
    assert led(fleets) == {1: 1.0}


def test_models_elsewhere_are_not_looked_at() -> None:
    made = HeavyWorld()

    def never(*_: object) -> None:
        raise ServiceError("nobody should ask")

    made.grpc.led = never  # type: ignore[method-assign,assignment]
    made.deploy()
    made.publish(1)
    made.provision(1)
    assert made.controller().release(ref(1)).warnings == ()
    assert made.status().disagreements == ()


def test_shares_agree_as_near_as_whole_weights_can_say_them() -> None:
    assert agree({"a": 949 / 999, "b": 50 / 999}, {"a": 0.95, "b": 0.05})
    assert not agree({"a": 0.9, "b": 0.1}, {"a": 0.95, "b": 0.05})
    assert not agree({"a": 1.0}, {"b": 1.0})
