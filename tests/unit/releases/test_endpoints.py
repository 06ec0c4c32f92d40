"""``releases.endpoints``: no alias leads to an endpoint that is not there, or is another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from model_store.contract import environment as env
from model_store.contract.deployment import function_name
from model_store.contract.manifest import NO_GOLDEN
from model_store.contract.names import ByVersion
from releases.deploy import Deploy
from releases.endpoints import FLOOR_PATIENCE_S, SERVICE_PATIENCE_S, kept_warm
from releases.errors import (
    DisagreementError,
    ReleaseError,
    ServiceError,
    StillLiveError,
    UnfitVersionError,
    UnprovisionedError,
)
from releases.kept import DeclaredVersions
from releases.needs import needed
from releases.shadowing import Shadowing
from releases.status import endpoints_of
from tests.unit.releases.heavy import HeavyWorld
from tests.unit.releases.world import STAGE, World

FUNCTION = function_name(STAGE, "digits")


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


def published(made: HeavyWorld) -> HeavyWorld:
    made.deploy()
    for version in (1, 2, 3):
        made.publish(version)
    return made


@pytest.fixture
def heavy() -> HeavyWorld:
    """A deployed stage; ``digits`` has three versions, of which 1 and 2 have endpoints."""
    made = published(HeavyWorld())
    made.provision(1, 2)
    return made


def test_a_released_version_pins_its_endpoint_and_carries_no_files(heavy: HeavyWorld) -> None:
    heavy.controller().release(ref(1))
    state = heavy.functions.alias(FUNCTION, "live")
    assert state is not None
    config = heavy.functions.config(FUNCTION, state.version)
    assert config is not None
    assert config.environment[env.ENDPOINT] == heavy.endpoint(1)
    assert b"files/" not in heavy.functions.layer(config.layers[-1])
    assert heavy.ask() == (200, "digits:1")


def test_flips_and_rollbacks_are_those_of_lambda_models(heavy: HeavyWorld) -> None:
    """Law 6: a rollback is a flip, whatever the target. The endpoints are not touched."""
    for version in (1, 2):
        heavy.controller().release(ref(version))
    assert heavy.status().rollback_ready
    assert heavy.controller().rollback("digits").ref == ref(1)
    assert heavy.ask() == (200, "digits:1")
    kinds = [line.plan.kind for line in heavy.controller().history("digits")]
    assert kinds == ["release", "release", "rollback"]


def test_a_version_without_an_endpoint_is_refused_with_the_command_that_makes_one(heavy: HeavyWorld) -> None:
    with pytest.raises(UnprovisionedError, match="`digits:3` has no endpoint on stage `test`") as refused:
        heavy.controller().release(ref(3))
    assert refused.value.hint == "Run `yard provision digits:3 --stage test`."
    assert heavy.ask()[0] == 503
    assert heavy.controller().history("digits") == []


def test_an_endpoint_that_is_being_made_is_waited_for() -> None:
    heavy = published(HeavyWorld(reads_until_ready=3))
    heavy.provision(1)
    heavy.controller().release(ref(1))
    assert heavy.ask() == (200, "digits:1")
    assert "waiting for the endpoint of digits:1, which is Creating" in heavy.said


def test_an_endpoint_that_never_comes_is_given_up(heavy: HeavyWorld) -> None:
    heavy.provision(3, status="Creating")
    before = heavy.clock.now()
    with pytest.raises(UnfitVersionError, match="is Creating"):
        heavy.controller().release(ref(3))
    assert heavy.clock.now() - before >= SERVICE_PATIENCE_S


def test_a_release_waits_for_the_machines_of_the_floor(heavy: HeavyWorld) -> None:
    """One machine in the place of eight would be live, and swamped."""
    heavy.floor = 4
    heavy.deploy()
    heavy.endpoints.grow(heavy.endpoint(1), 4)
    heavy.controller().release(ref(1))
    state = heavy.endpoints.describe(heavy.endpoint(1))
    assert state is not None
    assert state.instances == 4
    assert "waiting for machines of digits:1: 1 of 4" in heavy.said
    assert heavy.ask() == (200, "digits:1")


def test_machines_that_do_not_come_are_not_released_onto(heavy: HeavyWorld) -> None:
    heavy.floor = 4
    heavy.deploy()
    heavy.endpoints.grow(heavy.endpoint(1), 3)
    before = heavy.clock.now()
    with pytest.raises(UnfitVersionError, match="has 3 of the 4 machines it needs") as refused:
        heavy.controller().release(ref(1))
    assert "min_instances" in str(refused.value.hint)
    assert heavy.clock.now() - before >= FLOOR_PATIENCE_S
    assert heavy.controller().history("digits") == []
    # Nothing holds it against the version: with the fourth machine it goes.
    heavy.endpoints.grow(heavy.endpoint(1), 4)
    heavy.controller().release(ref(1))
    assert heavy.ask() == (200, "digits:1")


def test_a_rollback_does_not_wait_for_machines(heavy: HeavyWorld) -> None:
    """Law 6: a way back is a flip."""
    heavy.floor = 4
    heavy.deploy()
    for version in (1, 2):
        heavy.endpoints.grow(heavy.endpoint(version), 4)
        heavy.controller().release(ref(version))
    heavy.endpoints.grow(heavy.endpoint(1), 0)
    heavy.endpoints.change(heavy.endpoint(1), instances=1)
    before = heavy.clock.now()
    heavy.controller().rollback("digits")
    assert heavy.ask() == (200, "digits:1")
    assert heavy.clock.now() - before < FLOOR_PATIENCE_S


def test_an_endpoint_that_failed_says_why(heavy: HeavyWorld) -> None:
    heavy.provision(3, status="Failed", reason="The primary container did not pass the ping health check")
    with pytest.raises(UnfitVersionError, match="did not pass the ping") as refused:
        heavy.controller().release(ref(3))
    assert heavy.endpoint(3) in str(refused.value.hint)


@pytest.mark.parametrize(
    "told", [{env.VERSION: "2"}, {env.DIGEST: "sha256:" + "0" * 64}, {env.MODEL: "other"}, {env.DIGEST: ""}]
)
def test_an_endpoint_that_was_put_back_in_silence_is_noticed(heavy: HeavyWorld, told: dict[str, str]) -> None:
    """Law 9: in service, without a reason, and serving something else."""
    state = heavy.endpoints.describe(heavy.endpoint(1))
    assert state is not None
    heavy.endpoints.change(heavy.endpoint(1), environment=state.environment | told)
    with pytest.raises(DisagreementError, match="was made for"):
        heavy.controller().release(ref(1))
    assert heavy.controller().history("digits") == []


def test_another_configuration_is_another_endpoint(heavy: HeavyWorld) -> None:
    """Law 4: a new image or machine is rolled out by releasing what is live on it."""
    heavy.controller().release(ref(1))
    heavy.configuration = "ffff0000"
    with pytest.raises(UnprovisionedError):
        heavy.deploy()
    assert heavy.ask() == (200, "digits:1")
    heavy.provision(1)
    heavy.deploy()
    state = heavy.functions.alias(FUNCTION, "live")
    assert state is not None
    config = heavy.functions.config(FUNCTION, state.version)
    assert config is not None
    assert config.environment[env.ENDPOINT].endswith("-ffff0000")


def test_no_way_back_leads_to_an_endpoint_that_is_gone(heavy: HeavyWorld) -> None:
    for version in (1, 2):
        heavy.controller().release(ref(version))
    heavy.endpoints.delete(heavy.endpoint(1))
    assert not heavy.status().rollback_ready
    with pytest.raises(UnprovisionedError, match="`digits:1` is gone"):
        heavy.controller().rollback("digits")
    with pytest.raises(UnprovisionedError, match="`digits:1` is gone"):
        heavy.controller().flip(ref(1), reason="now")
    assert heavy.ask() == (200, "digits:2")


def test_a_shadow_and_its_mirror_ask_each_the_endpoint_of_its_own_version(heavy: HeavyWorld) -> None:
    heavy.controller().release(ref(1))
    Shadowing(heavy.stage()).begin(ref(2), share=0.5)
    state = heavy.functions.alias(FUNCTION, "live")
    assert state is not None
    (mirror,) = state.weights
    for qualifier, version in ((mirror, 1), ("shadow_live", 2)):
        led = heavy.functions.alias(FUNCTION, qualifier)
        config = heavy.functions.config(FUNCTION, led.version if led else qualifier)
        assert config is not None
        assert config.environment[env.ENDPOINT] == heavy.endpoint(version)
        assert (env.SHADOW in config.environment) is (version == 1)
        assert heavy.ask(qualifier=qualifier) == (200, f"digits:{version}")


def test_what_another_s_container_answers_is_compared_with_nothing(heavy: HeavyWorld) -> None:
    heavy.own_image = True
    heavy.deploy()
    heavy.controller().release(ref(1))
    with pytest.raises(ReleaseError, match="whose answers nothing here can compare"):
        Shadowing(heavy.stage()).begin(ref(2), share=0.5)
    assert heavy.ask() == (200, "digits:1")


class Silent:
    """SageMaker's control plane does not answer."""

    def describe(self, name: str) -> Any:
        raise ServiceError(f"AWS did not answer for `{name}`")

    def status(self, name: str) -> Any:
        raise ServiceError(f"AWS did not answer for `{name}`")

    def names(self, prefix: str) -> list[str]:
        raise ServiceError(f"AWS did not answer for `{prefix}`")


