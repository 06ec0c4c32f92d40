"""The interpreter packages under a model's function: onnxruntime, numpy and what serving needs."""

from __future__ import annotations

from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.bundles import Tree
from infra.constructs.python_function import ARCHITECTURES, RUNTIME


class RuntimeLayer(Construct):
    """``layer``, published anew when its files change; the older versions stay.

    They stay because a rollback may still publish on the base that names them. When the whole stack
    is destroyed, ``keep`` decides.
    """

    def __init__(
        self, scope: Construct, id_: str, *, name: str, tree: Tree, architecture: str, keep: bool
    ) -> None:
        super().__init__(scope, id_)
        self.layer = lambda_.LayerVersion(
            self,
            "Layer",
            layer_version_name=name,
            description=f"sha256 {tree.digest[:16]}",
            code=lambda_.Code.from_asset(
                str(tree.path), asset_hash=tree.digest, asset_hash_type=cdk.AssetHashType.CUSTOM
            ),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[ARCHITECTURES[architecture]],
        )
        resource = cast("cdk.CfnResource", self.layer.node.default_child)
        resource.cfn_options.update_replace_policy = cdk.CfnDeletionPolicy.RETAIN
        resource.cfn_options.deletion_policy = (
            cdk.CfnDeletionPolicy.RETAIN_EXCEPT_ON_CREATE if keep else cdk.CfnDeletionPolicy.DELETE
        )
