"""What ``models.toml`` says about a heavy model: where its endpoints run, how many, and which versions.

Sources: Application Auto Scaling ``RegisterScalableTarget`` (capacity), SageMaker ``CreateEndpoint``.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from catalog.instances import device_of, known_types, nearest_type
from catalog.mistakes import between, mistake
from model_store.contract.endpoints import DEVICE_VARIABLE, GRPC_PORT_VARIABLE

if TYPE_CHECKING:
    from catalog.schema import Model

HEAVY_KEYS = (
    "versions",
    "adopted",
    "instance_type",
    "min_instances",
    "max_instances",
    "target_invocations_per_instance",
    "keep_warm",
    "asynchronous",
    "component",
    "image",
    "environment",
)
"""Keys that mean nothing on Lambda."""

SAGEMAKER_KEYS = ("adopted", "asynchronous", "component")
"""Keys that mean something on SageMaker alone."""

EC2_KEYS = ("spot", "warm_instances", "target_gpu_utilization")
"""Keys that mean something on EC2 alone: machines of the account's own."""

LAMBDA_KEYS = ("architecture", "queue")
"""Keys that mean nothing in front of an endpoint."""

_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/-]*(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?")
_KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-f-]+")
_VPC = re.compile(r"vpc-[0-9a-f]{8,17}")
_CERTIFICATE = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+")
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,1023}")
_OURS = ("SWITCHYARD_MODEL", "SWITCHYARD_VERSION", "SWITCHYARD_DIGEST", GRPC_PORT_VARIABLE, DEVICE_VARIABLE)
MAX_VARIABLE_BYTES = 1_024
"""Source: SageMaker API reference, ``ContainerDefinition.Environment``."""

_DURATION = re.compile(r"(?P<number>[1-9][0-9]{0,4})(?P<unit>[mhd])")
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}


def seconds(duration: str) -> int:
    """How long ``24h`` is."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise ValueError(f"`{duration}` is not a duration")
    return int(found["number"]) * _SECONDS[found["unit"]]


def _duration(value: str) -> str:
    if _DURATION.fullmatch(value):
        return value
    raise mistake(f"is `{value}`, not a length of time", "Write a number and `m`, `h` or `d`: `24h`.")


def _image(value: str) -> str:
    if _IMAGE.fullmatch(value):
        return value
    raise mistake(
        f"is `{value}`, not a container image",
        "Write registry, repository and tag or digest, for example "
        "`123456789012.dkr.ecr.eu-central-1.amazonaws.com/vllm@sha256:…`.",
    )


def _key(value: str) -> str:
    if _KEY_ARN.fullmatch(value):
        return value
    raise mistake(f"is `{value}`, not the ARN of a KMS key", "Write it whole: `arn:aws:kms:…:key/…`.")


def _ids(prefix: str, what: str) -> AfterValidator:
    pattern = re.compile(rf"{prefix}-[0-9a-f]{{8,17}}")

    def check(value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            if not pattern.fullmatch(item):
                raise mistake(
                    f"names `{item}`, not {what}", f"Write ids such as `{prefix}-0123456789abcdef0`."
                )
        return value

    return AfterValidator(check)


def _vpc(value: str) -> str:
    if _VPC.fullmatch(value):
        return value
    raise mistake(f"is `{value}`, not a VPC", "Write its id, such as `vpc-0123456789abcdef0`.")


def _certificate(value: str) -> str:
    if _CERTIFICATE.fullmatch(value):
        return value
    raise mistake(
        f"is `{value}`, not the ARN of a certificate", "Write it whole: `arn:aws:acm:…:certificate/…`."
    )


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for item in value:
        try:
            network = ip_network(item)
        except ValueError:
            raise mistake(f"names `{item}`, not a network", "Write one such as `10.0.0.0/16`.") from None
        if network.prefixlen == 0:
            raise mistake(f"names `{item}`, which is everybody", "Name the networks that callers are in.")
    return value


def _environment(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _VARIABLE.fullmatch(name):
            raise mistake(f"names `{name}`, not a variable", "Write names such as `MAX_MODEL_LEN`.")
        if name.startswith("SWITCHYARD_") and name in _OURS:
            raise mistake(f"sets `{name}`, which the stack sets itself", f"Leave `{name}` out.")
        if len(text.encode()) > MAX_VARIABLE_BYTES:
            raise mistake(
                f"gives `{name}` {len(text.encode())} bytes, and SageMaker takes {MAX_VARIABLE_BYTES}",
                "Put it into a file of the artifact.",
            )
    return value


def _versions(value: tuple[int, ...]) -> tuple[int, ...]:
    for version in value:
        if not 1 <= version <= 999_999_999:
            raise mistake(f"names version `{version}`", "Write numbers as `yard versions` shows them.")
    if len(set(value)) != len(value):
        raise mistake("names one version twice", "Name each version once.")
    return value


_ENDPOINT = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
"""Source: SageMaker API reference, ``CreateEndpoint``, ``EndpointName``."""


def _adopted(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not _ENDPOINT.fullmatch(value) or value.startswith("switchyard-"):
            raise mistake(
                f"has `{value}`, which is no endpoint that was there before",
                "Write the names of SageMaker endpoints that answer today and are not this project's own.",
            )
    return values


def _expiry(value: str) -> str:
    if not 60 <= seconds(_duration(value)) <= LONGEST_QUEUED_S:
        raise mistake(
            f"is `{value}`, and SageMaker keeps a request in its queue for 1 minute to 6 hours",
            "Write a length of time such as `6h`.",
        )
    return value


LONGEST_QUEUED_S = 21_600
"""Source: SageMaker Runtime API reference, ``InvokeEndpointAsync``, ``RequestTTLSeconds``."""


class Asynchronous(BaseModel):
    """How endpoints answer later: through SageMaker's queue, into the hand-off bucket.

    ``max_concurrent`` requests are computed at once by a machine; without it SageMaker decides. A request may
    wait for ``expires`` and be computed for ``timeout_s``. Machines are added when more than
    ``backlog_per_instance`` requests wait for each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    max_concurrent: (
        Annotated[int, between(1, 1_000, "requests", "SageMaker sends no machine more")] | None
    ) = None
    timeout_s: Annotated[int, between(1, 3_600, "s", "SageMaker lets no request be computed for longer")] = (
        900
    )
    expires: Annotated[str, AfterValidator(_expiry)] = "6h"
    backlog_per_instance: Annotated[
        int, between(1, 100_000, "requests", "it is how many may wait for each machine")
    ] = 5