def test_a_way_back_does_not_wait_for_sagemaker(heavy: HeavyWorld) -> None:
    """Law 6: rollback needs Lambda's alias and nothing else."""
    from releases.controller import Controller

    for version in (1, 2):
        heavy.controller().release(ref(version))
    moved = Controller(heavy.stage(endpoints=Silent())).rollback("digits")
    assert moved.ref == ref(1)
    assert any("is not known" in said for said in moved.warnings)


def test_status_names_an_alias_whose_endpoint_is_gone(heavy: HeavyWorld) -> None:
    heavy.controller().release(ref(1))
    assert heavy.status().disagreements == ()
    heavy.endpoints.delete(heavy.endpoint(1))
    (said,) = heavy.status().disagreements
    assert "is gone" in said
    assert "yard provision" in said


def test_status_says_what_is_kept_warm_and_what_it_costs(heavy: HeavyWorld) -> None:
    heavy.provision(3, instance_type="ml.unheard.of", instances=2)
    one, two, three = endpoints_of(heavy.stage(), "digits")
    assert (one.version, two.version, three.version) == (1, 2, 3)
    assert (one.per_hour, three.per_hour) == (1.408, None)


def test_a_model_on_lambda_has_no_endpoints(world: World) -> None:
    assert endpoints_of(world.stage(), "digits") == []


