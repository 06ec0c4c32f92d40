"""The stage that a trial deploys: its name, its catalog, and ``cdk`` in the account of the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.trial.run import call
from model_store.contract.errors import SwitchyardError

ROOT = Path(__file__).resolve().parents[2]

STAGE_VARIABLE = "SWITCHYARD_REAL_STAGE"
"""Names the stage of a trial that is under way: tests then use it, and no embedded cloud."""

LAYER_VARIABLE = "SWITCHYARD_REAL_LAYER"
LAYER = "build/layers/x86_64"


class TrialError(SwitchyardError):
    """The trial cannot begin, or one of its programs failed."""


@dataclass(frozen=True)
class TrialStage:
    """One stage of a trial, with its files in ``folder``: they tell of a trial that was not taken down."""

    name: str
    folder: Path

    @property
    def catalog(self) -> Path:
        return self.folder / "models.toml"

    def environment(self) -> dict[str, str]:
        """What a program needs to find this stage, with the caller's credentials."""
        tools = [str(Path(sys.executable).parent), str(ROOT / "node_modules" / ".bin")]
        return {
            **os.environ,
            "PATH": os.pathsep.join([*tools, os.environ.get("PATH", os.defpath)]),
            "SWITCHYARD_STAGE": self.name,
            "SWITCHYARD_CATALOG": str(self.catalog),
            STAGE_VARIABLE: self.name,
            "COLUMNS": "200",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        }

    def write(self, catalog: str) -> None:
        """Keep the catalog, written for a stage ``local``, as this stage's."""
        layer = os.environ.get(LAYER_VARIABLE, LAYER)
        self.folder.mkdir(parents=True, exist_ok=True)
        text = catalog.replace("[stages.local]", f"[stages.{self.name}]")
        self.catalog.write_text(text.replace("build/layers/local", layer), "utf-8")

    def deploy(self) -> None:
        self._cdk(
            "deploy", "--all", "--require-approval", "never", "--concurrency", "4", "--progress", "events"
        )

    def destroy(self) -> None:
        self._cdk("destroy", "--all", "--force")

    def _cdk(self, *words: str) -> None:
        context = ["--context", f"stage={self.name}", "--context", f"catalog={self.catalog}"]
        output = ["--output", str(self.folder / "cdk.out"), "--no-notices"]
        code = call(["cdk", *words, *context, *output], cwd=ROOT, environment=self.environment())
        if code:
            raise TrialError(f"`cdk {words[0]}` ended with exit code {code}", hint="Read what it says above.")

    def yard(self, *words: str) -> Any:
        """Run a command that has to succeed, and return the document it prints."""
        command = [sys.executable, "-m", "yard.main", *words, "--json"]
        done = subprocess.run(command, cwd=ROOT, env=self.environment(), capture_output=True, check=False)
        if done.returncode:
            raise TrialError(f"`yard {' '.join(words)}` failed: {done.stderr.decode()[-2000:]}")
        return json.loads(done.stdout)

    def pytest(self, *words: str) -> int:
        """Run tests against this stage."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
        return call(command, cwd=ROOT, environment=self.environment())


def under_way(environment: Mapping[str, str] = os.environ) -> TrialStage | None:
    """The stage that tests shall use, if a trial runs them."""
    name = environment.get(STAGE_VARIABLE)
    return TrialStage(name, Path(environment["SWITCHYARD_CATALOG"]).parent) if name else None
