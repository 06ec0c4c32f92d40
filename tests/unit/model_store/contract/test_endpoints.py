"""``model_store.contract.endpoints``: one name for one version on one configuration."""

import re

import pytest

from model_store.contract.digest import Digest
from model_store.contract.endpoints import (
    endpoint_configuration,
    endpoint_name,
    endpoints_prefix,
    how_to_provision,
    version_of_endpoint,
)
from model_store.contract.names import ByVersion

DIGEST = Digest("0123456789abcdef" * 4)
OTHER = Digest("f" * 64)
CONFIGURATION = endpoint_configuration({"image": "a", "instance_type": "ml.g5.xlarge"})


def test_the_name_carries_version_digest_and_configuration() -> None:
    assert endpoint_name("prod", "bert", 4, DIGEST, "00c0ffee") == "switchyard-prod-bert-4-01234567-00c0ffee"


def test_another_version_digest_configuration_stage_or_model_is_another_endpoint() -> None:
    changed = endpoint_configuration({"image": "b", "instance_type": "ml.g5.xlarge"})
    names = {
        endpoint_name("prod", "bert", 4, DIGEST, CONFIGURATION),
        endpoint_name("prod", "bert", 5, DIGEST, CONFIGURATION),
        endpoint_name("prod", "bert", 4, OTHER, CONFIGURATION),
        endpoint_name("prod", "bert", 4, DIGEST, changed),
        endpoint_name("test", "bert", 4, DIGEST, CONFIGURATION),
        endpoint_name("prod", "berta", 4, DIGEST, CONFIGURATION),
    }
    assert len(names) == 6


@pytest.mark.parametrize("model", ["a" * 40, "a" * 39 + "b", "a" + "-b" * 19, "m"])
def test_no_name_is_longer_than_sagemaker_takes_or_spelled_otherwise(model: str) -> None:
    """Law 8."""
    name = endpoint_name("stageoftwelv", model, 999_999_999, DIGEST, CONFIGURATION)
    assert len(name) <= 63
    assert re.fullmatch("[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)


def test_models_that_begin_alike_are_told_apart_when_they_are_cut() -> None:
    one, other = (
        endpoint_name("stageoftwelv", "a" * 39 + end, 7, DIGEST, CONFIGURATION) for end in ("b", "c")
    )
    assert one != other


def test_a_configuration_is_the_same_whatever_the_order_of_its_facts() -> None:
    assert endpoint_configuration({"a": 1, "b": 2}) == endpoint_configuration({"b": 2, "a": 1})
    assert re.fullmatch("[0-9a-f]{8}", CONFIGURATION)


def test_what_is_no_configuration_names_nothing() -> None:
    with pytest.raises(ValueError, match="no digest of a configuration"):
        endpoint_name("prod", "bert", 4, DIGEST, "latest")


def test_the_hint_is_the_command_to_type() -> None:
    assert how_to_provision(ByVersion("bert", 4), "prod") == "Run `yard provision bert:4 --stage prod`."


@pytest.mark.parametrize("model", ["bert", "bert-large", "a" * 40, "m"])
@pytest.mark.parametrize("version", [1, 999_999_999])
def test_an_endpoint_is_found_by_its_model_and_says_its_version(model: str, version: int) -> None:
    name = endpoint_name("stageoftwelv", model, version, DIGEST, CONFIGURATION)
    assert name.startswith(endpoints_prefix("stageoftwelv", model))
    assert version_of_endpoint("stageoftwelv", model, name) == version


@pytest.mark.parametrize(
    "name",
    [
        "switchyard-prod-bert-large-4-01234567-00c0ffee",
        "switchyard-test-bert-4-01234567-00c0ffee",
        "switchyard-prod-bert-04-01234567-00c0ffee",
        "switchyard-prod-bert",
        "somebody-elses",
    ],
)
def test_an_endpoint_of_another_model_or_stage_is_not_counted(name: str) -> None:
    assert version_of_endpoint("prod", "bert", name) is None