def test_only_the_models_own_endpoints_are_counted(heavy: HeavyWorld) -> None:
    heavy.endpoints.make("switchyard-test-digits-large-4-abababab-0123abcd", {})
    heavy.endpoints.make("switchyard-test-digits", {})
    assert [item.version for item in kept_warm(heavy.endpoints, STAGE, "digits")] == [1, 2]


def test_the_artifact_of_an_endpoint_is_not_collected(heavy: HeavyWorld) -> None:
    """Law 10: a new machine of the endpoint starts from the artifact."""
    assert needed(heavy.stage()) == {
        ref(1): "an endpoint is made from it, and may read it again",
        ref(2): "an endpoint is made from it, and may read it again",
    }


@pytest.fixture
def own(heavy: HeavyWorld) -> HeavyWorld:
    """The same, with a team's own container on the endpoints."""
    heavy.own_image = True
    heavy.deploy()
    return heavy


@pytest.mark.parametrize("kind", ["safetensors", "torch-export"])
def test_a_team_s_own_container_runs_what_it_runs_and_only_has_to_be_ready(
    own: HeavyWorld, kind: str
) -> None:
    own.publish(7, kind=kind, golden=NO_GOLDEN)
    own.provision(7)
    assert own.controller().release(ByVersion("digits", 7)).ref == ByVersion("digits", 7)


