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

ADOPTED = "adopted"
"""Lineage of a version: what answered before, ``lambda:NAME:QUALIFIER`` or ``sagemaker:ENDPOINT``."""

EC2 = "ec2"
HEAVY_TARGETS = (SAGEMAKER, EC2)

MAX_ENDPOINT_NAME = 63
"""Source: SageMaker API reference, ``EndpointName``: ``[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}``."""

VARIANT = "all"
"""The one production variant of every endpoint. A name that never changes: a scalable target names it."""

CONTAINER_PORT = 8080
GRPC_PORT = 8081

GRPC_PORT_VARIABLE = "SWITCHYARD_GRPC_PORT"
DEVICE_VARIABLE = "SWITCHYARD_DEVICE"
"""Two settings of the endpoint's container (``functions.endpoint.settings`` has all) that a stack decides."""

ANSWERS, FAILURES = "answers", "failures"
"""Where, below a model's prefix of the hand-off bucket, SageMaker writes what came of queued requests."""

MODEL_FOLDER = "/opt/ml/model"
"""Where a container finds its model: SageMaker's own choice, and so ours on EC2."""

ENDPOINT_HEADER = "x-switchyard-endpoint"
"""Header by which the load balancer of an ``ec2`` model finds the fleet of one version: its endpoint name."""

ALIAS_HEADER = "x-switchyard-alias"
"""Header by which a gRPC call names an alias; without it, it goes where the default alias does."""

LAST_RULE = 50_000
"""The last place of a load balancer's rules, where gRPC calls go that name nothing: the release controller's,
like those below ``FIRST_RULE``. Source: Elastic Load Balancing API reference, ``CreateRule``."""

FIRST_RULE = 100
"""From here to ``LAST_RULE`` the stacks put the rules of endpoints, each found by its name."""

_SHORT = 8
_TAIL = re.compile(r"-(?P<version>[1-9][0-9]{0,8})-[0-9a-f]{8}-[0-9a-f]{8}$")
_LONGEST_TAIL = 36
"""A version of nine digits, two short digests, three hyphens, and what marks a name that was cut."""
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


def endpoints_prefix(stage: str, model: str) -> str:
    """What the names of all endpoints of ``model`` begin with; those of another model may too."""
    head = f"switchyard-{check_stage(stage)}-"
    return head + check_name(model)[: MAX_ENDPOINT_NAME - len(head) - _LONGEST_TAIL]


def balancer_name(stage: str, model: str) -> str:
    """The load balancer of an ``ec2`` model, at most 32 characters: its stage, and a digest of the model.

    >>> balancer_name("prod", "clip")
    'switchyard-prod-67905ad3'
    """
    return (
        f"switchyard-{check_stage(stage)}-{hashlib.sha256(check_name(model).encode()).hexdigest()[:_SHORT]}"
    )


def version_of_endpoint(stage: str, model: str, name: str) -> int | None:
    """The version whose endpoint ``name`` is; ``None`` if it is none of ``model``'s.

    >>> version_of_endpoint("prod", "bert", "switchyard-prod-bert-4-abababab-0123abcd")
    4
    """
    found = _TAIL.search(name)
    if found is None:
        return None
    head = f"switchyard-{check_stage(stage)}-"
    room = MAX_ENDPOINT_NAME - len(head) - len(found[0])
    return int(found["version"]) if name == head + _cut(check_name(model), room) + found[0] else None


def how_to_provision(ref: ByVersion, stage: str) -> str:
    """The command that makes a version able to answer, as a hint."""
    return f"Run `yard provision {ref} --stage {stage}`."


def _cut(model: str, room: int) -> str:
    """The model's name, or as much of it as fits and six characters that tell it from its like."""
    if len(model) <= room:
        return model
    mark = hashlib.sha256(model.encode()).hexdigest()[:6]
    return f"{model[: room - len(mark) - 1].rstrip('-')}-{mark}"
