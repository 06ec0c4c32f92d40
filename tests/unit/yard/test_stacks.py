"""``yard.stacks``: the CDK's own command, for one stack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from yard import deployment, stacks

PROGRAM = """#!/bin/sh
printf '%s\\n' "$@" > {folder}/words
pwd > {folder}/where
echo 'outputs of the stack'
exit {code}
"""


@pytest.fixture
def project(tmp_path: Path) -> Callable[[int], Path]:
    """A project whose CDK writes down how it was called and ends as it is told."""

    def make(code: int = 0) -> Path:
        program = tmp_path / "node_modules" / ".bin" / "cdk"
        program.parent.mkdir(parents=True)
        program.write_text(PROGRAM.format(folder=tmp_path, code=code))
        program.chmod(0o755)
        return tmp_path

    return make


def test_one_stack_is_deployed_from_the_project_s_root(
    project: Callable[[int], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    root = project(0)
    said: list[str] = []
    stacks.deploy(root, root / "models.toml", "prod", "bert", approved=False, say=said.append)
    assert (root / "words").read_text().splitlines() == [
        "deploy",
        "Switchyard-prod-Model-bert",
        "--context",
        "stage=prod",
        "--context",
        f"catalog={root / 'models.toml'}",
    ]
    assert Path((root / "where").read_text().strip()).samefile(root)
    assert said == ["deploying Switchyard-prod-Model-bert"]
    heard = capfd.readouterr()
    assert (heard.out, heard.err) == ("", "outputs of the stack\n")  # stdout is for data


def test_the_cdk_is_told_not_to_ask_only_when_somebody_said_so(project: Callable[[int], Path]) -> None:
    root = project(0)
    stacks.deploy(root, root / "models.toml", "prod", "bert", approved=True, say=lambda _: None)
    assert (root / "words").read_text().splitlines()[-2:] == ["--require-approval", "never"]


def test_a_deploy_that_fails_is_an_error_with_a_way_out(project: Callable[[int], Path]) -> None:
    root = project(3)
    with pytest.raises(stacks.DeployFailedError, match="`Switchyard-prod-Model-bert` ended with exit code 3"):
        stacks.deploy(root, root / "models.toml", "prod", "bert", approved=True, say=lambda _: None)


def test_without_a_cdk_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(stacks.DeployFailedError, match="is missing") as caught:
        stacks.command(tmp_path, tmp_path / "models.toml", "prod", "bert", approved=False)
    assert "make setup" in str(caught.value.hint)


def test_the_local_stage_needs_the_embedded_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path))
    with pytest.raises(deployment.CloudNotRunningError):
        stacks.deploy(tmp_path, tmp_path / "models.toml", "local", "bert", approved=True, say=lambda _: None)
