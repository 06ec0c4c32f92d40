"""``[stages.x.training]`` and ``[models.x.pipeline]``: what is wrong with them is said before a deploy."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.load import load_catalog
from model_store.contract.errors import CatalogError

STAGE = """
[stages.prod]
runtime_layer = "build/layers/x86_64"
[stages.prod.training]
image = "torch:2.13"
"""
SPARK = """
[stages.prod.training.spark]
image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/spark:7.11.0"
"""
MODEL = """
[models.digits]
target = "lambda"
[models.digits.pipeline]
file = "examples/digits/pipeline.toml"
"""


def read(folder: Path, text: str) -> None:
    (folder / "models.toml").write_text(text)
    load_catalog(folder / "models.toml")


def test_a_stage_trains_where_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(STAGE + MODEL + 'schedule = "cron(0 3 ? * MON *)"\n')
    catalog = load_catalog(tmp_path / "models.toml")
    training = catalog.stage("prod").training
    assert training is not None
    assert (training.instance_type, training.spot, training.keep_days) == ("ml.m5.xlarge", True, 90)
    pipeline = catalog.models_for("prod")["digits"].pipeline
    assert pipeline is not None
    assert (pipeline.schedule, pipeline.on_new_data, pipeline.on_drift) == (
        "cron(0 3 ? * MON *)",
        False,
        False,
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (MODEL + 'schedule = "weekly"\n', "`models.digits.pipeline.schedule` is `weekly`, not a schedule"),
        (MODEL + "on_drift = true\n", "has a pipeline that drift starts, and none of its requests are kept"),
        (MODEL.replace("lambda", 'sagemaker"\ninstance_type = "ml.m5.large'), "an endpoint for each version"),
        (MODEL.replace("examples/", "/examples/"), "not a pipeline of this repository"),
        (MODEL + "on_data = true\n", "`models.digits.pipeline.on_data` is an unknown key"),
        ('instance_type = "ml.m5.xxlarge"\n', "not an instance type of SageMaker"),
        ('reads = ["arn:aws:s3:::lake"]\n', "not objects below a prefix"),
        ("max_hours = 1000\n", "SageMaker stops a job after 28 days"),
        ('[stages.prod.training.spark]\nimage = "spark:7.11"\n', "not an image of ECR"),
        (SPARK + 'release = "emr-6.15.0"\n', "not a release of EMR from 7.11 on"),
        (SPARK + "max_vcpu = 4\n", "a driver and an executor have 4 each"),
    ],
    ids=[
        *("schedule", "drift", "heavy", "path", "key", "machine", "reads", "hours"),
        *("spark-image", "spark-release", "spark-room"),
    ],
)
def test_a_mistake_is_said_with_its_key(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(CatalogError, match=said.replace("(", r"\(")):
        read(tmp_path, STAGE + more)
