"""A start that fails is counted: what could not begin to serve writes no line for a request.

A log line with ``StartFailures``, by model and by model and version (law 11), and then the error goes on as
it was. What kills the process (exhausted memory, a time-out) gets no line from here; Lambda counts the
requests that met it among its ``Errors``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from model_store.contract.deployment import metrics_namespace
from model_store.contract.environment import MODEL, STAGE, START_FAILURES_METRIC, VERSION

Step = TypeVar("Step")


def counted(step: Callable[..., Step], *args: Any, **kwargs: Any) -> Step:
    """Do one step of a start, and count it if it fails."""
    try:
        return step(*args, **kwargs)
    except Exception as error:
        sys.stdout.write(json.dumps(failure(os.environ, error)) + "\n")
        sys.stdout.flush()
        raise


def failure(environment: Mapping[str, str], error: Exception) -> dict[str, Any]:
    """The line that says so. No words of the error: Lambda writes those itself, and they may be long."""
    labels = {"model": environment.get(MODEL, ""), "version": environment.get(VERSION, "")}
    line = {**labels, "failed_start": f"{type(error).__module__}.{type(error).__qualname__}"}
    if not all(labels.values()) or STAGE not in environment:
        return line
    directive = {
        "Namespace": metrics_namespace(environment[STAGE]),
        "Dimensions": [["model"], ["model", "version"]],
        "Metrics": [{"Name": START_FAILURES_METRIC, "Unit": "Count"}],
    }
    return {
        **line,
        START_FAILURES_METRIC: 1,
        "_aws": {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": [directive]},
    }
