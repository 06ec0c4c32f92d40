"""``releases.settle``: waiting for Lambda, and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.names import ByVersion
from releases.errors import DisagreementError, NotDeployedError, UnfitVersionError
from releases.ports import FunctionConfig
from releases.settle import ACTIVE_PATIENCE_S, UPDATE_PATIENCE_S, wait_for_update, wait_until_active
from tests.unit.releases.world import STAGE, StillClock, World

FUNCTION = function_name(STAGE, "digits")


class Scripted:
    """Reads of a configuration, one state after the other; the last one stays."""

    def __init__(self, config: FunctionConfig, **steps: list[Any]) -> None:
        count = max(len(values) for values in steps.values())
        self._reads = [
            replace(config, **{name: values[min(at, len(values) - 1)] for name, values in steps.items()})
            for at in range(count)
        ]
        self.woken = 0

    def config(self, *_: Any) -> FunctionConfig:
        return self._reads.pop(0) if len(self._reads) > 1 else self._reads[0]

    def invoke(self, *_: Any) -> None:
        self.woken += 1


@pytest.fixture
def config(world: World) -> FunctionConfig:
    found = world.functions.config(FUNCTION)
    assert found is not None
    return found


def test_an_update_is_waited_for_and_its_last_revision_returned(config: FunctionConfig) -> None:
    """Law 9: the revision changes when the update settles."""
    script = Scripted(config, update=["InProgress", "InProgress", "Successful"], revision=["a", "a", "b"])
    assert wait_for_update(script, StillClock(), FUNCTION).revision == "b"  # type: ignore[arg-type]


def test_a_failed_update_is_an_error_with_lambdas_reason(config: FunctionConfig) -> None:
    script = Scripted(config, update=["InProgress", "Failed"], update_reason=["", "layer gone"])
    with pytest.raises(DisagreementError, match="layer gone"):
        wait_for_update(script, StillClock(), FUNCTION)  # type: ignore[arg-type]


def test_an_update_that_never_ends_is_given_up(config: FunctionConfig) -> None:
    clock = StillClock()
    began = clock.now()
    with pytest.raises(DisagreementError, match="still being updated"):
        wait_for_update(Scripted(config, update=["InProgress"]), clock, FUNCTION)  # type: ignore[arg-type]
    assert clock.now() - began == pytest.approx(UPDATE_PATIENCE_S, abs=5)


def test_a_pending_version_is_waited_for_minutes(config: FunctionConfig) -> None:
    script = Scripted(config, state=["Pending"] * 50 + ["Active"])
    assert wait_until_active(script, StillClock(), FUNCTION, "1").state == "Active"  # type: ignore[arg-type]


def test_a_version_that_stays_pending_is_given_up(config: FunctionConfig) -> None:
    clock = StillClock()
    began = clock.now()
    with pytest.raises(UnfitVersionError, match="still Pending"):
        wait_until_active(Scripted(config, state=["Pending"]), clock, FUNCTION, "1")  # type: ignore[arg-type]
    assert clock.now() - began == pytest.approx(ACTIVE_PATIENCE_S, abs=5)


def test_a_failed_version_says_why(config: FunctionConfig) -> None:
    script = Scripted(config, state=["Failed"], state_reason=["out of memory in init"])
    with pytest.raises(UnfitVersionError, match="out of memory in init"):
        wait_until_active(script, StillClock(), FUNCTION, "1")  # type: ignore[arg-type]


def test_an_inactive_version_is_woken_by_a_call(config: FunctionConfig) -> None:
    script = Scripted(config, state=["Inactive", "Pending", "Active"])
    wait_until_active(script, StillClock(), FUNCTION, "1")  # type: ignore[arg-type]
    assert script.woken == 1


def test_what_does_not_exist_is_refused(new_world: Callable[..., World]) -> None:
    world = new_world()
    with pytest.raises(NotDeployedError):
        wait_for_update(world.functions, world.clock, FUNCTION)
    world.deploy()
    with pytest.raises(NotDeployedError, match="version 99"):
        wait_until_active(world.functions, world.clock, FUNCTION, "99")
    world.publish(1)
    assert world.controller().release(ByVersion("digits", 1)).line is not None
