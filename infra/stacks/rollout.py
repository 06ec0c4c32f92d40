"""Stateless: after every model has its new base, re-release what is live on it, all or nothing."""

from __future__ import annotations

from collections.abc import Iterable

from constructs import Construct

from catalog.schema import Stage
from infra.stacks.model import ModelStack
from infra.stacks.stage_stack import StageStack


class RolloutStack(StageStack):
    """Prepares and checks every live model and rollback target first, then flips.

    In a stack of its own, so that a model that fails its check rolls back this stack alone, and
    CloudFormation's rollback of it flips back.
    """

    def __init__(self, scope: Construct, *, stage: Stage, models: Iterable[ModelStack]) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern="Rollout",
            description=f"Switchyard {stage.name}: re-releases the live versions on a changed base",
        )
        self.custom_resource(
            "Rollout",
            type_="Custom::SwitchyardRollout",
            properties={
                "Stage": stage.name,
                "Models": [stack.rollout() for stack in models],
            },
        )
