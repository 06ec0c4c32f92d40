"""``yard.deployment``: finding things by the stage's name."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from model_store.contract.errors import CatalogError, InvalidNameError
from releases.errors import NotDeployedError
from yard import deployment
from yard.deployment import CloudNotRunningError

PARAMETERS = {
    "/switchyard/prod/bucket": "the-bucket",
    "/switchyard/prod/api-url": "https://api.example",
    "/switchyard/prod/api-auth": "iam",
    "/switchyard/production/bucket": "another stage's",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path / "home"))
    for name in ("SWITCHYARD_CATALOG", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")


@mock_aws
def test_a_stage_is_found_by_its_name_alone() -> None:
    client = boto3.client("ssm")
    for name, value in PARAMETERS.items():
        client.put_parameter(Name=name, Value=value, Type="String")
    found = deployment.find("prod")
    assert (found.bucket, found.api_url, found.auth) == ("the-bucket", "https://api.example", "iam")


@mock_aws
def test_a_stage_that_is_not_there_is_refused_with_the_command_that_makes_it() -> None:
    with pytest.raises(NotDeployedError, match="`prod` is not deployed") as refused:
        deployment.find("prod")
    assert refused.value.hint == "Run `cdk deploy --all -c stage=prod` first."


def test_the_local_stage_without_its_cloud_is_refused() -> None:
    with pytest.raises(CloudNotRunningError):
        deployment.find("local")


def test_a_stage_that_cannot_be_a_name_is_misspelled() -> None:
    with pytest.raises(InvalidNameError):
        deployment.find("Prod!")


def test_the_project_is_found_from_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models.toml").write_text("")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert deployment.project_root() == tmp_path
    assert deployment.catalog_path() == tmp_path / "models.toml"


def test_a_model_that_is_not_declared_is_refused_and_the_declared_ones_are_named(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(
        '[stages.local]\nauth = "none"\nruntime_layer = "build/layers/local"\n'
        '[models.digits]\ntarget = "lambda"\n'
    )
    deployment.check_declared("digits")
    with pytest.raises(CatalogError, match="`cats` is not in the catalog"):
        deployment.check_declared("cats")


def test_without_a_catalog_here_nothing_is_refused() -> None:
    """On call, from any folder: the ledger and Lambda decide, not a file."""
    deployment.check_declared("cats")


@mock_aws
def test_the_caller_is_who_aws_says() -> None:
    assert deployment.caller().startswith("arn:aws:")
