"""``functions.inference.failed_start``: a start that fails is counted, and fails as before."""

from __future__ import annotations

import json

import pytest

from functions.inference.failed_start import counted, failure
from model_store.contract.environment import MODEL, STAGE, START_FAILURES_METRIC, VERSION

ENVIRONMENT = {MODEL: "digits", STAGE: "prod", VERSION: "4"}


def broken() -> None:
    raise ValueError("no such model, and a secret of somebody")


def test_a_start_that_fails_is_counted_and_the_error_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="no such model"):
        counted(broken)
    line = json.loads(capsys.readouterr().out)
    assert (line["model"], line["version"], line[START_FAILURES_METRIC]) == ("digits", "4", 1)
    assert line["failed_start"] == "builtins.ValueError"
    assert "secret" not in json.dumps(line)


def test_a_start_that_succeeds_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert counted(max, 1, 2) == 2
    assert capsys.readouterr().out == ""


def test_no_metric_gains_a_dimension() -> None:
    """Law 11: by model, and by model and version."""
    line = failure(ENVIRONMENT, ValueError())
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["model"], ["model", "version"]]
    assert directive["Namespace"] == "Switchyard/prod"


@pytest.mark.parametrize("missing", [STAGE, VERSION])
def test_without_a_stage_or_a_version_nothing_is_counted(missing: str) -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    assert "_aws" not in failure(environment, ValueError())
