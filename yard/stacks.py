"""Deploying one model's stack from the command line, with what has to be deployed before it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from model_store.contract.deployment import stack_name
from model_store.contract.errors import SwitchyardError
from yard import deployment

CDK = "cdk"
STDERR = 2


class DeployFailedError(SwitchyardError):
    """``cdk deploy`` did not succeed; CloudFormation has undone what it began."""


def command(root: Path, catalog: Path, stage: str, model: str, *, approved: bool) -> list[str]:
    """What deploys the stack of ``model``: the guard's stack comes before it, and speaks first."""
    words = [_cdk(root), "deploy", stack_name(stage, f"Model-{model}"), "--context", f"stage={stage}"]
    words += ["--context", f"catalog={catalog.resolve()}"]
    return [*words, "--require-approval", "never"] if approved else words


def deploy(
    root: Path, catalog: Path, stage: str, model: str, *, approved: bool, say: Callable[[str], None]
) -> None:
    """Deploy the stack of ``model``. Safe to repeat: the same command goes on where one was interrupted.

    On AWS it is the CDK's own command, in this terminal, and asks before it widens permissions unless
    ``approved``. The embedded cloud is deployed whole.
    """
    if stage == deployment.LOCAL:
        return _deploy_locally(root, catalog, say)
    words = command(root, catalog, stage, model, approved=approved)
    say(f"deploying {words[2]}")
    # The CDK talks to people, and asks them: on stderr, since stdout is for data.
    done = subprocess.run(words, cwd=root, check=False, stdout=STDERR)
    if done.returncode:
        raise DeployFailedError(
            f"`cdk deploy` of `{words[2]}` ended with exit code {done.returncode}",
            hint="Correct what it names, then run the same command again; catalog and lock are written.",
        )
    return None


def _deploy_locally(root: Path, catalog: Path, say: Callable[[str], None]) -> None:
    from local_cloud import cloud
    from local_cloud.deploy import deploy as deploy_to

    running = cloud.find(deployment.cloud_home())
    if running is None:
        raise deployment.CloudNotRunningError(
            "the embedded cloud is not running", hint="Start it with `yard local up`."
        )
    deploy_to(running, root=root, catalog=catalog, on_progress=say)


def _cdk(root: Path) -> str:
    """The project's pinned CDK, or the one on the PATH."""
    pinned = root / "node_modules" / ".bin" / CDK
    found = str(pinned) if pinned.exists() else shutil.which(CDK, path=os.environ.get("PATH"))
    if found is None:
        raise DeployFailedError(
            "the CDK command line is missing", hint="Run `make setup`, or deploy from where it is."
        )
    return found
