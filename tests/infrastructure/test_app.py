"""``app.py``: one sentence and a hint, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("node_of_the_project")


def run_app(out: Path, **context: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "SWITCHYARD_STAGE"}
    environment |= {"CDK_CONTEXT_JSON": json.dumps(context), "CDK_OUTDIR": str(out)}
    return subprocess.run(
        [sys.executable, str(ROOT / "app.py")],
        cwd=out,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_stage_it_names_the_stages_there_are(tmp_path: Path) -> None:
    done = run_app(tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: no stage was chosen\nhint: Add `-c stage=NAME`; the catalog has `local` or `prod`.\n"
    )


def test_an_unknown_stage_is_refused(tmp_path: Path) -> None:
    done = run_app(tmp_path, stage="staging")
    assert done.returncode == 2
    assert done.stderr == "error: the catalog has no stage `staging`\nhint: Choose `local` or `prod`.\n"


def test_a_catalog_with_a_mistake_is_refused_with_key_and_remedy(tmp_path: Path) -> None:
    catalog = tmp_path / "own.toml"
    catalog.write_text((ROOT / "models.toml").read_text().replace("memory_mb", "memory_gb"))
    done = run_app(tmp_path, stage="prod", catalog=str(catalog))
    assert done.returncode == 2
    assert "`models.digits.memory_gb` is an unknown key" in done.stderr
    assert "Did you mean `memory_mb`?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_layer_that_is_not_built_is_refused_before_anything_is_deployed(tmp_path: Path) -> None:
    """Law 8: refuse early."""
    catalog = tmp_path / "own.toml"
    catalog.write_text((ROOT / "models.toml").read_text().replace("build/layers/x86_64", "build/layers/none"))
    done = run_app(tmp_path, stage="prod", catalog=str(catalog))
    assert done.returncode == 2
    assert "the runtime layer `build/layers/none` is not built" in done.stderr
    assert not list(tmp_path.glob("*.template.json"))
