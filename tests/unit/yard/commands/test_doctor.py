"""``yard doctor``: the catalog's needs against the account's quotas, as a table or a document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from releases.adapters.memory_quotas import MemoryQuotas
from releases.quotas import Executions
from yard import deployment

Yard = Callable[..., Any]

CATALOG = """[stages.prod]
runtime_layer = "build/layers/x86_64"

[models.digits]
target = "lambda"
snapstart = false
provisioned_concurrency = 3
aliases = ["live", "candidate"]

[models.bert]
target = "sagemaker"
instance_type = "ml.g5.xlarge"
versions = [3, 4]
max_instances = 2
target_invocations_per_instance = 100
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quotas: MemoryQuotas) -> None:
    (tmp_path / "models.toml").write_text(CATALOG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWITCHYARD_CATALOG", raising=False)
    monkeypatch.setattr(deployment, "quotas", lambda: quotas)


def asked(yard: Yard) -> tuple[int, dict[str, Any]]:
    found = yard("doctor", "--stage", "prod", "--json")
    return found.exit_code, {use["what"]: use for use in json.loads(found.stdout)}


def test_what_the_catalog_needs_is_counted(yard: Yard, quotas: MemoryQuotas) -> None:
    quotas.listed["sagemaker", "ml.g5.xlarge for endpoint usage"] = 8.0
    code, uses = asked(yard)
    assert code == 0
    assert uses["concurrent executions (Lambda)"]["needed"] == 106
    assert uses["machines of ml.g5.xlarge (SageMaker)"]["needed"] == 4
    assert uses["endpoints (SageMaker)"]["needed"] == 2
    assert uses["alarms (CloudWatch)"]["needed"] > 20


def test_what_is_too_little_ends_with_1_and_says_what_to_do(yard: Yard, quotas: MemoryQuotas) -> None:
    quotas.running = Executions(10, 0)
    found = yard("doctor", "--stage", "prod")
    assert found.exit_code == 1
    assert "too little: 106 of 10" in found.stderr
    assert "`Concurrent executions` of AWS Lambda in Service Quotas" in found.stderr


def test_where_service_quotas_may_not_be_read_it_says_so_and_goes_on(
    yard: Yard, quotas: MemoryQuotas
) -> None:
    quotas.denied = frozenset({"quotas"})
    found = yard("doctor", "--stage", "prod")
    assert found.exit_code == 0
    assert "Service Quotas may not be read; AWS's default is taken" in found.stderr
    assert "not known" in found.stdout


def test_without_a_catalog_it_says_what_is_used(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "models.toml").unlink()
    code, uses = asked(yard)
    assert code == 0
    assert not any("endpoints" in what for what in uses)
