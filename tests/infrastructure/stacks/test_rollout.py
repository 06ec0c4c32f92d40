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
