"""``functions.endpoint.settings``: the environment, read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from functions.endpoint.settings import Settings
from model_store.contract.errors import IntegrityError


def test_an_empty_environment_is_sagemaker_s_contract() -> None:
    settings = Settings.from_environment({})
    assert (settings.port, settings.grpc_port) == (8080, 8081)
    assert settings.model_dir == Path("/opt/ml/model")
    assert settings.workers is None
    assert settings.drain_s < 30


def test_every_variable_is_read() -> None:
    settings = Settings.from_environment(
        {
            "SWITCHYARD_MODEL_DIR": "/models/m",
            "SAGEMAKER_BIND_TO_PORT": "9000",
            "SWITCHYARD_GRPC_PORT": "off",
            "SWITCHYARD_WORKERS": "2",
            "SWITCHYARD_THREADS": "3",
            "SWITCHYARD_BATCHING": "off",
            "SWITCHYARD_MAX_BATCH": "8",
            "SWITCHYARD_MAX_QUEUE_DELAY_MS": "1.5",
            "SWITCHYARD_QUEUE_SIZE": "9",
            "SWITCHYARD_DEVICE": "cuda",
        }
    )
    assert (settings.port, settings.grpc_port, settings.workers, settings.threads) == (9000, None, 2, 3)
    assert (settings.batching, settings.max_batch, settings.max_queue_delay_ms) == ("off", 8, 1.5)
    assert (settings.queue_size, settings.device) == (9, "cuda")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SWITCHYARD_WORKERS", "0"),
        ("SWITCHYARD_THREADS", "many"),
        ("SAGEMAKER_BIND_TO_PORT", "70000"),
        ("SWITCHYARD_DRAIN_S", "30"),
        ("SWITCHYARD_MAX_QUEUE_DELAY_MS", "-1"),
        ("SWITCHYARD_MAX_QUEUE_DELAY_MS", "nan"),
        ("SWITCHYARD_BATCHING", "maybe"),
        ("SWITCHYARD_ENGINE", "pickle"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(name: str, value: str) -> None:
    with pytest.raises(IntegrityError, match=name):
        Settings.from_environment({name: value})


def test_callers_are_told_the_limits_that_hold() -> None:
    environ = {"SWITCHYARD_MAX_BATCH": "4", "SWITCHYARD_TIMEOUT_S": "9", "SWITCHYARD_MAX_BODY_BYTES": "1000"}
    limits = Settings.from_environment(environ).limits(environ)
    assert limits.as_parameters() == {
        "max_payload_bytes": 1000,
        "max_binary_bytes": 1000,
        "max_batch": 4,
        "deadline_ms": 9000,
    }
    assert Settings.from_environment({}).limits({}).max_batch is None