class Component(BaseModel):
    """What one copy of a model reserves of a machine: machines come and go with copies, down to none.

    ``gpus`` is needed on a machine that has some. SageMaker calls it an inference component.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    memory_mb: Annotated[int, between(128, 4_000_000, "MB", "SageMaker reserves no less")]
    gpus: Annotated[int, between(0, 16, "GPUs", "no machine has more")] = 0
    cpus: Annotated[int, between(1, 1_000, "processors", "no machine has more")] | None = None


Versions = Annotated[tuple[int, ...], Field(strict=False), AfterValidator(_versions)]
Adopted = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_adopted)]
Instances = Annotated[int, between(1, 1_000, "instances", "an endpoint that never has one answers nobody")]
MinInstances = Annotated[int, between(0, 1_000, "instances", "no endpoint keeps more")]
TargetInvocations = Annotated[
    int, between(1, 1_000_000, "invocations per minute", "it is what one instance is to answer in a minute")
]
Percent = Annotated[int, between(10, 95, "%", "below it machines idle, above it they have no room")]
WarmInstances = Annotated[int, between(0, 1_000, "instances", "they stand stopped beside those that serve")]
Vpc = Annotated[str, AfterValidator(_vpc)]
Certificate = Annotated[str, AfterValidator(_certificate)]
Networks = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_networks)]
Image = Annotated[str, AfterValidator(_image)]
Environment = Annotated[dict[str, str], AfterValidator(_environment)]
KeyArn = Annotated[str, AfterValidator(_key)]
Subnets = Annotated[tuple[str, ...], Field(strict=False), _ids("subnet", "a subnet")]
SecurityGroups = Annotated[tuple[str, ...], Field(strict=False), _ids("sg", "a security group")]
KeepWarm = Annotated[str, AfterValidator(_duration)]


def check_model(model: Model) -> PydanticCustomError | None:
    """What is wrong with a model as one stage serves it; ``None`` if nothing is."""
    if model.target == "lambda":
        keys = (*HEAVY_KEYS, *EC2_KEYS)
        return _foreign(model, keys, "Lambda counts no instances and needs no version provisioned")
    return (
        _foreign(model, LAMBDA_KEYS, "a gateway function stands in front of the endpoint")
        or (
            _foreign(model, EC2_KEYS, "SageMaker keeps the machines")
            if model.target == "sagemaker"
            else _foreign(model, SAGEMAKER_KEYS, "only SageMaker's machines come when somebody asks")
        )
        or _asked_at_once(model)
        or _asynchronous(model)
        or _explain(model)
        or _instance_type(model)
        or _component(model)
        or _capacity(model)
    )


def _foreign(model: Model, keys: tuple[str, ...], why: str) -> PydanticCustomError | None:
    written = [key for key in keys if key in model.written]
    if not written:
        return None
    return mistake(
        f'has `{written[0]}`, which target = "{model.target}" does not have: {why}',
        f"Leave `{written[0]}` out, or choose another target.",
    )


def _asked_at_once(model: Model) -> PydanticCustomError | None:
    """Endpoints of others are asked as they are: without our queue, and not by a component of our naming."""
    unlike = next((key for key in ("asynchronous", "component") if getattr(model, key) is not None), None)
    if not model.adopted or unlike is None:
        return None
    return mistake(
        f"has `adopted` and `{unlike}`, and an endpoint that was there before is asked at once",
        f"Leave `{unlike}` out until nothing of what was adopted is needed.",
    )


def _instance_type(model: Model) -> PydanticCustomError | None:
    written = model.instance_type
    example = "ml.g5.xlarge" if model.target == "sagemaker" else "g5.xlarge"
    if written is None:
        return mistake(
            f'has target = "{model.target}" and no `instance_type`',
            f'Add the machine it runs on, for example `instance_type = "{example}"`.',
        )
    if written not in known_types(model.target):
        guess = nearest_type(model.target, written)
        return mistake(
            f"has `instance_type` `{written}`, which {_OWNER[model.target]} does not offer",
            (f"Did you mean `{guess}`? " if guess else "") + f"Write one such as `{example}`.",
        )
    if device_of(written) is None and model.image is None:
        return mistake(
            f"has `instance_type` `{written}`, whose accelerator the endpoint's container has no engine for",
            f"Choose one with NVIDIA GPUs such as `{example}` or with processors only, or bring an `image`.",
        )
    return None


def _asynchronous(model: Model) -> PydanticCustomError | None:
    if model.asynchronous is None:
        return None
    if not model.handoff:
        return mistake(
            "has `asynchronous` without `handoff`, and answers go through the hand-off bucket",
            "Add `handoff = true`.",
        )
    if model.target_invocations_per_instance:
        return mistake(
            "has both `asynchronous` and `target_invocations_per_instance`",
            "Leave the second out: its machines follow what waits, `backlog_per_instance` of `asynchronous`.",
        )
    return None


def _explain(model: Model) -> PydanticCustomError | None:
    if not model.explain:
        return None
    if model.image is not None:
        return mistake(
            "has both `explain` and `image`, and only our own container explains", "Leave one of them out."
        )
    if model.asynchronous is not None:
        return mistake(
            "has both `explain` and `asynchronous`, and explanations do not wait in a queue",
            "Leave one of them out.",
        )
    return None


def _component(model: Model) -> PydanticCustomError | None:
    if model.component is None:
        return None
    if model.asynchronous is not None:
        return mistake(
            "has both `asynchronous` and `component`, and each is a way of its own to need no machine",
            "Leave one of them out: a queue for those who can wait, a component for those who cannot.",
        )
    device = device_of(str(model.instance_type))
    if device == "cuda" and not model.component.gpus:
        return mistake(
            f"has `instance_type` `{model.instance_type}` and a `component` that reserves none of its GPUs",
            "Write how many a copy uses, for example `gpus = 1`.",
        )
    if device == "cpu" and model.component.gpus:
        return mistake(
            f"has a `component` with GPUs, and `{model.instance_type}` has none",
            "Leave `gpus` out, or choose a machine such as `ml.g5.xlarge`.",
        )
    return None


def _capacity(model: Model) -> PydanticCustomError | None:
    if model.min_instances < 1 and model.asynchronous is None and model.component is None:
        return mistake(
            "has `min_instances` `0`, and nothing would add the first machine",
            "Write at least 1; or let requests wait, with `asynchronous = {}`, or wake it, with `component`.",
        )
    if model.max_instances < model.min_instances:
        return mistake(
            f"has `max_instances` `{model.max_instances}` below `min_instances` `{model.min_instances}`",
            "Let the ceiling be at least the floor.",
        )
    if model.spot and model.warm_instances:
        return mistake(
            "has both `spot` and `warm_instances`, and AWS keeps no warm pool where spot machines may come",
            "Leave one of them out.",
        )
    follows = model.target_invocations_per_instance or model.target_gpu_utilization or model.asynchronous
    if model.max_instances > model.min_instances and not follows:
        return mistake(
            "may have more instances than it begins with, and says not when",
            "Add `target_invocations_per_instance`: what one instance is to answer in a minute.",
        )
    return None


_OWNER = {"sagemaker": "SageMaker", "ec2": "EC2"}
