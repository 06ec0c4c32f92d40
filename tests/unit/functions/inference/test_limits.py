"""``functions.inference.limits``: what callers are told is what holds."""

from __future__ import annotations

import pytest

from functions.inference.limits import Limits
from model_store.contract.environment import MAX_BODY_BYTES
from model_store.contract.errors import IntegrityError


def test_the_environment_says_what_bounds_a_request() -> None:
    environ = {
        "SWITCHYARD_TIMEOUT_S": "9",
        "SWITCHYARD_MAX_BATCH": "64",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    }
    assert Limits.from_environment(environ).as_parameters() == {
        "max_payload_bytes": MAX_BODY_BYTES,
        "max_binary_bytes": MAX_BODY_BYTES // 4 * 3,
        "max_batch": 64,
        "deadline_ms": 9000,
        "memory_mb": 1024,
    }


def test_what_nobody_bounds_is_not_mentioned() -> None:
    assert set(Limits.from_environment({}).as_parameters()) == {"max_payload_bytes", "max_binary_bytes"}


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many"])
def test_a_limit_that_is_no_number_fails_at_start(value: str) -> None:
    with pytest.raises(IntegrityError, match=f"`SWITCHYARD_MAX_BATCH` is `{value}`"):
        Limits.from_environment({"SWITCHYARD_MAX_BATCH": value})


def test_a_bucket_for_large_payloads_is_a_limit_to_know() -> None:
    environ = {"SWITCHYARD_HANDOFF_BUCKET": "b", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024"}
    assert Limits.from_environment(environ).as_parameters()["handoff_max_bytes"] == 128 * 1024 * 1024
