"""All stacks of one stage, and their order."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from constructs import Construct

from catalog.lock import NOTHING_LOCKED, Lock
from catalog.schema import Catalog, Model
from infra import bundles
from infra.constructs import marks, messenger
from infra.preflight import (
    check_elsewhere,
    check_pipeline,
    check_runtime_layer,
    folder_of,
    layer_python,
)
from infra.stacks import api as api_stack
from infra.stacks import heavy as heavy_stack
from infra.stacks import model as model_stack
from infra.stacks import monitor as monitor_stack
from infra.stacks import operations as operations_stack
from infra.stacks.api import ApiStack
from infra.stacks.capture import CaptureStack
from infra.stacks.copy import CopyStack
from infra.stacks.ec2 import Ec2Stack
from infra.stacks.handoff import HandoffStack
from infra.stacks.inbox import InboxStack
from infra.stacks.model import ModelStack
from infra.stacks.monitor import MonitorStack
from infra.stacks.operations import OperationsStack
from infra.stacks.roles import RolesStack
from infra.stacks.rollout import RolloutStack
from infra.stacks.sagemaker import SageMakerStack
from infra.stacks.store import StoreStack
from infra.stacks.training import TrainingStack
from model_store.contract.endpoints import SAGEMAKER


def declare(
    scope: Construct, *, catalog: Catalog, stage_name: str, root: Path, lock: Lock = NOTHING_LOCKED
) -> list[cdk.Stack]:
    """Declare the stacks of ``stage_name`` in ``scope``; functions' code and layers stand below ``root``.

    ``lock`` says what the versions are that heavy models list.

    The Copy in another region if there is one, Store, then Operations with the guard, the buckets of Handoff,
    Inbox and Capture where a model asks for them, then the models, then Rollout, Api, Roles, the Monitor of
    what is captured, and Training.

    Raises ``CatalogError`` or ``PreflightError``, and has then built nothing but bundles, which may stay.
    """
    stage = catalog.stage(stage_name)
    models = catalog.models_for(stage_name)
    layers = {
        runtime: check_runtime_layer(folder_of(stage.runtime_layer, runtime), root=root)
        for runtime in ("plain", *(model.runtime for model in models.values()))
    }
    python = layer_python(layers["plain"])

    def code(name: str, packages: tuple[str, ...], handler: str) -> bundles.Tree:
        return bundles.stage_bundle(name, packages, root=root, handler=handler, python=python)

    inference_code = code("inference", bundles.INFERENCE, model_stack.HANDLER)
    front_code = code("front", bundles.FRONT, api_stack.HANDLER)
    messenger_code = code("messenger", bundles.MESSENGER, messenger.HANDLER)
    marks_code = code("marks", bundles.MARKS, marks.HANDLER)
    operations_code = code("operations", bundles.OPERATIONS, operations_stack.HANDLER)

    def served_by(model: Model) -> ModelStack:
        if not model.is_heavy:
            under = layers[model.runtime]
            return ModelStack(scope, stage=stage, model=model, code=inference_code, runtime_layer=under)
        kind = SageMakerStack if model.target == SAGEMAKER else Ec2Stack
        return kind(
            scope,
            stage=stage,
            model=model,
            code=code("gateway", bundles.GATEWAY, heavy_stack.HANDLER),
            runtime_layer=layers["plain"],
            endpoint_code=bundles.stage_bundle(
                "endpoint", bundles.ENDPOINT, root=root, handler="functions.endpoint.__main__.main"
            ),
            lock=lock,
        )

    store = StoreStack(scope, stage=stage)
    elsewhere = stage.replica.region if stage.replica is not None else None
    copy = CopyStack(scope, stage=stage, region=elsewhere) if elsewhere else None
    if copy is not None:
        check_elsewhere(store.region, copy.region)
        store.add_stack_dependency(copy, "a rule without a bucket to copy to is refused")
    handoff = HandoffStack(scope, stage=stage) if any(model.handoff for model in models.values()) else None
    inbox = InboxStack(scope, stage=stage) if any(model.inbox for model in models.values()) else None
    captured = {name: model for name, model in models.items() if model.captures}
    capture = CaptureStack(scope, stage=stage, models=captured) if captured else None
    served = [served_by(model) for model in models.values()]
    operations = OperationsStack(
        scope,
        stage=stage,
        models=models,
        fingerprints={stack.model.name: stack.fingerprint for stack in served},
        code=operations_code,
        messenger_code=messenger_code,
        marks_code=marks_code,
    )
    operations.add_stack_dependency(store, "it reads the bucket's parameters")
    # A heavy model rolls out within its own stack, before its stack deletes what it leaves.
    rollout = RolloutStack(scope, stage=stage, models=[one for one in served if not one.model.is_heavy])
    rollout.add_stack_dependency(operations, "it answers")
    reads_tokens = stage.api == "rest" and stage.jwt is not None
    api = ApiStack(
        scope,
        stage=stage,
        models=models,
        code=front_code,
        authorizer_code=code("authorizer", bundles.AUTHORIZER, api_stack.AUTHORIZER_HANDLER)
        if reads_tokens
        else None,
    )
    # Said apart from the models: without any of them the Api would otherwise not wait for the guard.
    api.add_stack_dependency(operations, "the guard speaks before a route goes")
    for stack in served:
        stack.add_stack_dependency(operations, "the guard speaks first")
        if handoff is not None and stack.model.handoff:
            stack.add_stack_dependency(handoff, "it reads the bucket's parameters")
        if inbox is not None and stack.model.inbox:
            stack.add_stack_dependency(inbox, "it reads the bucket's parameters")
        if capture is not None and stack.model.captures:
            stack.add_stack_dependency(capture, "it reads the bucket's parameters")
        rollout.add_stack_dependency(stack, "every base is recorded before one alias moves")
        api.add_stack_dependency(stack, "its routes lead to aliases that exist")
    roles = RolesStack(scope, stage=stage, models=models)
    roles.add_stack_dependency(api, "it reads the parameters of the store and of the API")
    passing = [stack for stack in (handoff, inbox, capture) if stack is not None]
    first = [] if copy is None else [copy]
    stacks: list[cdk.Stack] = [*first, store, operations, *passing, *served, rollout, api, roles]
    if capture is not None:
        monitor = MonitorStack(
            scope,
            stage=stage,
            models=captured,
            code=code("monitor", bundles.MONITOR, monitor_stack.HANDLER),
            runtime_layer=layers["plain"],
        )
        monitor.add_stack_dependency(capture, "it reads the bucket's parameters")
        # The alarms report to its topic.
        monitor.add_stack_dependency(operations, "it reads the store's bucket, and tells its topic")
        stacks.append(monitor)
    if stage.training is not None:
        pipelines = {name: model.pipeline for name, model in models.items() if model.pipeline}
        training = TrainingStack(
            scope,
            stage=stage,
            models=models,
            code={
                name: bundles.stage_bundle(
                    f"training-{name}",
                    bundles.TRAINING,
                    root=root,
                    handler="training.job.main",
                    beside={"pipeline": check_pipeline(pipeline.file, root=root).parent},
                )
                for name, pipeline in pipelines.items()
            },
        )
        training.add_stack_dependency(store, "it reads the bucket's parameters")
        training.add_stack_dependency(operations, "its pipelines ask it")
        if capture is not None:
            training.add_stack_dependency(capture, "it reads the bucket's parameters")
        stacks.append(training)
    return stacks
