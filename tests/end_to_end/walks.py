"""The walks of the examples: the lines of their pages as one script, run by somebody who follows them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, Deployed
from tests.docs.pages import blocks


def walk(deployed: Deployed, example: str, folder: Path) -> str:
    """What the `bash run` blocks of the example's page print, run in order in ``folder``, beside ``examples``."""
    page = ROOT / "examples" / example / "README.md"
    script = "\n".join(block.text for block in blocks(page) if block.language == "bash" and block.runs)
    assert script
    (folder / "examples").symlink_to(ROOT / "examples")
    commands = folder / "bin"
    commands.mkdir()
    for name, words in (("yard", " -m yard.main"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        (commands / name).chmod(0o755)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={
            **deployed.environment(),
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def assert_in_order(said: str, *expected: str) -> None:
    """Each of ``expected`` stands in ``said``, behind the one before it."""
    at = 0
    for words in expected:
        found = said.find(words, at)
        assert found >= 0, f"`{words}` is missing after\n{said[:at]}\nin\n{said[at:]}"
        at = found + len(words)
