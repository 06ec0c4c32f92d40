"""``catalog.edit``: the catalog with one version more, and otherwise as its authors left it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from catalog import load_catalog
from catalog.edit import listed
from model_store.contract.errors import CatalogError
from model_store.contract.names import ByVersion

ONE_STAGE = """# who: the platform team
[stages.prod] # an account of its own
runtime_layer = "build/layers/x86_64"

[models.digits]
target = "lambda"

[models.bert] # sentences
target = "sagemaker"
instance_type = "ml.g5.xlarge" # 24 GB of GPU memory
versions = [3] # 3: the quantised one
"""
TWO_STAGES = ONE_STAGE.replace(
    "[models.digits]", '[stages.local]\nruntime_layer = "build/layers/local"\n\n[models.digits]'
)


def edited(folder: Path, text: str, version: int = 4, stage: str = "prod", model: str = "bert") -> str:
    (folder / "models.toml").write_text(text)
    return listed(text, load_catalog(folder / "models.toml"), ByVersion(model, version), stage)


def versions(folder: Path, text: str, stage: str) -> tuple[int, ...]:
    (folder / "models.toml").write_text(text)
    return load_catalog(folder / "models.toml").models_for(stage)["bert"].versions


def test_only_the_one_line_changes(tmp_path: Path) -> None:
    assert edited(tmp_path, ONE_STAGE) == ONE_STAGE.replace("[3] # 3", "[3, 4] # 3")


@pytest.mark.parametrize("text", [ONE_STAGE, TWO_STAGES], ids=["one stage", "several"])
@pytest.mark.parametrize("listed_before", [True, False], ids=["listed", "first"])
def test_a_model_s_other_tables_may_stand_behind_another_model(
    text: str, listed_before: bool, tmp_path: Path
) -> None:
    behind = '\n[models.echo]\ntarget = "lambda"\n\n[models.bert.capture]\nrate = 0.1\n'
    before = text + behind
    if not listed_before:
        before = before.replace("versions = [3] # 3: the quantised one\n", "")
    after = edited(tmp_path, before)
    assert versions(tmp_path, after, "prod") == ((3, 4) if listed_before else (4,))
    assert set(before.splitlines()) - set(after.splitlines()) <= {"versions = [3] # 3: the quantised one"}
    assert load_catalog(tmp_path / "models.toml").models["bert"].capture is not None


def test_a_version_that_is_listed_changes_nothing(tmp_path: Path) -> None:
    assert edited(tmp_path, ONE_STAGE, 3) == ONE_STAGE


def test_the_first_version_gets_its_list(tmp_path: Path) -> None:
    without = ONE_STAGE.replace("versions = [3] # 3: the quantised one\n", "")
    after = edited(tmp_path, without)
    assert versions(tmp_path, after, "prod") == (4,)
    assert after.startswith(without)


def test_where_there_are_several_stages_a_number_is_listed_for_its_own(tmp_path: Path) -> None:
    """Each stage has its own store, and numbers its own versions."""
    after = edited(tmp_path, TWO_STAGES)
    assert versions(tmp_path, after, "prod") == (3, 4)
    assert versions(tmp_path, after, "local") == (3,)
    for line in TWO_STAGES.splitlines():
        assert line in after
    again = edited(tmp_path, after, 5)
    assert versions(tmp_path, again, "prod") == (3, 4, 5)
    assert tomllib.loads(again)["models"]["bert"]["stages"]["prod"] == {"versions": [3, 4, 5]}


def test_a_list_over_several_lines_keeps_its_comments(tmp_path: Path) -> None:
    text = ONE_STAGE.replace("[3] # 3: the quantised one", "[\n    2, # the old one\n    3,\n]")
    after = edited(tmp_path, text)
    assert "2, # the old one\n" in after
    assert versions(tmp_path, after, "prod") == (2, 3, 4)


def test_an_override_of_the_stage_is_the_list_that_grows(tmp_path: Path) -> None:
    text = TWO_STAGES + "\n[models.bert.stages.local]\nversions = [1] # small\n"
    after = edited(tmp_path, text, 2, "local")
    assert after == text.replace("[1] # small", "[1, 2] # small")


@pytest.mark.parametrize(
    ("model", "stage", "found", "remedy"),
    [
        ("digits", "prod", "runs on Lambda", "yard release digits:4 --stage prod"),
        ("words", "prod", "is not in the catalog", "[models.words]"),
        ("bert", "test", "no stage `test`", "`prod`"),
    ],
)
def test_what_cannot_be_provisioned_is_refused(
    tmp_path: Path, model: str, stage: str, found: str, remedy: str
) -> None:
    with pytest.raises(CatalogError) as caught:
        edited(tmp_path, ONE_STAGE, stage=stage, model=model)
    assert found in str(caught.value)
    assert remedy in str(caught.value.hint)


def test_a_model_written_in_one_line_is_left_to_its_author(tmp_path: Path) -> None:
    text = (
        '[stages.prod]\nruntime_layer = "x"\n[models]\n'
        'bert = { target = "sagemaker", instance_type = "ml.g5.xlarge" }\n'
    )
    with pytest.raises(CatalogError, match="not written as a table"):
        edited(tmp_path, text)
