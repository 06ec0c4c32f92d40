"""``catalog.alarms``: thresholds with defaults, each can be switched off, and what that is billed as."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import Catalog, load_catalog
from catalog.alarms import Alarms
from model_store.contract.errors import CatalogError

GOOD = """
[stages.local]
runtime_layer = "build/layers/local"

[stages.prod]
runtime_layer = "build/layers/x86_64"

[models.digits]
target = "lambda"
timeout_s = 10

[models.digits.alarms]
p99_ms = 250
throttles = false
traffic_band = 4

[models.digits.stages.local.alarms]
p99_ms = false
"""


def read(folder: Path, text: str = GOOD) -> Catalog:
    (folder / "models.toml").write_text(text)
    return load_catalog(folder / "models.toml")


def test_what_is_not_written_has_a_default_and_a_stage_may_differ(tmp_path: Path) -> None:
    catalog = read(tmp_path)
    prod, local = (catalog.models_for(stage)["digits"].alarms for stage in ("prod", "local"))
    assert (prod.p99_ms, prod.throttles, prod.traffic_band, prod.errors_percent) == (250.0, False, 4.0, 1.0)
    assert (local.p99_ms, local.throttles, local.traffic_band) == (False, False, 4.0)


def test_answers_are_too_slow_near_the_time_out_unless_the_catalog_says_a_number() -> None:
    assert Alarms().slow_ms(10) == 8_000
    assert Alarms(p99_ms=250.0).slow_ms(10) == 250
    assert Alarms(p99_ms=False).slow_ms(10) is None


def test_pain_is_made_of_what_is_alarmed_on() -> None:
    assert Alarms().pains == ("errors", "faults", "p99", "throttles")
    assert Alarms(throttles=False, errors_percent=False).pains == ("faults", "p99")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("p99_ms = true", "`models.digits.alarms.p99_ms` is `true`", id="true"),
        pytest.param("p99_ms = 0", "neither a number from 1 to 900000 ms nor `false`", id="too-small"),
        pytest.param("throttles = 1.5", "neither a whole number from 1", id="no-whole-number"),
        pytest.param("p95_ms = 3", "`models.digits.alarms.p95_ms` is an unknown key", id="unknown"),
        pytest.param("user_pain = 1", "`models.digits.alarms.user_pain` is `1`", id="no-truth"),
    ],
)
def test_what_is_no_threshold_is_refused_in_one_sentence(tmp_path: Path, line: str, said: str) -> None:
    text = GOOD.replace("p99_ms = 250\nthrottles = false", line)
    with pytest.raises(CatalogError) as refused:
        read(tmp_path, text)
    assert said in str(refused.value)
    if "unknown" in said:
        assert "p99_ms" in str(refused.value.hint)


def test_an_alarm_that_is_off_is_billed_for_nothing() -> None:
    every = Alarms().billed(1)
    assert (every.on_metrics, every.composites, every.bands) == (10, 2, 2)
    assert Alarms().billed(2).on_metrics == 15
    off = Alarms(
        errors_percent=False,
        faults_percent=False,
        p99_ms=False,
        throttles=False,
        start_failures=False,
        silence_minutes=False,
        latency_band=False,
        traffic_band=False,
    ).billed(3)
    assert (off.on_metrics, off.composites, off.bands) == (1, 0, 0)
