"""``model_store.contract.environment``: what a release tells a function."""

from model_store.contract import environment


def test_a_release_sets_its_own_variables_and_none_of_the_base() -> None:
    """Law 4: the base belongs to ``cdk deploy``, the version to the release."""
    assert set(environment.RELEASE_VARIABLES).isdisjoint({environment.MODEL, environment.STAGE})
    assert {environment.VERSION, environment.DIGEST} <= set(environment.RELEASE_VARIABLES)


def test_no_variable_takes_a_name_that_lambda_keeps_for_itself() -> None:
    names = [environment.MODEL, environment.STAGE, *environment.RELEASE_VARIABLES]
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.startswith(("AWS_", "LAMBDA_", "_"))]


def test_the_folder_of_a_model_can_be_imported() -> None:
    assert environment.MODEL_PACKAGE.isidentifier()


def test_headers_are_written_in_lower_case() -> None:
    """HTTP API hands headers on in lower case (payload format 2.0)."""
    for name in (environment.MODEL_HEADER, environment.DIGEST_HEADER):
        assert name == name.lower()


def test_limits_are_those_of_lambda() -> None:
    """Law 8. Source: AWS Lambda quotas, 6 MB payload and 250 MB unzipped, in units of 1,024."""
    assert environment.MAX_PAYLOAD_BYTES == 6 * 1024 * 1024
    assert environment.UNZIPPED_LIMIT_BYTES == 250 * 1024 * 1024
