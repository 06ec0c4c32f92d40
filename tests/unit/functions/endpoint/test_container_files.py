"""The files that an image is made of: no Docker here, so what they say is carried out by hand."""

from __future__ import annotations

import re
import shutil
from importlib import metadata
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from layers.lock import CONTAINER, CONTAINER_PYTHON
from tests.contract.test_endpoint_container import Endpoint, patient_body, patient_layer

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "functions" / "endpoint"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()


def pins(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The folder that the Dockerfile's COPY lines make."""
    for source, target in re.findall(
        r"^COPY ((?!--from|.*requirements)\S+) (\S+)$", DOCKERFILE, re.MULTILINE
    ):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, tmp_path / target)
    return tmp_path


def test_what_is_copied_is_enough_to_serve(image: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    layer = patient_layer(tmp_path_factory.mktemp("layer") / "model")
    endpoint = Endpoint(layer, layer.package, cwd=image, SWITCHYARD_GRPC_PORT="0").ready()
    answer = httpx.post(f"{endpoint.url}/invocations", json=patient_body((0, 2)))
    page = endpoint.get("/v2/models/patient/docs")
    assert endpoint.stop() == 0
    assert answer.json()["outputs"][0]["data"] == [3.0]
    assert page.status_code == 200


def test_every_package_is_pinned_at_the_version_that_is_tested() -> None:
    tested = pins(ROOT / "constraints.txt")
    wanted = pins(FOLDER / "requirements.txt") | pins(FOLDER / "requirements-cpu.txt")
    assert {name: tested.get(name) for name in wanted} == wanted
    assert pins(FOLDER / "requirements-cuda.txt")["onnxruntime-gpu"] == tested["onnxruntime"]


@pytest.mark.parametrize(("source", "lock"), CONTAINER.items(), ids=[path.name for path in CONTAINER])
def test_an_image_for_processors_is_made_of_packages_known_by_their_bytes(source: Path, lock: Path) -> None:
    """``--require-hashes`` refuses a package without one, and any other bytes."""
    text = lock.read_text()
    found = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE))
    assert found == pins(source)
    assert f"--require-hashes \\\n    -r /build/{lock.name.replace('cpu', '${DEVICE}')}" in DOCKERFILE
    assert f"python:{CONTAINER_PYTHON}-" in DOCKERFILE


def test_torch_is_pinned_at_the_version_that_is_trained_and_tested_with() -> None:
    trained = (ROOT / "requirements-train.txt").read_text()
    wanted = pins(FOLDER / "requirements-torch.txt")
    assert f"torch=={wanted['torch']}" in trained.splitlines()
    tested = pins(ROOT / "constraints.txt")
    assert {name: tested[name] for name in wanted if name in tested}.items() <= wanted.items()


def test_the_files_name_everything_that_their_packages_need() -> None:
    """They are installed without looking for more."""
    named = pins(FOLDER / "requirements.txt") | pins(FOLDER / "requirements-cpu.txt")
    needed = {
        canonicalize_name(requirement.name)
        for name in named
        for requirement in map(Requirement, metadata.requires(name) or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    assert needed <= set(named)


def test_the_image_runs_as_nobody_in_particular_and_hears_sigterm_itself() -> None:
    last_stage = DOCKERFILE.rsplit("FROM", 1)[1]
    assert re.search(r"^USER 10001$", last_stage, re.MULTILINE)
    assert re.search(
        r'^ENTRYPOINT \["/srv/venv/bin/python", "-m", "functions.endpoint"\]$', last_stage, re.MULTILINE
    )
    assert last_stage.index("USER 10001") > last_stage.rindex("RUN ")