def test_our_own_container_still_wants_what_it_can_run_and_check(heavy: HeavyWorld) -> None:
    heavy.publish(7, kind="torch-pickle")
    heavy.publish(8, golden=NO_GOLDEN)
    heavy.provision(7, 8)
    for version, said in ((7, "torch-pickle artifact"), (8, "no golden sample")):
        with pytest.raises(UnfitVersionError, match=said):
            heavy.controller().release(ByVersion("digits", version))


def test_no_container_gets_what_executes_code_when_it_is_loaded(own: HeavyWorld) -> None:
    """Law 12."""
    own.publish(7, kind="torch-pickle", golden=NO_GOLDEN)
    own.provision(7)
    with pytest.raises(UnfitVersionError, match="torch-pickle"):
        own.controller().release(ByVersion("digits", 7))


THEIRS = "their-endpoint"


@pytest.fixture
def adopting(heavy: HeavyWorld) -> HeavyWorld:
    """A stage whose version 4 was adopted from an endpoint that somebody else made, and serves."""
    heavy.publish(4, lineage={"adopted": f"sagemaker:{THEIRS}"})
    heavy.endpoints.make(THEIRS, {"WHATEVER": "they told it"})
    heavy.controller().release(ref(4))
    return heavy


def test_an_adopted_version_runs_on_the_endpoint_that_was_there_until_the_next_release(
    adopting: HeavyWorld,
) -> None:
    """Law 6: and it is there to go back to, for as long as its owner keeps it."""
    state = adopting.functions.alias(FUNCTION, "live")
    assert state is not None
    config = adopting.functions.config(FUNCTION, state.version)
    assert config is not None
    assert (config.environment[env.ENDPOINT], config.environment[env.OWN_IMAGE]) == (THEIRS, "on")
    assert adopting.ask() == (200, "digits:4")
    adopting.controller().release(ref(1))
    back = adopting.controller().rollback("digits")
    assert (back.ref, adopting.ask()) == (ref(4), (200, "digits:4"))
    adopting.controller().release(ref(2))
    adopting.endpoints.delete(THEIRS)
    with pytest.raises(UnprovisionedError, match="`digits:4` is gone"):
        adopting.controller().rollback("digits")
    with pytest.raises(
        UnprovisionedError, match="was adopted from the endpoint `their-endpoint`, which is gone"
    ):
        adopting.controller().release(ref(4))
    assert adopting.ask() == (200, "digits:2")


def test_a_deploy_takes_an_adopted_version_along_if_the_catalog_still_lets_it_be_asked(
    adopting: HeavyWorld,
) -> None:
    """Laws 4 and 10: it needs no endpoint of ours, and its own may not be forgotten while it is needed."""
    deploy = Deploy(adopting.stage())
    declared = DeclaredVersions(
        "digits", ("live",), "sagemaker", (1, 2), keep_warm_s=3_600, adopted=(THEIRS,)
    )
    deploy.guard_endpoints([declared])
    with pytest.raises(StillLiveError, match="`digits:4`: `digits@live` serves it"):
        deploy.guard_endpoints([replace(declared, adopted=())])
    adopting.controller().release(ref(1))
    adopting.memory_mb = 1024
    adopting.deploy(versions=(1, 2), adopted=(THEIRS,))
    back = adopting.controller().rollback("digits")
    assert (back.warnings, adopting.live_memory_mb(), adopting.ask()) == ((), 1024, (200, "digits:4"))
