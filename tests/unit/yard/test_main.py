"""``yard.main``: what people type, and what they get for a misspelling."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from yard.main import app

COMMANDS = [
    "publish",
    "versions",
    "promote",
    "release",
    "rollback",
    "watch",
    "stop",
    "flip",
    "shadow",
    "retire",
    "status",
    "history",
    "invoke",
    "callers",
    "lock",
    "provision",
]
LOCAL = ["up", "down", "status"]


@pytest.mark.parametrize(
    "words",
    [["--explain"], ["--explain", "--async", "--data", "-"], ["--explain", "--result", "id", "--data", "-"]],
    ids=["no-data", "later", "result"],
)
def test_an_explanation_is_of_a_request_and_comes_at_once(words: list[str]) -> None:
    said = CliRunner().invoke(app, ["invoke", "digits", *words])
    assert said.exit_code == 2
    assert "goes with" in " ".join(said.output.split())


@pytest.mark.parametrize("words", [[name] for name in COMMANDS] + [["local", name] for name in LOCAL])
def test_every_command_has_help_with_an_example_and_json(words: list[str]) -> None:
    said = CliRunner().invoke(app, [*words, "--help"])
    assert said.exit_code == 0
    assert f"Example: yard {' '.join(words)}" in " ".join(said.output.split())
    assert "--json" in said.output


def test_a_misspelled_command_is_told_the_right_one() -> None:
    said = CliRunner().invoke(app, ["rollbakc", "digits"])
    assert said.exit_code == 2
    assert "rollback" in said.output


def test_help_and_misspellings_cost_no_cloud_library() -> None:
    """A typo at 3 a.m. is answered at once, and without credentials."""
    probe = (
        "import sys; sys.argv = ['yard', 'release', 'digits']\n"
        "from yard.main import run\n"
        "try:\n    run()\n"
        "except SystemExit as end:\n    print(end.code, *sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    code, *modules = done.stdout.split()
    assert code == "2"
    assert not {"boto3", "botocore", "onnxruntime", "numpy", "aws_cdk"} & set(modules)


@pytest.mark.parametrize("name", ["release", "rollback", "stop", "flip", "retire"])
def test_every_command_that_moves_an_alias_can_say_what_it_would_do(name: str) -> None:
    assert "--dry-run" in CliRunner().invoke(app, [name, "--help"]).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["flip", "digits:3", "--reason", "pages"], "add --now"),
        (["flip", "digits:3", "--now"], "add --reason TEXT"),
        (["rollback", "digits", "--now", "--reason", " "], "add --reason TEXT"),
        (["watch", "digits", "--every", "often"], "90s, 2m or 1h"),
    ],
)
def test_what_is_missing_is_named_before_any_cloud_is_asked(words: list[str], said: str) -> None:
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 2
    assert said in " ".join(found.output.split())
