"""A trial begins only where somebody wants to pay for it, and stops below a cap."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from benchmarks.trial.__main__ import CONSENT, CONSENT_VARIABLE, TESTS, check_consent, check_cost
from benchmarks.trial.stage import STAGE_VARIABLE, TrialError, TrialStage, under_way
from tests.conftest import ROOT, catalog_text

MOTO = "123456789012"
YES = {CONSENT_VARIABLE: CONSENT}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


@pytest.mark.parametrize("said", [None, "", "1", "yes"])
def test_without_the_words_nothing_begins(said: str | None) -> None:
    with pytest.raises(TrialError, match="costs money"):
        check_consent(MOTO, {} if said is None else {CONSENT_VARIABLE: said})


def test_the_account_is_typed_and_is_the_one_of_the_credentials() -> None:
    check_consent(MOTO, YES)
    with pytest.raises(TrialError, match=f"for account `{MOTO}`, and `111122223333` was typed"):
        check_consent("111122223333", YES)


def test_a_trial_above_the_cap_is_refused_with_its_estimate() -> None:
    assert 0 < check_cost(90, 5.0) < 5.0
    with pytest.raises(TrialError, match=r"may cost \$[0-9.]+ .*and \$0.10 are allowed"):
        check_cost(90, 0.10)


def test_the_stage_has_the_catalog_of_the_tests_under_its_own_name(tmp_path: object) -> None:
    from pathlib import Path

    from catalog import load_catalog

    stage = TrialStage("t123456", Path(str(tmp_path)) / "t123456")
    stage.write(catalog_text())
    found = load_catalog(stage.catalog).stage("t123456")
    assert (found.keep_data, found.runtime_layer) == (False, "build/layers/x86_64")


def test_tests_use_the_stage_of_a_trial_only_while_one_is_under_way(tmp_path: object) -> None:
    assert under_way({}) is None
    named = under_way({STAGE_VARIABLE: "t1", "SWITCHYARD_CATALOG": f"{tmp_path}/models.toml"})
    assert named is not None
    assert (named.name, str(named.catalog)) == ("t1", f"{tmp_path}/models.toml")


@pytest.mark.parametrize("test", TESTS)
def test_every_test_that_a_trial_runs_exists(test: str) -> None:
    path, _, name = test.partition("::")
    text = (ROOT / path).read_text("utf-8")
    assert not name or f"def {name}(" in text
