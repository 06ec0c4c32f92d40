"""``examples/ci``: templates for GitHub Actions and GitLab that store no key, and whose commands exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from yard.main import app

ROOT = Path(__file__).parents[3]
CI = ROOT / "examples" / "ci"
TEMPLATES = ("github", "gitlab")


def document(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((CI / f"{name}.yml").read_text("utf-8"))
    return found


def commands(name: str) -> Iterator[str]:
    """Every line that a runner's shell gets."""
    body = document(name)
    if name == "github":
        for job in body["jobs"].values():
            yield from (step["run"] for step in job["steps"] if "run" in step)
    else:
        for job in body.values():
            if isinstance(job, dict):
                for part in ("before_script", "script", "after_script"):
                    yield from job.get(part, [])


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_key_is_stored_anywhere(name: str) -> None:
    text = (CI / f"{name}.yml").read_text("utf-8")
    for word in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "secrets.", "aws-access-key-id"):
        assert word not in text


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_yard_command_and_option_exists(name: str) -> None:
    group: Any = get_command(app)
    asked = [shlex.split(line)[1:] for line in commands(name) if line.startswith("yard ")]
    assert {words[0] for words in asked} == {"release", "status"}
    for verb, *words in asked:
        known = {option for parameter in group.commands[verb].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_make_target_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    wanted = {shlex.split(line)[1] for line in commands(name) if line.startswith("make ")}
    assert wanted == {"check", "setup", "test"}
    assert wanted <= targets


def test_github_may_ask_for_a_token_only_where_it_deploys() -> None:
    body = document("github")
    assert body["permissions"] == {"contents": "read"}
    jobs = body["jobs"]
    assert [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})] == ["deploy"]
    assert "pull_request" in jobs["deploy"]["if"]
    assert jobs["deploy"]["needs"] == "check"


def test_what_a_person_types_reaches_no_shell_line_as_text() -> None:
    """An expression inside ``run`` would be pasted into the script before the shell quotes anything."""
    assert [line for line in commands("github") if "${{" in line] == []


def test_gitlab_asks_for_a_token_that_is_meant_for_aws_and_removes_it() -> None:
    body = document("gitlab")
    within = body[".in_aws"]
    assert within["id_tokens"] == {"AWS_TOKEN": {"aud": "sts.amazonaws.com"}}
    assert within["after_script"] == ['rm -f "$AWS_WEB_IDENTITY_TOKEN_FILE"']
    assert [name for name, job in body.items() if isinstance(job, dict) and job.get("extends")] == [
        "deploy",
        "release",
    ]
