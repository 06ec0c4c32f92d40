"""A real CDK app through the real command line, on the embedded cloud."""

from __future__ import annotations

import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from local_cloud import deploy
from local_cloud.errors import LocalCloudError

pytestmark = pytest.mark.cloud

APP = Path(__file__).parent / "app"


def answer(account: Any) -> str:
    outputs = account.stack_at_rest("Probe-Service")
    with urllib.request.urlopen(f"{outputs['Url']}/v2/models/digits?x=1") as response:
        return str(response.read().decode())


def changed(app: Path, **context: str) -> None:
    pairs = ", ".join(f'"{key}": "{value}"' for key, value in context.items())
    (app / "cdk.json").write_text(f'{{"app": "python3 app.py", "context": {{{pairs}}}}}')


def test_an_app_is_deployed_refused_with_its_reason_and_destroyed(fresh_account: Any, tmp_path: Path) -> None:
    account = fresh_account
    app = tmp_path / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("__pycache__"))
    lines: list[str] = []

    deploy.deploy(account.cloud, root=app, on_progress=lines.append)
    assert answer(account) == "hello! /v2/models/digits"
    assert any("bootstrapped" in line for line in lines)
    assert any("Custom::ProbeAlias" in line and "CREATE_COMPLETE" in line for line in lines)

    lines.clear()
    changed(app, answer="goodbye", fail="yes")
    with pytest.raises(LocalCloudError, match="Message returned: told to fail"):
        deploy.deploy(account.cloud, root=app, on_progress=lines.append)
    assert account.stack_at_rest("Probe-Service")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert answer(account) == "hello! /v2/models/digits"
    assert not any("bootstrap" in line.lower() for line in lines)

    deploy.destroy(account.cloud, root=app, on_progress=lines.append)
    stacks = account.client("cloudformation").describe_stacks()["Stacks"]
    assert [stack["StackName"] for stack in stacks if stack["StackName"].startswith("Probe")] == []
