"""How the CDK's command line is called, with programs that stand in its place."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from local_cloud import deploy
from local_cloud.cloud import Cloud
from local_cloud.errors import LocalCloudError


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(endpoint_url="http://127.0.0.1:9", port=9, pid=1, home=tmp_path)


def test_the_cdk_sees_this_cloud_only_and_this_interpreter_first(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of a real account")
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
    variables = deploy._environment(cloud)
    assert "AWS_PROFILE" not in variables
    assert "AWS_SESSION_TOKEN" not in variables
    assert variables["CDK_DEFAULT_ACCOUNT"] == cloud.account
    first, second, *_ = variables["PATH"].split(os.pathsep)
    assert (first, Path(second).name) == (str(Path(sys.executable).parent), ".bin")


def test_a_missing_command_line_is_refused_with_the_way_to_get_it(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "_NODE_MODULES", tmp_path)
    with pytest.raises(LocalCloudError, match="command line is missing") as refused:
        deploy.deploy(cloud, root=tmp_path, on_progress=lambda _: None)
    assert refused.value.hint == "Run `make setup`."


def program(folder: Path, script: str) -> None:
    cdk = folder / ".bin" / "cdk"
    cdk.parent.mkdir()
    cdk.write_text(f"#!/bin/sh\n{script}\n")
    cdk.chmod(0o755)


def test_a_failed_step_carries_the_lines_that_say_why(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(
        tmp_path, "echo synthesising; printf '\\033[31mError: stage `x` is unknown\\033[0m\\n' >&2; exit 1"
    )
    monkeypatch.setattr(deploy, "_NODE_MODULES", tmp_path)
    seen: list[str] = []
    with pytest.raises(LocalCloudError, match=r"`cdk synth` failed\n  Error: stage `x` is unknown$"):
        deploy.destroy(cloud, root=tmp_path, stage="x", on_progress=seen.append)
    assert seen == ["synthesising stage x"]


def test_lines_are_passed_on_as_they_come_and_arguments_reach_the_command(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, 'echo "$@"')
    monkeypatch.setattr(deploy, "_NODE_MODULES", tmp_path)
    (tmp_path / "cdk.out").mkdir()
    (tmp_path / "cdk.out" / "manifest.json").write_text("{}")
    seen: list[str] = []
    deploy.destroy(cloud, root=tmp_path, on_progress=seen.append)
    assert seen == [
        f"destroy --all --force --app {tmp_path / 'cdk.out'} --no-color --no-version-reporting --no-notices"
    ]
