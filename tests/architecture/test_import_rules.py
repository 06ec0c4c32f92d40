"""The design's import table, executed. ``.importlinter`` holds it; here is what it cannot say."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / ".importlinter"


def rooms_in_config() -> set[str]:
    parser = configparser.ConfigParser()
    parser.read(CONFIG)
    return set(parser["importlinter"]["root_packages"].split())


def rooms_in_tree() -> set[str]:
    return {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "examples", "benchmarks"}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--config", str(CONFIG)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        *sorted(rooms_in_config()),
        include_external_packages=True,
        exclude_type_checking_imports=True,
        cache_dir=None,
    )


def imported_by(graph: grimp.ImportGraph, room: str) -> set[str]:
    """Everything that modules of ``room`` import directly, outside ``room``."""
    modules = {room} | graph.find_descendants(room)
    return {
        imported
        for module in modules
        for imported in graph.find_modules_directly_imported_by(module)
        if imported not in modules
    }


def test_every_room_keeps_the_design_s_import_table() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


def test_every_room_of_the_tree_is_in_the_table() -> None:
    assert rooms_in_config() == rooms_in_tree()


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("layers", "catalog"),
        ("infra", "functions"),
        ("functions/inference", "boto3"),
        ("functions/inference", "functions.endpoint"),
        ("functions/endpoint", "boto3"),
        ("functions/gateway", "botocore"),
        ("functions/gateway", "numpy"),
        ("functions/endpoint", "torch"),
        ("model_store/contract", "numpy"),
        ("model_store", "boto3"),
        ("releases", "infra"),
        ("catalog", "local_cloud"),
        ("yard", "aws_cdk"),
        ("switchyard_client", "model_store"),
        ("training", "functions"),
        ("training/export", "boto3"),
        ("functions/front", "switchyard_client"),
        ("functions/marks", "telemetry"),
        ("functions/messenger", "releases"),
        ("functions/authorizer", "boto3"),
    ],
)
def test_a_broken_rule_is_noticed(tmp_path: Path, importer: str, imported: str) -> None:
    packages = rooms_in_config() | {
        "functions/authorizer",
        "functions/protocol",
        "functions/inference",
        "functions/inference/adapters",
        "functions/inference/doors",
        "functions/endpoint",
        "functions/front",
        "functions/gateway",
        "functions/marks",
        "functions/messenger",
        "functions/monitor",
        "functions/operations",
        "model_store/contract",
        "model_store/adapters",
        "model_store/ports",
        "training/export",
    }
    for package in packages:
        (tmp_path / package).mkdir(parents=True, exist_ok=True)
        (tmp_path / package / "__init__.py").touch()
    assert lint(tmp_path).returncode == 0
    (tmp_path / importer / "guilty.py").write_text(f"import {imported}\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert f"{importer.replace('/', '.')}.guilty -> {imported}" in done.stdout


@pytest.mark.parametrize("room", ["model_store.contract", "layers"])
def test_rooms_of_the_standard_library_import_nothing_else(graph: grimp.ImportGraph, room: str) -> None:
    foreign = {name for name in imported_by(graph, room) if name.split(".")[0] not in sys.stdlib_module_names}
    assert foreign == set()


@pytest.mark.parametrize("room", ["functions.protocol", "functions.inference"])
def test_the_hot_path_knows_the_contract_and_no_other_room(graph: grimp.ImportGraph, room: str) -> None:
    """What answers a request is light, and travels into Lambda without the other rooms."""
    own = {name for name in imported_by(graph, room) if name.split(".")[0] in rooms_in_config()}
    strangers = {
        name
        for name in own
        if not name.startswith(("functions.protocol", "functions.inference", "model_store.contract"))
        and name not in {"functions", "model_store"}
    }
    assert strangers == set()


def test_the_client_needs_numpy_and_httpx_only(graph: grimp.ImportGraph) -> None:
    foreign = {name.split(".")[0] for name in imported_by(graph, "switchyard_client")}
    # botocore is asked for credentials where it is installed; anyio comes with httpx.
    assert foreign - set(sys.stdlib_module_names) == {"numpy", "httpx", "anyio", "botocore"}


def test_only_the_adapters_speak_to_aws(graph: grimp.ImportGraph) -> None:
    speakers = graph.find_modules_that_directly_import("boto3") | graph.find_modules_that_directly_import(
        "botocore"
    )
    rooms = {name for name in speakers if name.startswith(("model_store", "releases", "catalog", "infra"))}
    assert rooms <= {
        "model_store.adapters.kms",
        "model_store.adapters.s3",
        "releases.adapters.http_apis",
        "releases.adapters.sagemaker_runtime",
        "releases.adapters.aws",
        "releases.adapters.cloudwatch",
        "releases.adapters.ec2",
        "releases.adapters.elb",
        "releases.adapters.sagemaker",
        "releases.adapters.service_quotas",
        "releases.adapters.cloudwatch_logs",
        "releases.adapters.step_functions",
        "releases.adapters.translated",
    }
