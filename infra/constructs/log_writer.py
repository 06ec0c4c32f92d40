"""Who may write API Gateway's logs: one role for an account and region, named to API Gateway once.

HTTP APIs need none. A REST API's stage with logs is refused without it. The setting is the account's and not
ours alone, so it stays when the stack goes: other REST APIs may write by it.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.python_function import ROLE_PATH


class LogWriter(Construct):
    """``account`` names ``role``, to which the stack gives AWS's own policy for it."""

    def __init__(self, scope: Construct, id_: str) -> None:
        super().__init__(scope, id_)
        self.role = iam.Role(
            self,
            "Role",
            path=ROLE_PATH,
            description="API Gateway writes its logs by it",
            assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
        )
        self.account = apigateway.CfnAccount(self, "Account", cloud_watch_role_arn=self.role.role_arn)
        cdk.RemovalPolicies.of(self).apply(cdk.RemovalPolicy.RETAIN)
