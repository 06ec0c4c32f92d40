"""``releases.controller`` on the shipped fakes: the laws of releasing, one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from model_store.contract import environment as env
from model_store.contract.deployment import function_name
from model_store.contract.errors import NotFoundError
from model_store.contract.extensions import DOMAIN, OPERATORS
from model_store.contract.manifest import NO_GOLDEN, PICTURES
from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.errors import (
    LostRaceError,
    NotDeployedError,
    NothingToRollBackError,
    UnfitVersionError,
)
from releases.ports import FunctionConfig
from tests.unit.releases.world import STAGE, Around, World, honest, respond

FUNCTION = function_name(STAGE, "digits")


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


def test_before_the_first_release_the_alias_answers_503(world: World) -> None:
    assert world.ask() == (503, "")
    assert world.status().version == 0


def test_a_release_makes_the_alias_serve_the_version(world: World) -> None:
    moved = world.controller().release(ref(1), reason="first")
    assert world.ask() == (200, "digits:1")
    assert moved.line is not None
    assert (moved.line.line, moved.line.plan.kind, moved.line.plan.reason) == (1, "release", "first")


def test_releasing_what_is_live_moves_nothing(world: World) -> None:
    world.controller().release(ref(1))
    assert world.controller().release(ref(1)).line is None
    assert len(world.controller().history("digits")) == 1


def test_rolling_back_twice_goes_back_two_steps(world: World) -> None:
    """Law 6: two rollbacks go back two steps, they do not ping-pong."""
    for version in (1, 2, 3):
        world.controller().release(ref(version))
    assert world.controller().rollback("digits").ref == ref(2)
    assert world.ask() == (200, "digits:2")
    assert world.controller().rollback("digits").ref == ref(1)
    assert world.ask() == (200, "digits:1")


def test_rolling_back_further_than_there_is_history_is_refused(world: World) -> None:
    world.controller().release(ref(1))
    with pytest.raises(NothingToRollBackError, match="no earlier release"):
        world.controller().rollback("digits")
    assert world.ask() == (200, "digits:1")


def test_rolling_back_what_was_never_released_is_refused(world: World) -> None:
    with pytest.raises(NothingToRollBackError, match="has not been released yet"):
        world.controller().rollback("digits")


def test_a_rollback_to_a_version_strikes_out_everything_after_it(world: World) -> None:
    """Law 6: only backwards; what was passed over is not gone back to either."""
    world.publish(4)
    for version in (1, 2, 3, 4):
        world.controller().release(ref(version))
    moved = world.controller().rollback("digits", to=2, reason="3 and 4 are wrong")
    assert (moved.ref, world.ask()) == (ref(2), (200, "digits:2"))
    with pytest.raises(NothingToRollBackError, match=r"`digits:3` is no earlier release .* `digits:1`"):
        world.controller().rollback("digits", to=3)
    assert world.controller().rollback("digits").ref == ref(1)


def test_a_rollback_to_what_serves_already_moves_nothing(world: World) -> None:
    for version in (1, 2):
        world.controller().release(ref(version))
    assert world.controller().rollback("digits", to=1).line is not None
    assert world.controller().rollback("digits", to=1).line is None
    assert world.ask() == (200, "digits:1")


def test_a_rollback_to_a_version_that_was_in_force_twice_takes_the_later_time(world: World) -> None:
    for version in (1, 2, 1, 3):
        world.controller().release(ref(version))
    world.controller().rollback("digits", to=1)
    assert world.controller().rollback("digits").ref == ref(2)


def test_a_rollback_to_a_version_that_was_never_live_names_what_is_possible(world: World) -> None:
    for version in (1, 2):
        world.controller().release(ref(version))
    with pytest.raises(NothingToRollBackError, match="these are: `digits:1`") as refused:
        world.controller().rollback("digits", to=3)
    assert refused.value.hint == "Go back to one of them, or release it: `yard release digits:3`."
    assert world.ask() == (200, "digits:2")


def test_a_rollback_to_what_the_ledger_says_puts_back_an_alias_moved_by_hand(world: World) -> None:
    """Law 3."""
    for version in (1, 2):
        world.controller().release(ref(version))
    first = world.controller().history("digits")[0].plan.lambda_version
    world.functions.meddle(FUNCTION, "live", version=first)
    world.controller().rollback("digits", to=2)
    assert world.ask() == (200, "digits:2")
    assert world.status().disagreements == ()


def test_a_rollback_publishes_nothing(world: World) -> None:
    """Law 6: no build, no download, no new capacity."""
    for version in (1, 2):
        world.controller().release(ref(version))
    before = world.functions.config(FUNCTION)
    world.said.clear()
    world.controller().rollback("digits")
    assert world.functions.config(FUNCTION) == before
    assert world.said == ["moving digits@live back to digits:1"]


def test_after_a_rollback_a_release_goes_on_from_there(world: World) -> None:
    for version in (1, 2):
        world.controller().release(ref(version))
    world.controller().rollback("digits")
    world.controller().release(ref(3))
    assert world.controller().rollback("digits").ref == ref(1)


def test_the_ledger_forgets_nothing(world: World) -> None:
    for version in (1, 2):
        world.controller().release(ref(version))
    world.controller(by="bob").rollback("digits", reason="errors")
    lines = world.controller().history("digits")
    assert [(line.line, line.version, line.plan.kind) for line in lines] == [
        (1, 1, "release"),
        (2, 2, "release"),
        (3, 1, "rollback"),
    ]
    assert (lines[-1].plan.by, lines[-1].plan.reason, lines[-1].plan.from_version) == ("bob", "errors", 2)


def test_a_version_that_was_never_published_is_refused(world: World) -> None:
    with pytest.raises(NotFoundError):
        world.controller().release(ref(9))


def test_a_model_that_is_not_deployed_is_refused(world: World) -> None:
    world.publish(1, model="letters")
    with pytest.raises(NotDeployedError, match="letters"):
        world.controller().release(ByVersion("letters", 1))


def lying(config: FunctionConfig, event: dict[str, Any]) -> dict[str, Any]:
    """A function whose version 2 computes something else than at publish."""
    if config.environment.get("SWITCHYARD_VERSION") == "2" and event["rawPath"].endswith("/infer"):
        return respond(
            config, 200, {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [9.0]}]}
        )
    return honest(config, event)


def crashing(config: FunctionConfig, event: dict[str, Any]) -> dict[str, Any]:
    """A function whose version 2 dies at start."""
    if config.environment.get("SWITCHYARD_VERSION") == "2":
        raise MemoryError("cannot allocate 9 GB")
    return honest(config, event)


def impostor(config: FunctionConfig, event: dict[str, Any]) -> dict[str, Any]:
    """A function whose version 2 serves other bytes than it was released with."""
    answer = honest(config, event)
    if config.environment.get("SWITCHYARD_VERSION") == "2":
        answer["headers"]["x-switchyard-digest"] = "sha256:" + "0" * 64
    return answer


@pytest.mark.parametrize(
    ("play", "reason"),
    [(lying, "golden sample"), (crashing, "cannot allocate"), (impostor, "digest")],
    ids=["wrong numbers", "dies at start", "wrong bytes"],
)
def test_a_version_that_fails_a_check_changes_nothing(
    new_world: Callable[..., World], play: Any, reason: str
) -> None:
    """Law 5: a failed release changes nothing. Law 2: the digest is checked at release."""
    world = new_world(play)
    world.deploy()
    for version in (1, 2):
        world.publish(version)
    world.controller().release(ref(1))
    with pytest.raises(UnfitVersionError, match=reason):
        world.controller().release(ref(2))
    assert world.ask() == (200, "digits:1")
    assert [line.version for line in world.controller().history("digits")] == [1]
    assert world.status().disagreements == ()
    latest = world.functions.config(FUNCTION)
    assert latest is not None
    assert "SWITCHYARD_VERSION" not in latest.environment


def test_the_function_log_comes_with_the_refusal(new_world: Callable[..., World]) -> None:
    world = new_world(crashing)
    world.deploy()
    world.publish(2)
    with pytest.raises(UnfitVersionError) as refused:
        world.controller().release(ref(2))
    assert any("cannot allocate" in line for line in refused.value.evidence)


def test_of_two_releases_that_saw_the_same_alias_exactly_one_wins(world: World) -> None:
    """Law 3: a flip is a compare-and-swap; the loser is told who won and changes nothing."""

    def interrupt(call: str) -> None:
        """Bob's whole release happens between Ann's last look and her move."""
        if call == "move_alias":
            world.controller(by="bob").release(ref(3))

    world.controller().release(ref(1))
    view = Around(world.functions, before=interrupt)
    with pytest.raises(LostRaceError, match="release to digits:3 by bob"):
        Controller(world.stage(functions=view)).release(ref(2))
    assert world.ask() == (200, "digits:3")
    assert [line.version for line in world.controller().history("digits")] == [1, 3]


def test_a_rollback_wakes_a_version_that_lambda_put_to_sleep(world: World) -> None:
    """Law 6: an idle SnapStart version is Inactive after 14 days; it must answer before it serves."""
    for version in (1, 2):
        world.controller().release(ref(version))
    earlier = world.controller().history("digits")[0].plan.lambda_version
    world.functions.fail_version(FUNCTION, earlier, state="Inactive")
    world.controller().rollback("digits")
    config = world.functions.config(FUNCTION, earlier)
    assert config is not None
    assert config.state == "Active"
    assert world.ask() == (200, "digits:1")


def test_a_rollback_whose_version_is_gone_is_refused(world: World) -> None:
    for version in (1, 2):
        world.controller().release(ref(version))
    world.functions.delete(FUNCTION, world.controller().history("digits")[0].plan.lambda_version)
    with pytest.raises(UnfitVersionError, match="no Lambda version of `digits:1` is left"):
        world.controller().rollback("digits")
    assert world.ask() == (200, "digits:2")


@pytest.mark.parametrize("kind", ["safetensors", "torchscript", "torch-export", "torch-pickle"])
def test_a_kind_that_lambda_cannot_run_is_refused_before_anything_is_packed(world: World, kind: str) -> None:
    """Law 8: refused early, in one sentence. Law 12: code that was let in is not let run here."""
    world.publish(9, kind=kind)
    with pytest.raises(
        UnfitVersionError, match=f"`digits:9` is a {kind} artifact, and a Lambda model must be"
    ):
        world.controller().release(ref(9))
    assert not [said for said in world.said if "packing" in said]


def test_a_version_without_a_golden_sample_is_not_released(world: World) -> None:
    """Law 5: what nothing can check becomes no target."""
    world.publish(9, golden=NO_GOLDEN)
    with pytest.raises(UnfitVersionError, match="has no golden sample"):
        world.controller().release(ref(9))


def test_a_graph_whose_operators_the_runtime_layer_lacks_is_refused_before_anything_is_packed(
    world: World,
) -> None:
    """Law 8: it would fail at init, after minutes."""
    world.publish(9, lineage={OPERATORS: DOMAIN})
    with pytest.raises(UnfitVersionError, match="the runtime layer of `digits` has none of them") as refused:
        world.controller().release(ref(9))
    assert 'runtime = "text"' in (refused.value.hint or "")
    assert not [said for said in world.said if "packing" in said]


@pytest.mark.parametrize("runtime", ["plain", env.TEXT])
def test_a_version_that_takes_files_of_pictures_waits_for_the_layer_that_reads_them(
    world: World, runtime: str
) -> None:
    """Law 8, and ADR 64."""
    world.publish(9, lineage={PICTURES: "image"})
    world.runtime = runtime
    world.deploy()
    with pytest.raises(UnfitVersionError, match="the runtime layer of `digits` cannot read them") as refused:
        world.controller().release(ref(9))
    assert 'runtime = "image"' in (refused.value.hint or "")
    assert not [said for said in world.said if "packing" in said]
    world.runtime = env.IMAGE
    world.deploy()
    world.controller().release(ref(9))
    assert world.ask() == (200, "digits:9")


def test_with_the_text_layer_the_same_graph_is_released(world: World) -> None:
    world.publish(9, lineage={OPERATORS: DOMAIN})
    world.runtime = env.TEXT
    world.deploy()
    world.controller().release(ref(9))
    assert world.ask() == (200, "digits:9")
