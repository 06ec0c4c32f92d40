"""What a deploy may change under a model that was rolled back: code, layer, and nothing because it failed.

Law 4: the alias stays on its model version, whatever the deploy did. Changed memory, and a deploy that changes
nothing, are steps of ``test_road``. One story in order.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local_cloud.deploy import deploy
from local_cloud.errors import LocalCloudError
from tests.conftest import ROOT, Deployed
from tests.end_to_end.digits import DIGITS, REQUEST

pytestmark = pytest.mark.cloud

ROOMS = (
    "catalog",
    "dashboards",
    "drift",
    "functions",
    "infra",
    "layers",
    "model_store",
    "planning",
    "releases",
    "telemetry",
)
LAYER = Path("build", "layers", "local")


@pytest.fixture(scope="module")
def rolled_back(deployed: Deployed) -> Iterator[Deployed]:
    """``digits:2`` was released after ``digits:1``, and taken back."""
    for version in ("v1", "v2"):
        deployed.yard_json("publish", "digits", str(DIGITS / version / "model.onnx"))
    deployed.yard_json("release", "digits:1")
    deployed.yard_json("release", "digits:2")
    assert deployed.yard_json("rollback", "digits", "--reason", "it reads sevens as ones")["version"] == 1
    yield deployed
    deployed.deploy()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project that a test may change before it deploys it."""
    for name in ("app.py", "cdk.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / LAYER, tmp_path / LAYER, copy_function=os.link)
    shutil.copy(ROOT / LAYER.with_suffix(".json"), tmp_path / LAYER.with_suffix(".json"))
    return tmp_path


def deploy_from(project: Path, deployed: Deployed) -> None:
    deploy(deployed.cloud, root=project, catalog=deployed.catalog, on_progress=lambda _: None)


def live(deployed: Deployed) -> dict[str, object]:
    """What serves, once it was seen to serve."""
    answer = httpx.post(f"{deployed.api_url}/v2/models/digits/infer", json=REQUEST, timeout=35)
    now: dict[str, object] = deployed.yard_json("status", "digits")["aliases"][0]
    assert (answer.status_code, answer.json()["model_version"]) == (200, str(now["version"]))
    assert now["disagreements"] == []
    return now


def test_changed_code_is_put_under_the_version_that_was_rolled_back_to(
    rolled_back: Deployed, project: Path
) -> None:
    before = live(rolled_back)
    with (project / "functions" / "inference" / "app.py").open("a") as code:
        code.write("\n# changed\n")
    deploy_from(project, rolled_back)
    now = live(rolled_back)
    assert (now["version"], now["on_current_base"]) == (1, True)
    assert now["lambda_version"] != before["lambda_version"]
    assert rolled_back.yard_json("history", "digits")[-1]["kind"] == "rebase"


WAVES = 'keep_data = false\nrebase = "waves"'
"""What makes the stage of the test's catalog one whose models are moved by hand."""

FLEET = ("digits", "echo", "spare")


def bases(deployed: Deployed) -> dict[str, tuple[bool, bool]]:
    """Of each model whether it stands on the base of the last deploy, and whether it waits for a wave."""
    found = deployed.yard_json("status")
    assert all(item["disagreements"] == [] for item in found["aliases"])
    return {item["model"]: (item["on_current_base"], item["waits"]) for item in found["aliases"]}


def answered(deployed: Deployed, model: str) -> str:
    answer = httpx.post(f"{deployed.api_url}/v2/models/{model}/infer", json=REQUEST, timeout=35)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-switchyard-model"])


def test_a_changed_layer_reaches_three_models_in_waves_and_no_deploy_moves_one(
    rolled_back: Deployed, project: Path
) -> None:
    """Laws 4 and 6: the deploy leaves what serves where it is; a way back works before, between and after."""
    for model in ("echo", "spare"):
        for version in ("v1", "v2"):
            rolled_back.yard_json("publish", model, str(DIGITS / version / "model.onnx"))
        rolled_back.yard_json("release", f"{model}:1")
    rolled_back.yard_json("release", "echo:2")
    plain = rolled_back.catalog.read_text()
    before = live(rolled_back)
    rolled_back.catalog.write_text(plain.replace("keep_data = false", WAVES))
    (project / LAYER / "python" / "changed.txt").write_text("a newer package would stand here\n")
    deploy_from(project, rolled_back)

    assert bases(rolled_back) == dict.fromkeys(FLEET, (False, True))
    assert live(rolled_back)["lambda_version"] == before["lambda_version"]
    back = rolled_back.yard_json("rollback", "echo", "--reason", "it may be needed at any time")
    assert (back["version"], back["warnings"]) == (1, [])
    planned = rolled_back.yard_json("rebase", "--waves", "spare,50", "--dry-run")
    assert planned["waves"] == [["spare"], ["digits"], ["echo"]]

    # Killed in the middle of its first wave: that wave is moved and nobody has judged it.
    waves = ("rebase", "--waves", "spare,50", "--reason", "CVE-2026-1234", "--bake")
    words = [sys.executable, "-m", "yard.main", *waves, "1h"]
    running = subprocess.Popen(words, cwd=ROOT, env=rolled_back.environment(), stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while bases(rolled_back)["spare"] != (True, True):
        assert time.monotonic() < end, "the first wave never moved"
        time.sleep(0.2)
    running.kill()
    running.wait()
    with pytest.raises(LocalCloudError, match="rebase 1 takes the models"):
        rolled_back.deploy(memory_mb=1024)

    rolled_back.catalog.write_text(plain.replace("keep_data = false", WAVES))
    stopped = rolled_back.yard("rebase", "--stop", "--reason", "an hour is too long")
    assert stopped.returncode == 0, stopped.stderr.decode()
    assert bases(rolled_back) == dict.fromkeys(FLEET, (False, True))
    done = rolled_back.yard_json(*waves, "2s")
    assert (done["ended"], done["rebase"]["number"]) == ("done", 2)
    assert bases(rolled_back) == dict.fromkeys(FLEET, (True, False))
    assert live(rolled_back)["version"] == 1
    last = rolled_back.yard_json("history", "spare")[-1]
    assert (last["kind"], last["reason"]) == ("rebase", "wave 1 of 3 of rebase 2: CVE-2026-1234")
    assert [answered(rolled_back, model) for model in FLEET] == ["digits:1", "echo:1", "spare:1"]
    rolled_back.catalog.write_text(plain)


def test_a_deploy_that_fails_leaves_the_version_its_code_and_its_memory(
    rolled_back: Deployed, project: Path
) -> None:
    """Law 5: the new code cannot answer; the checks find out before anything moves, and the stack rolls back."""
    before = live(rolled_back)
    handler = project / "functions" / "inference" / "handler.py"
    handler.write_text(
        "import os\nif 'SWITCHYARD_VERSION' in os.environ:\n    raise ValueError('broken')\n"
        + handler.read_text().replace("from __future__ import annotations\n", "")
    )
    lines = rolled_back.yard_json("history", "digits")
    with pytest.raises(LocalCloudError, match="digits"):
        deploy_from(project, rolled_back)
    now = live(rolled_back)
    assert {key: now[key] for key in ("version", "lambda_version", "memory_mb")} == {
        key: before[key] for key in ("version", "lambda_version", "memory_mb")
    }
    assert rolled_back.yard_json("history", "digits") == lines


def test_after_a_failed_deploy_a_rollback_and_a_corrected_deploy_work(rolled_back: Deployed) -> None:
    """Law 6: the failed deploy is no reason not to go back; law 4: nor is it one to move."""
    rolled_back.yard_json("rollback", "digits", "--to", "1")
    rolled_back.deploy()
    now = live(rolled_back)
    assert (now["version"], now["on_current_base"]) == (1, True)
