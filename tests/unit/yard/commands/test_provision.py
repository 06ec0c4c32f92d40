"""``yard provision``: catalog and lock say the same, and the stack is deployed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog import load_catalog
from catalog.lock import load_lock
from model_store.contract.errors import CatalogError
from model_store.contract.manifest import Manifest
from releases.adapters.memory_quotas import MemoryQuotas
from releases.errors import QuotaError
from yard import stacks

Put = Callable[[str, int, bytes], Manifest]
Yard = Callable[..., Any]

CATALOG = """[stages.prod]
runtime_layer = "build/layers/x86_64"

[models.digits]
target = "lambda"

[models.bert]
target = "sagemaker"
instance_type = "ml.g5.xlarge" # 24 GB of GPU memory
versions = [3]
"""
PROGRAM = "#!/bin/sh\nprintf '%s ' \"$@\" > {folder}/words\nexit {code}\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models.toml").write_text(CATALOG)
    write_cdk(tmp_path, 0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWITCHYARD_CATALOG", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def published(put: Put) -> None:
    for number in (3, 4):
        put("bert", number, f"model {number}".encode())


def write_cdk(folder: Path, code: int) -> None:
    program = folder / "node_modules" / ".bin" / "cdk"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(PROGRAM.format(folder=folder, code=code))
    program.chmod(0o755)


def words(project: Path) -> str:
    return (project / "words").read_text()


def test_the_version_is_listed_locked_and_deployed(
    yard: Yard, project: Path, document: Callable[[Any], Any]
) -> None:
    said = document(yard("provision", "bert:4", "--stage", "prod", "--yes", "--json"))
    assert said == {"model": "bert", "version": 4, "stage": "prod", "changed": True, "deployed": True}
    assert (project / "models.toml").read_text() == CATALOG.replace("[3]", "[3, 4]")
    assert load_catalog(project / "models.toml").models["bert"].versions == (3, 4)
    assert list(load_lock(project / "models.lock").stages["prod"]["bert"]) == [3, 4]
    assert "deploy Switchyard-prod-Model-bert" in words(project)
    assert "--require-approval never" in words(project)
    assert sorted(path.name for path in project.iterdir() if path.is_file()) == [
        "models.lock",
        "models.toml",
        "words",
    ]


def test_without_a_deploy_only_the_files_change(yard: Yard, project: Path) -> None:
    done = yard("provision", "bert:4", "--stage", "prod", "--no-deploy")
    assert done.exit_code == 0
    assert "deploy to make its endpoint" in done.stderr
    assert not (project / "words").exists()
    assert yard("lock", "--check", "--stage", "prod").exit_code == 0


def test_a_dry_run_shows_both_files_and_changes_neither(yard: Yard, project: Path) -> None:
    done = yard("provision", "bert:4", "--stage", "prod", "--dry-run")
    assert done.exit_code == 0
    assert "+versions = [3, 4]" in done.stderr
    assert '"4"' in done.stderr
    assert (project / "models.toml").read_text() == CATALOG
    assert not (project / "models.lock").exists()
    assert not (project / "words").exists()


def test_provisioning_again_changes_nothing_and_deploys_again(
    yard: Yard, project: Path, document: Callable[[Any], Any]
) -> None:
    """An interrupted deploy is completed by the same command."""
    yard("provision", "bert:4", "--stage", "prod", "--no-deploy")
    said = document(yard("provision", "bert:4", "--stage", "prod", "--json"))
    assert (said["changed"], said["deployed"]) == (False, True)


def test_a_deploy_that_fails_leaves_files_that_agree(yard: Yard, project: Path) -> None:
    write_cdk(project, 1)
    failed = yard("provision", "bert:4", "--stage", "prod")
    assert isinstance(failed.exception, stacks.DeployFailedError)
    assert yard("lock", "--check", "--stage", "prod").exit_code == 0


@pytest.mark.parametrize(
    ("ref", "found"),
    [
        ("bert:9", "`bert:9`"),
        ("digits:1", "runs on Lambda"),
        ("words:1", "not in the catalog"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(
    yard: Yard, project: Path, ref: str, found: str
) -> None:
    refused = yard("provision", ref, "--stage", "prod").exception
    assert isinstance(refused, CatalogError)
    assert found in str(refused)
    assert (project / "models.toml").read_text() == CATALOG
    assert not (project / "models.lock").exists()
    assert not (project / "words").exists()


def test_more_machines_than_the_account_may_have_are_refused_before_anything_is_written(
    yard: Yard, project: Path, quotas: MemoryQuotas
) -> None:
    """Law 8: SageMaker would say so minutes into the deploy."""
    quotas.listed["sagemaker", "ml.g5.xlarge for endpoint usage"] = 1.0
    refused = yard("provision", "bert:4", "--stage", "prod")
    assert isinstance(refused.exception, QuotaError)
    assert "2 machines of `ml.g5.xlarge`" in str(refused.exception)
    assert (project / "models.toml").read_text() == CATALOG
