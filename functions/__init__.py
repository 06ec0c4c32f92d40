"""WHAT RUNS PER REQUEST. Every folder here becomes one Lambda function's code.

This file travels with all of them and holds what they all say about the server, so it imports nothing but
the contract.
"""

from __future__ import annotations

from model_store.contract.environment import MAX_BODY_BYTES

SERVER_NAME = "switchyard"

VERSION = "0.1.0"
"""Equal to the project's version in ``pyproject.toml`` (a test compares them)."""

EXTENSIONS: tuple[str, ...] = ("binary_tensor_data",)
"""Extensions of the Open Inference Protocol that this version serves, as ``GET /v2`` names them."""


def server_metadata() -> dict[str, object]:
    """What ``GET /v2`` answers, whichever function is asked.

    What one model adds to the limits stands in that model's metadata.
    """
    return {
        "name": SERVER_NAME,
        "version": VERSION,
        "extensions": list(EXTENSIONS),
        "parameters": {"max_payload_bytes": MAX_BODY_BYTES},
    }
