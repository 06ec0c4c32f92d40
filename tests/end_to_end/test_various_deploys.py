"""What a deploy may change under a model that was rolled back: code, layer, and nothing because it failed.

Law 4: the alias stays on its model version, whatever the deploy did. Changed memory, and a deploy that changes
nothing, are steps of ``test_road``. One story in order.
"""

from __future__ import annotations

import os
import shutil
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


def test_a_changed_layer_is_put_under_the_version_that_was_rolled_back_to(
    rolled_back: Deployed, project: Path
) -> None:
    before = live(rolled_back)
    (project / LAYER / "python" / "changed.txt").write_text("a newer package would stand here\n")
    deploy_from(project, rolled_back)
    now = live(rolled_back)
    assert (now["version"], now["on_current_base"]) == (1, True)
    assert now["lambda_version"] != before["lambda_version"]


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
