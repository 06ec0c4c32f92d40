"""One model on Lambda: its function and what stands under it. What is live is not in here.

Law 4: the template holds no alias and no version. ``Custom::SwitchyardModel`` makes sure that the
aliases exist, and hands the *base* (the configuration a release builds on) to the controller.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from catalog.schema import Model, Stage
from infra.acknowledged import acknowledge_runtime, acknowledge_snapstart, acknowledge_wildcards
from infra.bundles import Tree
from infra.constructs.python_function import ROLE_PATH, RUNTIME, PythonFunction, PythonFunctionProps
from infra.constructs.runtime_layer import RuntimeLayer
from infra.preflight import check_environment, check_machine, check_size
from infra.stacks.stage_stack import StageStack
from model_store.contract.deployment import function_name, runtime_layer_name
from model_store.contract.environment import MODEL, STAGE

HANDLER = "functions.inference.handler.handler"

WHY_WILDCARD = "Versions are numbered as they are released; the prefix is this function's own"


class ModelStack(StageStack):
    """The function of ``model``. Its ``fingerprint`` changes exactly when its base does."""

    def __init__(
        self, scope: Construct, *, stage: Stage, model: Model, code: Tree, runtime_layer: Tree
    ) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern=f"Model-{model.name}",
            description=f"Switchyard {stage.name}: the function that serves {model.name}",
            stateful=True,
            model=model.name,
        )
        check_machine(model, runtime_layer)
        check_size(model.name, runtime_layer, code)
        self.model = model
        name = function_name(stage.name, model.name)
        environment = check_environment(name, {MODEL: model.name, STAGE: stage.name})
        layer = RuntimeLayer(
            self,
            "Runtime",
            name=runtime_layer_name(stage.name, model.name),
            tree=runtime_layer,
            architecture=model.architecture,
            keep=stage.keep_data,
        )
        inference = PythonFunction(
            self,
            "Inference",
            props=PythonFunctionProps(
                name=name,
                description=f"Serves {model.name}; its versions and aliases belong to the release controller",
                handler=HANDLER,
                code=code,
                layers=(layer.layer,),
                memory_mb=model.memory_mb,
                timeout_s=model.timeout_s,
                log_retention_days=stage.log_retention_days,
                # Its published versions are what a rollback needs: they outlive the stack.
                keep=stage.keep_data,
                environment=environment,
                architecture=model.architecture,
                snapstart=model.snapstart,
            ),
        )
        inference.log_group.grant_write(inference.role)
        for statement in self._asking_siblings(name):
            inference.role.add_to_policy(statement)
        acknowledge_wildcards(inference.role, self._asking_siblings(name)[0], WHY_WILDCARD)
        acknowledge_runtime(inference)
        if model.snapstart:
            acknowledge_snapstart(inference.function)

        literals: dict[str, Any] = {
            "Environment": environment,
            "MemorySize": model.memory_mb,
            "Timeout": model.timeout_s,
            "Runtime": RUNTIME.name,
            "Handler": HANDLER,
            "Architecture": model.architecture,
            "SnapStart": model.snapstart,
            "Code": code.digest,
        }
        self.fingerprint = _fingerprint({**literals, "Layers": [runtime_layer.digest], "RolePath": ROLE_PATH})
        released = self.custom_resource(
            "Releases",
            type_="Custom::SwitchyardModel",
            properties={
                "Stage": stage.name,
                "Model": model.name,
                "FunctionName": name,
                "Aliases": list(model.aliases),
                "RollbackDepth": model.rollback_depth,
                "ProvisionedConcurrency": model.provisioned_concurrency,
                "Fingerprint": self.fingerprint,
                "Base": {
                    **literals,
                    "Layers": [layer.layer.layer_version_arn],
                    "Role": inference.role.role_arn,
                },
            },
        )
        released.node.add_dependency(inference)
        cdk.CfnOutput(self, "FunctionName", value=name, description=f"Serves {model.name}")
        cdk.CfnOutput(
            self, "Base", value=self.fingerprint, description="Fingerprint of the configuration it runs on"
        )

    def _asking_siblings(self, name: str) -> tuple[iam.PolicyStatement, ...]:
        """Hand a call that pins a version to the version's own alias, and say which there are.

        Only this function's, and only the aliases ``v1``, ``v2`` …: not ``$LATEST``, not a bare number,
        and no other model.
        """
        return (
            iam.PolicyStatement(
                sid="AskSiblings",
                actions=["lambda:InvokeFunction"],
                resources=[self.function_arn(name, "v*")],
            ),
            iam.PolicyStatement(
                sid="NameSiblings", actions=["lambda:ListAliases"], resources=[self.function_arn(name)]
            ),
        )


def _fingerprint(facts: dict[str, Any]) -> str:
    """16 hexadecimal characters that change exactly when one of ``facts`` does."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
