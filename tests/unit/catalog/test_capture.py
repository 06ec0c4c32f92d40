"""``catalog.capture``: nothing is kept unless somebody says so, and what they say is held to sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import Catalog, load_catalog
from catalog.capture import MAX_VARIABLE_BYTES
from model_store.contract.capture import CaptureSettings
from model_store.contract.errors import CatalogError

GOOD = """
[stages.local]
runtime_layer = "build/layers/local"

[stages.prod]
runtime_layer = "build/layers/x86_64"

[models.digits]
target = "lambda"

[models.digits.capture]
rate = 0.05
drop = ["name", "id"]
hash = ["customer"]

[models.digits.stages.local.capture]
rate = 0

[models.plain]
target = "lambda"
"""


def read(folder: Path, text: str = GOOD) -> Catalog:
    (folder / "models.toml").write_text(text)
    return load_catalog(folder / "models.toml")


def test_a_model_keeps_nothing_unless_the_catalog_says_so_and_a_stage_may_keep_nothing(
    tmp_path: Path,
) -> None:
    catalog = read(tmp_path)
    assert catalog.models_for("prod")["plain"].captures is None
    assert catalog.models_for("local")["digits"].captures is None
    kept = catalog.models_for("prod")["digits"].captures
    assert kept is not None
    assert (kept.retention_days, kept.window_hours, kept.drift_psi, kept.min_accuracy) == (30, 24, 0.25, None)


def test_a_function_is_told_what_concerns_it_and_reads_the_same(tmp_path: Path) -> None:
    kept = read(tmp_path).models_for("prod")["digits"].captures
    assert kept is not None
    settings = kept.settings
    assert settings == CaptureSettings(0.05, 1_000, ("name", "id"), ("customer",))
    assert CaptureSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("rate = 5", "capture.rate` is `5`, not a share from 0 to 1", id="five"),
        pytest.param("rate = true", "`true`, not a share", id="true"),
        pytest.param("rate = 0.1\nrows_per_hour = 0", "outside 1 to 1000000 rows", id="no rows"),
        pytest.param("rate = 0.1\nretention_days = 400", "outside 1 to 365 days", id="a year"),
        pytest.param(
            "rate = 0.1\nretention_days = 1\nwindow_hours = 25", "forgets after 1 days", id="forgets"
        ),
        pytest.param('rate = 0.1\ndrop = ["x"]\nhash = ["x"]', "drops and hashes `x`", id="both"),
        pytest.param('rate = 0.1\nhash = ["id"]', "hashes `id`", id="hashed id"),
        pytest.param('rate = 0.1\ndrop = ["x", "x"]', "or one twice", id="twice"),
        pytest.param("rate = 0.1\ndrift_psi = 0", "not an index from 0.05 to 10", id="index"),
        pytest.param("rate = 0.1\nmin_accuracy = 0", "not a share from 0.01 to 1", id="accuracy"),
        pytest.param("retention_days = 3", "`models.plain.capture.rate` is missing", id="no rate"),
        pytest.param("rate = 0.1\nsample = 1", "Known keys: rate, rows_per_hour", id="unknown"),
        pytest.param(
            f"rate = 0.1\ndrop = ['{'x' * MAX_VARIABLE_BYTES}']", "of more than 1000 bytes", id="long names"
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_key(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(CatalogError) as refused:
        read(tmp_path, f"{GOOD}\n[models.plain.capture]\n{line}\n")
    assert said in f"{refused.value} {refused.value.hint}"
