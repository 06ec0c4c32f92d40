"""``infra.stacks.rollout``: everything that is re-released together, with the fingerprints that decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def test_the_rollout_names_every_model_with_its_base(stage: Deployed) -> None:
    """Law 4: the rollout runs exactly when a base changed, because its properties change then."""
    models = stage.only("Rollout", "Custom::SwitchyardRollout")["Properties"]["Models"]
    assert [model["Model"] for model in models] == ["digits", "fraud-eu"]
    for model in models:
        declared = stage.only(f"Model-{model['Model']}", "Custom::SwitchyardModel")["Properties"]
        for name in ("FunctionName", "Fingerprint", "Aliases", "RollbackDepth"):
            assert model[name] == declared[name]


def test_only_a_stage_in_waves_tells_its_deploy_to_leave_what_serves(
    partner: Deployed, prod: Deployed
) -> None:
    """Law 4: guard, model and rollout are told alike; a heavy model moves with its own stack everywhere."""
    for stage, waits in ((partner, "true"), (prod, None)):
        guarded = stage.only("Operations", "Custom::SwitchyardGuard")["Properties"]["Models"]
        rolled_out = stage.only("Rollout", "Custom::SwitchyardRollout")["Properties"]["Models"]
        heavy = {model["Model"] for model in guarded} - {model["Model"] for model in rolled_out}
        assert heavy
        assert {model.get("Waves") for model in rolled_out} == {waits}
        for model in guarded:
            declared = stage.only(f"Model-{model['Model']}", "Custom::SwitchyardModel")["Properties"]
            assert model.get("Waves") == declared.get("Waves")
            assert model.get("Waves") == (None if model["Model"] in heavy else waits)
