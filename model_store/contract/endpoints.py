"""How the endpoint of one version of a heavy model is named, and what its lock says.

An endpoint is created for one version and never updated. So its name carries the version, the artifact's
digest, and a short digest of everything else that it was created with (image, instance type, settings):
what would be an update is another endpoint, and the live version is released on it anew (law 4).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from model_store.contract.deployment import check_stage
from model_store.contract.digest import Digest
from model_store.contract.names import ByVersion, check_name

SAGEMAKER = "sagemaker"
EC2 = "ec2"
HEAVY_TARGETS = (SAGEMAKER, EC2)

MAX_ENDPOINT_NAME = 63
"""Source: SageMaker API reference, ``EndpointName``: ``[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}``."""

VARIANT = "all"
"""The one production variant of every endpoint. A name that never changes: a scalable target names it."""

CONTAINER_PORT = 8080
GRPC_PORT = 8081

ENDPOINT_HEADER = "x-switchyard-endpoint"
"""Header by which the load balancer of an ``ec2`` model finds the fleet of one version: its endpoint name."""

_SHORT = 8
_CONFIGURATION = re.compile(rf"[0-9a-f]{{{_SHORT}}}")


def endpoint_configuration(facts: Mapping[str, Any]) -> str:
    """Eight characters that change exactly when one of ``facts`` does."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:_SHORT]


def endpoint_name(stage: str, model: str, version: int, digest: Digest, configuration: str) -> str:
    """The endpoint of ``model:version``, at most 63 characters; a long model name is cut and told apart.

    >>> endpoint_name("prod", "bert", 4, Digest("ab" * 32), "0123abcd")
    'switchyard-prod-bert-4-abababab-0123abcd'
    """
    if not _CONFIGURATION.fullmatch(configuration):
        raise ValueError(f"`{configuration}` is no digest of a configuration")
    tail = f"{version}-{digest.hex[:_SHORT]}-{configuration}"
    head = f"switchyard-{check_stage(stage)}-"
    return head + _cut(check_name(model), MAX_ENDPOINT_NAME - len(head) - len(tail) - 1) + f"-{tail}"


def how_to_provision(ref: ByVersion, stage: str) -> str:
    """The command that makes a version able to answer, as a hint."""
    return f"Run `yard provision {ref} --stage {stage}`."


def _cut(model: str, room: int) -> str:
    """The model's name, or as much of it as fits and six characters that tell it from its like."""
    if len(model) <= room:
        return model
    mark = hashlib.sha256(model.encode()).hexdigest()[:6]
    return f"{model[: room - len(mark) - 1].rstrip('-')}-{mark}"
