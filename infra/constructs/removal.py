"""What becomes of a resource when its stack goes."""

from __future__ import annotations

import aws_cdk as cdk


def kept_or_destroyed(*, keep: bool) -> cdk.RemovalPolicy:
    """Keep, but not what a failed first deploy made.

    With a plain ``RETAIN`` the rollback of a first deploy would leave functions and log groups behind,
    and the second would fail because their names are taken.
    """
    return cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if keep else cdk.RemovalPolicy.DESTROY
