"""``yard plan``: a real model from a store, measured, sized, priced."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_store.contract.errors import NotFoundError
from model_store.publish import publish

ROOT = Path(__file__).resolve().parents[4]
Yard = Callable[..., Any]


@pytest.fixture
def digits(store: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    catalog = tmp_path / "models.toml"
    catalog.write_text(
        '[stages.local]\nauth = "none"\nruntime_layer = "build/layers/local"\n'
        '[models.digits]\ntarget = "lambda"\nsnapstart = false\nrollback_depth = 4\narchitecture = "arm64"\n'
    )
    monkeypatch.setenv("SWITCHYARD_CATALOG", str(catalog))
    for number in (1, 2):
        path = ROOT / f"examples/digits/v{number}/model.onnx"
        publish(store, "digits", path, created_by="ana")
    return store


def test_the_newest_version_is_measured_and_sized_as_the_catalog_deploys_it(
    digits: Any, yard: Yard, document: Callable[[Any], Any]
) -> None:
    found = document(yard("plan", "digits", "--rate", "5", "--p95", "2000", "--json"))
    assert found["version"] == "digits:2"
    assert found["load"] == {"rate": 5.0, "peak": 20.0, "p95_ms": 2000.0, "kept": 5}
    assert found["size"] < found["layer_budget"]
    assert found["recommended"] == found["options"][0]
    assert found["recommended"]["target"] == "lambda"
    assert "snapshots" not in found["recommended"]["costs"]
    assert {run["threads"] for run in found["measured"]["runs"]} >= {1}
    assert found["prices"] == {"as_of": "2025-11", "region": "us-east-1"}


def test_people_get_two_tables_and_one_sentence(digits: Any, yard: Yard) -> None:
    done = yard("plan", "digits:1", "--rate", "0.5")
    assert done.exit_code == 0
    assert "digits:1: " in done.stdout
    assert "below what a model's layer may have" in done.stdout
    assert "0.5 requests/s, 2 at the peak; list prices of us-east-1 as of 2025-11" in done.stdout
    assert "not measured here" in done.stdout
    assert "a month (list prices of us-east-1" in done.stderr
    assert "a month for 8 metrics of the model and 8 of each of 5 versions" in done.stderr
    assert "$3.10 for 21 metrics under alarm and 2 composite alarms; $3.00 for a dashboard" in done.stderr


def test_what_is_captured_is_priced_as_the_catalog_has_it(
    digits: Any, yard: Yard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    catalog = tmp_path / "models.toml"
    text = catalog.read_text() + "[models.digits.capture]\nrate = 0.05\nmin_accuracy = 0.9\n"
    catalog.write_text(text)
    done = yard("plan", "digits:1", "--rate", "0.5")
    assert done.exit_code == 0
    # 14 metrics, 6 alarms, the monitor, and 65,700 PUTs.
    assert "$5.25 for keeping 0.05 of the requests and judging them hourly" in done.stderr


def test_what_no_option_can_do_is_a_refusal_with_the_numbers(digits: Any, yard: Yard) -> None:
    done = yard("plan", "digits:1", "--p95", "0.2")
    assert done.exit_code == 1
    assert "and 0.2 ms are wanted" in done.stdout
    assert "nothing in the table serves digits:1" in done.stderr
    assert "hint: Allow more time" in done.stderr


@pytest.mark.parametrize(
    "words", [("--rate", "10", "--peak", "5"), ("--rate", "0"), ("--core-speed", "0"), ("--p95", "-1")]
)
def test_a_load_that_is_none_is_a_usage_error(digits: Any, yard: Yard, words: tuple[str, ...]) -> None:
    assert yard("plan", "digits:1", *words).exit_code == 2


def test_a_model_without_a_version_is_not_planned(store: Any, yard: Yard) -> None:
    assert isinstance(yard("plan", "fraud").exception, NotFoundError)
