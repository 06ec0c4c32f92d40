"""The endpoint has an event loop of its own in each test; nothing here goes through Mangum."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def event_loop_of_mangum() -> None:
    """In place of the loop that tests of the Lambda function need."""
