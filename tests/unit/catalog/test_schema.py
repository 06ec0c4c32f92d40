"""``catalog.schema``: a checked catalog answers questions and cannot be changed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from catalog.schema import Catalog, Model


@pytest.fixture
def model() -> Model:
    return Model.model_validate(
        {
            "name": "digits",
            "target": "lambda",
            "memory_mb": 1024,
            "stages": {"local": {"memory_mb": 512, "snapstart": False}},
        }
    )


def test_overrides_apply_to_their_own_stage_and_only_once(model: Model) -> None:
    local = model.on("local")
    assert (local.memory_mb, local.snapstart) == (512, False)
    assert local.on("local") == local
    assert (model.on("prod").memory_mb, model.on("prod").snapstart) == (1024, True)


def test_a_model_is_what_was_checked_and_stays_so(model: Model) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        model.memory_mb = 1


def test_the_stages_are_offered_as_a_person_reads_them() -> None:
    stages = {name: {"name": name, "runtime_layer": "build/layers/local"} for name in ("local", "prod")}
    assert Catalog.model_validate({"stages": stages}).stage_choice() == "`local` or `prod`"


def test_a_large_tmp_without_snapstart_and_a_small_one_with_it_are_choices_of_each_stage() -> None:
    model = Model.model_validate(
        {
            "name": "digits",
            "target": "lambda",
            "ephemeral_mb": 512,
            "stages": {"prod": {"snapstart": False, "ephemeral_mb": 10_240}},
        }
    )
    assert (model.on("prod").ephemeral_mb, model.on("local").ephemeral_mb) == (10_240, 512)
    assert model.on("local").snapstart


def test_provisioned_concurrency_without_snapstart_is_a_choice_of_each_stage() -> None:
    model = Model.model_validate(
        {
            "name": "digits",
            "target": "lambda",
            "stages": {"prod": {"snapstart": False, "provisioned_concurrency": 5}},
        }
    )
    assert (model.on("prod").provisioned_concurrency, model.on("local").provisioned_concurrency) == (5, 0)
