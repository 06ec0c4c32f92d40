"""``model_store.contract.deployment``: every name follows from the stage and the model."""

from collections.abc import Callable

import pytest

from model_store.contract import deployment
from model_store.contract.deployment import pin_alias, pinned_version
from model_store.contract.errors import InvalidNameError
from model_store.contract.names import MAX_NAME_LENGTH, check_alias

OF_A_STAGE = [
    deployment.operations_function_name,
    deployment.front_function_name,
    deployment.parameters_path,
    deployment.bucket_parameter,
    deployment.bucket_key_parameter,
    deployment.api_url_parameter,
    deployment.api_auth_parameter,
]
OF_A_MODEL = [deployment.function_name, deployment.model_layer_name, deployment.runtime_layer_name]


@pytest.mark.parametrize("stage", ["", "Prod", "1a", "a-b", "a" * 13, "prod\n"])
@pytest.mark.parametrize("name", OF_A_STAGE)
def test_what_is_no_stage_names_nothing(name: Callable[[str], str], stage: str) -> None:
    with pytest.raises(InvalidNameError):
        name(stage)


@pytest.mark.parametrize("name", OF_A_MODEL)
def test_what_is_no_model_names_nothing(name: Callable[[str, str], str]) -> None:
    with pytest.raises(InvalidNameError):
        name("prod", "Operations")


def test_the_longest_function_name_fits_lambdas_limit() -> None:
    """Law 8: AWS Lambda's function names have at most 64 characters, layers 140."""
    stage, model = "a" * 12, "m" * MAX_NAME_LENGTH
    assert len(deployment.function_name(stage, model)) <= 64
    assert all(len(name(stage, model)) <= 140 for name in OF_A_MODEL)


def test_no_model_can_take_the_name_of_a_function_of_the_platform() -> None:
    platform = {deployment.operations_function_name("prod"), deployment.front_function_name("prod")}
    assert len(platform) == 2
    assert all(name.lower() != name for name in platform)


def test_stages_and_models_do_not_share_names() -> None:
    made = [name(stage) for name in OF_A_STAGE for stage in ("prod", "dev")]
    made += [name(stage, model) for name in OF_A_MODEL for stage in ("prod", "dev") for model in ("a", "b")]
    assert len(set(made)) == len(made)


def test_a_stack_is_named_by_stage_and_concern() -> None:
    assert deployment.stack_name("prod", "Model-digits") == "Switchyard-prod-Model-digits"


def test_parameters_stand_under_the_path_of_their_stage() -> None:
    for name in OF_A_STAGE[3:]:
        assert name("prod").startswith(deployment.parameters_path("prod"))


@pytest.mark.parametrize("version", [1, 7, 999_999_999])
def test_a_pin_names_its_version_and_back(version: int) -> None:
    assert pinned_version(pin_alias(version)) == version


@pytest.mark.parametrize("alias", ["live", "vip", "v0", "v07", "7", "v", "v1234567890", "V7"])
def test_other_aliases_pin_nothing(alias: str) -> None:
    assert pinned_version(alias) is None


def test_no_alias_of_a_catalog_reads_like_a_pin() -> None:
    with pytest.raises(InvalidNameError):
        check_alias(pin_alias(7))
