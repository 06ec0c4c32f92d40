"""``yard train``: a recipe becomes a file, and a version if asked."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model_store.contract.errors import CatalogError
from model_store.contract.names import ByVersion
from model_store.versions import load_manifest
from yard import deployment

Yard = Callable[..., Any]

DATA = """
name = "digits"
task = "classification"
source = { kind = "sklearn", set = "digits" }
columns = { features = ["pixel_*"], target = "target" }
"""
RECIPE = """
model = "digits"
data = "data.toml"
network = { name = "linear" }
input = { divide_by = 16 }
fit = { epochs = 2, learning_rate = 0.01 }
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data.toml").write_text(DATA)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "models.toml").write_text(
        '[stages.local]\nauth = "none"\nruntime_layer = "build/layers/local"\n'
        '[models.digits]\ntarget = "lambda"\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path / "recipe.toml"


def test_a_recipe_is_made_and_published_with_its_metrics(recipe: Path, yard: Yard, store: Any) -> None:
    done = yard("train", "recipe.toml", "--publish", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["version"] == "digits:1"
    assert (recipe.parent / "trained" / "digits" / "model.onnx").is_file()
    manifest = load_manifest(store, ByVersion("digits", 1))
    assert manifest.metrics == found["metrics"]
    assert "epoch 2: train" in done.stderr
    assert "operators: " in done.stderr
    shown = yard("show", "digits:1", "--report", "page.html")
    assert shown.exit_code == 0, shown.output
    assert "What it goes by" in (recipe.parent / "page.html").read_text()


def test_a_file_for_phones_is_published_with_it_and_written_out(recipe: Path, yard: Yard, store: Any) -> None:
    recipe.write_text(RECIPE + "export = { litert = true }\n")
    done = yard("train", "recipe.toml", "--publish", "--json")
    assert done.exit_code == 0, done.output
    made = recipe.parent / "trained" / "digits" / "model.tflite"
    assert json.loads(done.stdout)["litert"]["bytes"] == made.stat().st_size
    assert "by LiteRT's interpreter" in done.stderr
    shown = yard("show", "digits:1", "--litert", "digits.tflite")
    assert shown.exit_code == 0, shown.output
    assert (recipe.parent / "digits.tflite").read_bytes() == made.read_bytes()


def test_without_publish_only_a_file_is_left(recipe: Path, yard: Yard) -> None:
    done = yard("train", "recipe.toml", "--out", "here")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == "here/model.onnx"
    assert Path("here/model.onnx").is_file()


def test_a_model_that_the_catalog_does_not_know_is_refused_before_it_is_fitted(
    recipe: Path, yard: Yard
) -> None:
    recipe.write_text(RECIPE.replace('model = "digits"', 'model = "digts"'))
    done = yard("train", "recipe.toml", "--publish")
    assert "`digts` is not in the catalog" in str(done.exception)
    assert not (recipe.parent / "trained" / "digts").exists()


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]], ids=["yard", "train"])
def test_help_imports_no_torch(words: list[str]) -> None:
    probe = (
        "import sys; from typer.testing import CliRunner; from yard.main import app; "
        f"assert CliRunner().invoke(app, {words}).exit_code == 0; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", probe], check=True)


def test_a_misspelled_recipe_is_the_callers_mistake(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("epochs = 2", "epochs = 0"))
    done = subprocess.run(
        [sys.executable, "-m", "yard.main", "train", "recipe.toml"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[4])},
    )
    assert done.returncode == 2
    assert "error: `recipe.toml`: `fit.epochs`" in done.stderr


def test_a_job_is_printed_before_anybody_pays_for_it(recipe: Path, yard: Yard) -> None:
    words = ("--on", "sagemaker", "--role", "arn:aws:iam::123456789012:role/t", "--bucket", "the-training")
    done = yard("train", "recipe.toml", *words, "--image", "torch:2.13", "--dry-run")
    assert done.exit_code == 0, done.output
    request = json.loads(done.stdout)
    assert request["TrainingJobName"].startswith("switchyard-digits-")
    assert request["EnableManagedSpotTraining"] is True
    assert yard("train", "recipe.toml", "--on", "moon").exit_code == 2


def test_a_job_finds_what_the_stage_has_for_it(
    recipe: Path, yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    training: dict[str, Any] | None = None

    @dataclass
    class Place:
        stage: str

        @property
        def training(self) -> dict[str, Any] | None:
            return training

    monkeypatch.setattr(deployment, "find", Place)
    bare = yard("train", "recipe.toml", "--on", "sagemaker", "--dry-run")
    assert isinstance(bare.exception, CatalogError)
    assert "stage `local` has no training" in str(bare.exception)

    training = {
        "bucket": "the-training",
        "role": "arn:aws:iam::123456789012:role/switchyard/training",
        "image": "torch:2.13",
        "instance_type": "ml.c7i.xlarge",
        "hours": 2.0,
        "spot": False,
        "key": "arn:aws:kms:us-east-1:123456789012:key/1",
        "volume_key": "",
        "subnets": ["subnet-1"],
        "security_groups": ["sg-1"],
    }
    done = yard("train", "recipe.toml", "--on", "sagemaker", "--dry-run", "--spot")
    assert done.exit_code == 0, done.output
    request = json.loads(done.stdout)
    assert request["RoleArn"] == training["role"]
    assert request["OutputDataConfig"]["KmsKeyId"] == training["key"]
    assert request["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert request["ResourceConfig"]["InstanceType"] == "ml.c7i.xlarge"
    # What is typed wins over what the stage says.
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 14400}
